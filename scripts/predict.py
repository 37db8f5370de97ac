"""Parses an image, a folder of images or a video with a trained model.

python scripts/predict.py --model=runs/shapes --input=photo.jpg --output=parses
python scripts/predict.py --model=exports/shapes --input=photos --output=parses

For NAME.jpg it writes NAME.png (COCO panoptic ids), NAME.json (its segments), NAME_overlay.jpg and
what --pictures asks for; for a video NAME_overlay.mp4 and NAME.json (the segments of each frame).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from absl import flags
from tqdm import tqdm

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.files.images import image_file_size, read_image
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.files.submissions import RESULT_FORMATS
from deeperlab_tf.prediction.video import batches, parse_video
from deeperlab_tf.visualize.drawing import write_image

if TYPE_CHECKING:
    from deeperlab_tf import Parsing, Predictor

MODEL = flags.DEFINE_string(
    "model", None, "Workdir of a training, or folder of an exported SavedModel."
)
INPUT = flags.DEFINE_string(
    "input", None, "An image, a folder of images (with subfolders), or a video."
)
OUTPUT = flags.DEFINE_string("output", None, "Folder for the parses; same names are replaced.")
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 4, "Images of one size that run at once.", lower_bound=1
)
PICTURES = flags.DEFINE_multi_enum(
    "pictures",
    [],
    ["semantic", "instances", "detection", "heatmap", "offsets", "sheet"],
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

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_DRAWN_FROM_MAPS = {"heatmap", "offsets", "sheet"}


def main() -> None:
    if RESULTS.value or IMAGE_LIST.value:
        return _write_results()
    path = INPUT.value
    is_video = path.lower().endswith(VIDEOS) and os.path.isfile(path)
    files = {} if is_video else _name_outputs(_find_images(path), path)
    # Imported here: mistakes in the input need not wait for TensorFlow.
    from deeperlab_tf.prediction.predictor import Predictor

    predictor = Predictor(MODEL.value)
    start = time.perf_counter()
    count = _predict_video(predictor, path) if is_video else _predict_images(predictor, files)
    rate = count / (time.perf_counter() - start)

    unit = "frames" if is_video else "images"
    speed = f"{rate:.2f} {unit}/s with reading and writing"
    print(f"parsed {count} {unit}, {speed}; wrote {OUTPUT.value}")


def _write_results() -> None:
    # Imported here: mistakes in the input need not wait for TensorFlow.
    from deeperlab_tf.evaluation.submit import write_results
    from deeperlab_tf.prediction.predictor import Predictor
    from input_pipeline import open_photos

    predictor = Predictor(MODEL.value)
    config = predictor.config.copy_and_resolve_references()
    config.data.root, config.data.dataset = INPUT.value, "folder"
    photos = open_photos(config, "test", IMAGE_LIST.value)
    with atomic_path(OUTPUT.value) as folder:
        count = write_results(predictor, photos, folder, RESULTS.value, BATCH_SIZE.value)
    print(f"parsed {count} photos; wrote {OUTPUT.value}")


# === Images ===


def _find_images(path: str) -> list[str]:
    """The image files that --input names; each has been seen to be an image."""
    if os.path.isfile(path):
        files = [path]
    elif os.path.isdir(path):
        files = []
        for folder, _, names in os.walk(path):
            images = (name for name in names if name.lower().endswith(IMAGES))
            files += [os.path.join(folder, name) for name in images]
        if not files:
            raise UserError(f"the folder {path} has no images ({', '.join(IMAGES)}).")
    else:
        raise UserError(
            f"there is no file or folder {path}; give an image, a folder of images or a video."
        )

    # What is not an image is refused before anything is written.
    for file in files:
        image_file_size(file)
    return sorted(files)


def _name_outputs(files: list[str], path: str) -> dict[str, str]:
    """dict output name -> image file; the name is its path below --input, without the suffix."""
    root = path if os.path.isdir(path) else os.path.dirname(path)
    named = {}
    for file in files:
        relative = os.path.relpath(file, root or ".")
        name = os.path.splitext(relative)[0]
        # b.jpg becomes b; a.png beside a.jpg stays a.png.
        named[relative if name in named else name] = file
    return named


def _predict_images(predictor: Predictor, files: dict[str, str]) -> int:
    """Number of images; their parses and pictures are written."""
    with tqdm(total=len(files), unit="image", desc="parsing", dynamic_ncols=True) as progress:
        for batch in batches(files.items(), BATCH_SIZE.value):
            parses = predictor([read_image(file) for _, file in batch])
            for (name, _), parsing in zip(batch, parses):
                parsing.save(OUTPUT.value, name)
                for kind, picture in _pictures(predictor, parsing):
                    write_image(path_inside(OUTPUT.value, f"{name}_{kind}.png"), picture)
                progress.update()
    return len(files)


def _pictures(predictor: Predictor, parsing: Parsing) -> Iterator[tuple[str, np.ndarray]]:
    """(kind, picture) of those that --pictures asks for."""
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
    for kind in PICTURES.value:
        yield kind, draw[kind]()


# === Video ===


def _predict_video(predictor: Predictor, path: str) -> int:
    """Number of frames; what became of them is written."""
    parsed, expected = parse_video(predictor, path, OUTPUT.value, BATCH_SIZE.value)
    if parsed < expected:
        print(f"the video broke off after {parsed} of {expected} frames; those were kept.")
    return parsed


if __name__ == "__main__":
    cli.run(main, required=("model", "input", "output"))
