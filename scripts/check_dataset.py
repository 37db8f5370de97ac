"""Tells whether a dataset can be trained on, what is in it, and draws a sheet of its labels and
targets.

python scripts/check_dataset.py --dataset=folder --root=DATA --split=train --output=CHECK
python scripts/check_dataset.py --records=RECORDS --split=train --output=CHECK

With --runner, Apache Beam reads the images.

Exit status 0: it can be trained on; 1: it cannot, and the errors say why.
"""

from __future__ import annotations

from deeperlab_tf.files import storage

from deeperlab_tf import cli  # isort: skip - first, for it quiets TensorFlow's start-up banners

import functools
import sys

import numpy as np
import tensorflow as tf
from absl import flags
from ml_collections import ConfigDict

from deeperlab_tf import visualize
from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import write_json
from deeperlab_tf.heads import grid_side
from deeperlab_tf.keypoints import CENTER, keypoint_graph
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset
from input_pipeline import Reading, make_targets, open_source, preprocess
from input_pipeline.checks import check_job, check_source
from input_pipeline.datasets import NAMES, Sample, Source
from input_pipeline.records.files import skipped_records
from input_pipeline.sources import check_trainable

cli.define_data(NAMES, default="folder")
RECORDS = flags.DEFINE_string(
    "records", "", "Folder of records, to check these instead of raw files."
)
SPLIT = flags.DEFINE_string("split", "train", "train, val, …")
OUTPUT = flags.DEFINE_string("output", None, "Folder to make for report.json and sheet.png.")
LIMIT = flags.DEFINE_integer(
    "limit", 0, "Look at this many images only, evenly spread; 0: at all.", lower_bound=0
)
PICTURES = flags.DEFINE_integer("pictures", 8, "Images on the sheet.", lower_bound=1)
SKIP_CORRUPT = flags.DEFINE_bool(
    "skip_corrupt", False, "Count corrupt records, and do not call them errors."
)
cli.define_runner()

TRAINED_ON = ("train", "val")  # splits that a training needs
SHOWN = 10  # errors and warnings printed; report.json has them all


def main() -> None:
    if storage.exists(OUTPUT.value):
        raise UserError(f"{OUTPUT.value} exists already; remove it or choose another --output.")
    config = cli.set_data(default_config())
    config.data.records = RECORDS.value
    reading = Reading(SKIP_CORRUPT.value, allow_incomplete=True)
    source = open_source(config, SPLIT.value, reading)
    run = cli.runner(storage.dirname(storage.abspath(OUTPUT.value)))
    if run:
        report = run(check_job(config, SPLIT.value, LIMIT.value, SKIP_CORRUPT.value))
    else:
        report = check_source(source, config.fusion.max_instances, LIMIT.value, SKIP_CORRUPT.value)
    # Records are checked as they are built, one split before the other.
    known = report["warnings" if RECORDS.value else "errors"]
    known += training_errors(config, known)
    if skipped_records():
        report["warnings"].append(skipped_records())
    write_json(storage.join(OUTPUT.value, "report.json"), report)
    sheet = draw_sheet(source, config, PICTURES.value)
    if sheet is not None:
        visualize.write_image(storage.join(OUTPUT.value, "sheet.png"), sheet)
    print_report(report)
    sys.exit(1 if report["errors"] else 0)


def training_errors(config: ConfigDict, known: list[str]) -> list[str]:
    """Why train.py would refuse the data, beyond what is known of the split that was looked at."""
    if SPLIT.value not in TRAINED_ON:
        return []
    try:
        check_trainable(config, Reading(SKIP_CORRUPT.value))
    except UserError as error:
        message = str(error)
        return [] if any(message.startswith(text) for text in known) else [message]
    return []


def print_report(report: dict) -> None:
    print(f"\n{'class':<28}{'kind':<7}{'images':>9}{'segments':>10}{'pixels':>15}")
    for entry in report["classes"]:
        name = entry["name"][:27]
        kind = "thing" if entry["thing"] else "stuff"
        images, segments, pixels = entry["images"], entry["segments"], entry["pixels"]
        print(f"{name:<28}{kind:<7}{images:>9}{segments:>10}{pixels:>15}")

    sizes = [f"{size} ({count})" for size, count in report["sizes"].items()]
    most_frequent = ", ".join(sizes[:3])
    print(f"\n{report['images']} images, {len(sizes)} sizes, most often {most_frequent}")
    per_image = report["instances_per_image"]
    print(
        f"instances per image: {per_image['mean']:.1f} on average, at most {per_image['most']}, "
        f"too many to predict in {per_image['exceeding']} images"
    )
    if report["corrupt"]:
        print(f"corrupt records: {report['corrupt']}")
    for kind, names in report["problems"].items():
        print(f"{len(names)} images: {kind}")
    for kind in ("warnings", "errors"):
        lines = report[kind]
        print(f"{len(lines)} {kind}")
        for line in lines[:SHOWN]:
            print(f"  {line}")
    verdict = "cannot" if report["errors"] else "can"
    print(f"{verdict} be trained on; more in {OUTPUT.value}")


def draw_sheet(source: Source, config: ConfigDict, count: int) -> np.ndarray | None:
    """Rows of image, labels, keypoint disks and long-range offsets to the centre; None if no image
    can be read.
    """
    last = len(source) - 1
    chosen = np.linspace(0, last, min(count, len(source))).astype(int)
    rows = []
    for index in chosen.tolist():
        try:
            rows.append(draw_row(source[index], source.dataset, config))
        except UserError:  # already in the report
            continue
    if not rows:
        return None
    graph = keypoint_graph(config.data.keypoint_graph)
    legend = functools.partial(visualize.heatmap_legend, graph)
    titles = ["image", "labels", "keypoints", "offsets to the centre"]
    return visualize.contact_sheet(rows, titles, footer=legend)


def draw_row(sample: Sample, dataset: Dataset, config: ConfigDict) -> list[np.ndarray]:
    labelled = {name: tf.constant(sample[name]) for name in ("image", *preprocess.LABELS)}
    fitted = preprocess.fit(labelled, config)
    targets = make_targets(fitted["semantic"], fitted["instance"], fitted["crowd"], config)

    # What the padding fills is not shown.
    height, width = fitted["content_size"].numpy()
    image, semantic, instance = (
        fitted[name].numpy()[:height, :width] for name in ("image", "semantic", "instance")
    )
    on_grid = np.s_[: grid_side(height), : grid_side(width)]
    heatmap = targets["keypoint_heatmap"].numpy()[on_grid]
    long_offsets = targets["long_offsets"].numpy()[on_grid]
    to_center = long_offsets[..., 2 * CENTER : 2 * CENTER + 2]
    return [
        image,
        Parsing.from_maps(semantic, instance, dataset).overlay(image),
        visualize.heatmap(heatmap, image),
        visualize.offsets(to_center),
    ]


if __name__ == "__main__":
    cli.run(main, required=["output"])
