"""Parses images on a TF Serving that serves an export.

python scripts/serving_client.py --model=shapes --dataset=exports/shapes/1/assets/dataset.json \\
    --input=photo.jpg --output=parses

It speaks gRPC with --server=localhost:8500, or REST with --rest --server=localhost:8501.

For NAME.jpg it writes NAME.png (COCO panoptic ids), NAME.json (its segments) and NAME_overlay.jpg.
"""

from __future__ import annotations

import glob
import os

from absl import flags
from tqdm import tqdm

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.client import GrpcClient, RestClient
from deeperlab_tf.files.images import read_image
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset

SERVER = flags.DEFINE_string(
    "server", "localhost:8500", "host:port; TF Serving's ports are 8500 (gRPC), 8501 (REST)."
)
REST = flags.DEFINE_bool("rest", False, "Use REST instead of gRPC.")
MODEL = flags.DEFINE_string("model", None, "Name of the model on the server.")
DATASET = flags.DEFINE_string(
    "dataset", None, "dataset.json among the export's assets: names and colours of classes."
)
INPUT = flags.DEFINE_string("input", None, "A JPEG or PNG file, or a folder of such.")
OUTPUT = flags.DEFINE_string("output", None, "Folder for the parses; same names are replaced.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 1, "Images per request.", lower_bound=1)
TIMEOUT = flags.DEFINE_float("timeout", 60.0, "Seconds a request may take.", lower_bound=0.0)


def main() -> None:
    files = _find_images(INPUT.value)
    dataset = Dataset.from_json(
        _read_bytes(DATASET.value).decode("utf-8", "replace"), DATASET.value
    )
    connect = RestClient if REST.value else GrpcClient
    client = connect(SERVER.value, MODEL.value, TIMEOUT.value)

    with tqdm(total=len(files), unit="image", desc="parsing", dynamic_ncols=True) as progress:
        for start in range(0, len(files), BATCH_SIZE.value):
            batch = files[start : start + BATCH_SIZE.value]
            answers = client([_read_bytes(path) for path in batch])
            for path, outputs in zip(batch, answers):
                name = os.path.splitext(os.path.basename(path))[0]
                parsing = Parsing.from_fused(outputs, dataset, read_image(path))
                parsing.save(OUTPUT.value, name)
                progress.update()
    print(f"parsed {len(files)} images on {SERVER.value}; wrote {OUTPUT.value}")


def _find_images(path: str) -> list[str]:
    """The image files that --input names."""
    if os.path.isfile(path):
        return [path]
    inside = sorted(glob.glob(os.path.join(glob.escape(path), "*")))
    files = [file for file in inside if file.lower().endswith((".jpg", ".jpeg", ".png"))]
    if not files:
        raise UserError(
            f"there is no image and no folder of JPEG or PNG images at {path}; "
            "choose another --input."
        )
    return files


def _read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error


if __name__ == "__main__":
    cli.run(main, required=("model", "dataset", "input", "output"))
