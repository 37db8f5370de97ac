"""Parses an image, a film or a folder of both with a trained model.

python scripts/predict.py --model=runs/shapes --input=photo.jpg --output=parses
python scripts/predict.py --model=exports/shapes --input=photos --output=parses
python scripts/predict.py --model=street --input=drive.mp4 --output=parses \\
    --config.fusion.peak_threshold=0.2

For NAME.jpg it writes NAME.png (COCO panoptic ids), NAME.json (its segments), NAME_overlay.jpg and
what --pictures asks for; for a film NAME_overlay.mp4 and NAME.json (the segments of each frame).
Where a.jpg and a.png lie side by side, the names are a_jpg and a_png. Only results of an earlier
run are replaced. With --shards=N the PNGs and JSON lines go into N tar files, on Apache Beam with
--runner. Files that cannot be read are named and left out; then the exit status is 1.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.files.inputs import find_inputs
from deeperlab_tf.files.reports import check_absent
from deeperlab_tf.files.results import PICTURES as KINDS
from deeperlab_tf.files.submissions import RESULT_FORMATS
from deeperlab_tf.prediction.many import (
    Job,
    check_job,
    complain,
    complain_of,
    parse_files,
    parse_films,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deeperlab_tf import Parsing, Predictor
    from deeperlab_tf.prediction.planned import Records
    from deeperlab_tf.work.job import Run

cli.define_model("A run, an export or the name of a shipped model.")
INPUT = flags.DEFINE_string(
    "input",
    None,
    "An image, a film, a folder of both (with subfolders), a list of files (.txt, one a line), a "
    "pattern in quotes ('photos/*/left_?.jpg'; ** is any folders), or a folder of records.",
)
OUTPUT = flags.DEFINE_string("output", None, "Folder for the parses.")
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 4, "Images of one size that run at once.", lower_bound=1
)
PICTURES = flags.DEFINE_multi_enum(
    "pictures",
    [],
    list(KINDS),
    "Picture of an image to write beside the overlay. "
    "A sheet has the columns of the paper's Fig. 10.",
)

RESULTS = flags.DEFINE_multi_enum(
    "results",
    [],
    sorted(RESULT_FORMATS),
    "Write only what the server of a benchmark takes: OUTPUT/results_FORMAT.",
)
IMAGE_LIST = flags.DEFINE_string(
    "image_list", "", "With --results: those images of --input, as text or COCO's image_info JSON."
)

SHARDS = flags.DEFINE_integer(
    "shards",
    0,
    "For very many images: write PNGs and JSON lines into so many tar files, without overlays, "
    "and go on from those that are there.",
    lower_bound=0,
)
RECORDS_SPLIT = flags.DEFINE_string(
    "records_split", "", "With --shards, where --input is a folder of records: which of its splits."
)
cli.define_runner()
COMPILE = cli.define_compile()

_DRAWN_FROM_MAPS = {"heatmap", "offsets", "sheet"}


def main() -> None:
    if RESULTS.value or IMAGE_LIST.value:
        return _write_results()
    if RECORDS_SPLIT.value:
        return _parse_records(cli.runner(OUTPUT.value))
    inputs = find_inputs(INPUT.value)
    job = Job.of(inputs, OUTPUT.value, PICTURES.value)
    run = cli.runner(OUTPUT.value)
    if COMPILE.value and (run or SHARDS.value):
        raise UserError("--compile is for one machine; leave it out with --runner and --shards.")
    if SHARDS.value:
        return _write_shards(job, run)
    if run:
        raise UserError("--runner writes shards; give their number by --shards.")
    check_job(job)
    # Imported here: mistakes in the input need not wait for TensorFlow.
    from deeperlab_tf.prediction.predictor import Predictor

    predictor = Predictor(cli.required_model(), cli.overrides(), COMPILE.value)
    if inputs.passed_over:
        print(f"passed over {inputs.passed_over} results of earlier parses")
    left_out = _predict_images(predictor, job) if job.files else []
    left_out += _predict_films(predictor, job) if job.films else []
    complain(job, left_out)


def _predict_images(predictor: Predictor, job: Job) -> list[str]:
    """Writes the images' parses and pictures, and says how many there are and how fast it went.

    Returns:
      those that were left out.
    """
    start = time.perf_counter()
    left_out = parse_files(
        job,
        lambda _, images: predictor(images),
        BATCH_SIZE.value,
        lambda parsing: _pictures(predictor, parsing),
    )
    _print_rate(len(job.files) - len(left_out), "images", start)
    return left_out


def _predict_films(predictor: Predictor, job: Job) -> list[str]:
    """The same of films."""
    start = time.perf_counter()
    frames, left_out = parse_films(job, predictor, BATCH_SIZE.value)
    _print_rate(frames, "frames", start)
    return left_out


def _write_shards(job: Job, run: Run | None) -> None:
    if not job.files:
        raise UserError(f"--shards are of images, and {INPUT.value} has none.")
    if job.films:
        print(f"passed over {len(job.films)} films, for --shards are of images")
    _parse_shards(job.files, run)


def _parse_records(run: Run | None) -> None:
    # Imported here: they load TensorFlow.
    from deeperlab_tf.prediction.planned import Records
    from input_pipeline import open_source
    from input_pipeline.records.files import find_shards
    from input_pipeline.records.index import index_records

    if not SHARDS.value or COMPILE.value:
        raise UserError("records are parsed into --shards=N, without --compile.")
    shards = find_shards(INPUT.value, RECORDS_SPLIT.value)
    count = len(index_records(shards).offset)
    records = Records(INPUT.value, RECORDS_SPLIT.value, count, open_source)
    _parse_shards({storage.basename(shard): shard for shard in shards}, run, records)


def _parse_shards(
    files: Mapping[str, str], run: Run | None, records: Records | None = None
) -> None:
    # Imported here: mistakes in the input need not wait for TensorFlow.
    from deeperlab_tf.prediction.shards import Photos, bad_images, parse_shards
    from deeperlab_tf.work import local

    if PICTURES.value:
        raise UserError("--shards have no pictures; leave out --pictures or --shards.")
    # One process of this machine: the network uses all of its processors.
    run = run or functools.partial(local.run, processes=1)
    photos = Photos(files, cli.required_model(), cli.overrides(), BATCH_SIZE.value, records)
    start = time.perf_counter()
    summary = parse_shards(photos, OUTPUT.value, SHARDS.value, run)
    _print_rate(summary["images"], "images", start)
    if summary["bad"]:
        first = next(bad_images(OUTPUT.value, summary))
        raise UserError(
            f"{summary['bad']} of {summary['images'] + summary['bad']} images were left out, the "
            f"first: {first['error']} The others are in {OUTPUT.value}; the .bad.jsonl files there "
            "name all."
        )


def _print_rate(count: int, unit: str, start: float) -> None:
    rate = count / (time.perf_counter() - start)
    speed = f"{rate:.2f} {unit}/s with reading and writing"
    print(f"parsed {count} {unit}, {speed}; wrote {OUTPUT.value}")


def _write_results() -> None:
    # Imported here: mistakes in the input need not wait for TensorFlow.
    from deeperlab_tf.evaluation.submit import write_results
    from deeperlab_tf.prediction.predictor import Predictor
    from input_pipeline import open_photos

    check_absent(OUTPUT.value)
    predictor = Predictor(cli.required_model(), cli.overrides(), COMPILE.value)
    config = predictor.config.copy_and_resolve_references()
    config.data.root, config.data.dataset = INPUT.value, "folder"
    photos = open_photos(config, "test", IMAGE_LIST.value)
    if photos.passed_over:
        print(f"passed over {photos.passed_over} results of earlier parses")
    with atomic_path(OUTPUT.value) as folder:
        left_out = write_results(predictor, photos, folder, RESULTS.value, BATCH_SIZE.value)
    print(f"parsed {len(photos) - len(left_out)} photos; wrote {OUTPUT.value}")
    complain_of(left_out, len(photos), OUTPUT.value)


def _pictures(predictor: Predictor, parsing: Parsing) -> dict[str, np.ndarray]:
    """kind -> picture, of those that --pictures asks for."""
    # Imported here: mistakes in the input need not wait for TensorFlow.
    from deeperlab_tf import visualize
    from deeperlab_tf.keypoints import keypoint_graph

    image, scale = parsing.image, visualize.overlay_scale(parsing.image)
    graph = keypoint_graph(predictor.config.model.keypoint_graph)
    needs_maps = _DRAWN_FROM_MAPS & set(PICTURES.value)
    maps = predictor.maps(image) if needs_maps else None

    def heatmap() -> np.ndarray:
        picture = visualize.heatmap(maps["heatmap"], image, scale)
        legend = visualize.heatmap_legend(graph, image.shape[1] * scale)
        return np.vstack([picture, legend])

    draw = {
        "semantic": lambda: visualize.semantic_map(parsing.semantic, parsing.dataset),
        "instances": lambda: visualize.instance_map(parsing.instance),
        "detection": lambda: visualize.detection(image, parsing, scale),
        "heatmap": heatmap,
        "offsets": lambda: visualize.offset_sheet(maps, graph, image),
        "sheet": lambda: visualize.prediction_sheet(image, parsing, maps["heatmap"]),
    }
    return {kind: draw[kind]() for kind in PICTURES.value}


if __name__ == "__main__":
    cli.run(main, required=("input", "output"))
