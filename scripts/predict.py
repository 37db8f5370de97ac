"""Parses an image, a folder of images or a video with a trained model.

python scripts/predict.py --model=runs/shapes --input=photo.jpg --output=parses
python scripts/predict.py --model=exports/shapes --input=photos --output=parses

For NAME.jpg it writes NAME.png (COCO panoptic ids), NAME.json (its segments), NAME_overlay.jpg and
what --pictures asks for; for a video NAME_overlay.mp4 and NAME.json (the segments of each frame).
"""

import os
import time

import numpy as np
from absl import flags
from tqdm import tqdm

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import path_inside
from deeperlab_tf.files.images import image_file_size, read_image
from deeperlab_tf.prediction.video import batches, parse_video
from deeperlab_tf.visualize.drawing import write_image

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
    "Picture of an image to write beside the overlay; may be repeated. A sheet has the columns of the paper's Fig. 10.",
)

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


def main():
    path = INPUT.value
    is_video = path.lower().endswith(VIDEOS) and os.path.isfile(path)
    names = {} if is_video else _find_images(path)
    # After the input is known to be there: TensorFlow takes seconds.
    from deeperlab_tf.prediction.predictor import Predictor

    predictor = Predictor(MODEL.value)
    start = time.perf_counter()
    count = _predict_video(predictor, path) if is_video else _predict_images(predictor, names)
    rate = count / (time.perf_counter() - start)
    unit = "frames" if is_video else "images"
    print(
        f"parsed {count} {unit}, {rate:.2f} {unit}/s with reading and writing; wrote {OUTPUT.value}"
    )


def _find_images(path):
    """dict output name -> image file; every file has been seen to be an image."""
    if os.path.isfile(path):
        files, root = [path], os.path.dirname(path)
    elif os.path.isdir(path):
        root = path
        files = sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if name.lower().endswith(IMAGES)
        )
        if not files:
            raise UserError(f"the folder {path} has no images ({', '.join(IMAGES)}).")
    else:
        raise UserError(
            f"there is no file or folder {path}; give an image, a folder of images or a video."
        )
    names = {}
    for file in files:
        image_file_size(file)  # what is no image is refused before anything is written
        name = os.path.relpath(os.path.splitext(file)[0], root or ".")
        name = os.path.relpath(file, root or ".") if name in names else name  # a.jpg beside a.png
        names[name] = file
    return names


def _predict_images(predictor, names):
    with tqdm(total=len(names), unit="image", desc="parsing", dynamic_ncols=True) as progress:
        for batch in batches(names.items(), BATCH_SIZE.value):
            for (name, _), parsing in zip(
                batch, predictor([read_image(file) for _, file in batch])
            ):
                parsing.save(OUTPUT.value, name)
                for kind, picture in _pictures(predictor, parsing):
                    write_image(path_inside(OUTPUT.value, f"{name}_{kind}.png"), picture)
                progress.update()
    return len(names)


def _pictures(predictor, parsing):
    """Yields (kind, picture) of those that --pictures asks for."""
    from deeperlab_tf import visualize
    from deeperlab_tf.keypoints import keypoint_graph

    image = parsing.image
    maps = predictor.maps(image) if {"heatmap", "offsets", "sheet"} & set(PICTURES.value) else None
    graph, scale = (
        keypoint_graph(predictor.config.model.keypoint_graph),
        visualize.overlay_scale(image),
    )
    draw = {
        "semantic": lambda: visualize.semantic_map(parsing.semantic, parsing.dataset),
        "instances": lambda: visualize.instance_map(parsing.instance),
        "detection": lambda: visualize.detection(image, parsing, scale),
        "heatmap": lambda: np.vstack(
            [
                visualize.heatmap(maps["heatmap"], image, scale),
                visualize.heatmap_legend(graph, image.shape[1] * scale),
            ]
        ),
        "offsets": lambda: visualize.offset_sheet(maps, graph, image),
        "sheet": lambda: visualize.prediction_sheet(image, parsing, maps["heatmap"]),
    }
    for kind in PICTURES.value:
        yield kind, draw[kind]()


def _predict_video(predictor, path):
    parsed, expected = parse_video(predictor, path, OUTPUT.value, BATCH_SIZE.value)
    if parsed < expected:
        print(f"the video broke off after {parsed} of {expected} frames; those were kept.")
    return parsed


if __name__ == "__main__":
    cli.run(main, required=("model", "input", "output"))
