"""Parses images on a TF Serving that serves an export.

python scripts/serving_client.py --model=shapes --dataset=exports/shapes/1/assets/dataset.json \\
    --input=photo.jpg --output=parses

It speaks gRPC with --server=localhost:8500, or REST with --rest --server=localhost:8501.

For NAME.jpg it writes NAME.png (COCO panoptic ids), NAME.json (its segments) and NAME_overlay.jpg,
named as by predict.py. Only results of an earlier run are replaced. Images that cannot be read are
named and left out; then the exit status is 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from absl import flags

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.client import GrpcClient, RestClient, ask_each
from deeperlab_tf.files import storage
from deeperlab_tf.files.results import is_result, result_names
from deeperlab_tf.prediction.many import Job, check_job, complain, parse_files
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
OUTPUT = flags.DEFINE_string("output", None, "Folder for the parses.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 1, "Images per request.", lower_bound=1)
TIMEOUT = flags.DEFINE_float("timeout", 60.0, "Seconds a request may take.", lower_bound=0.0)


def main() -> None:
    job = Job(_find_images(INPUT.value), OUTPUT.value)
    check_job(job)
    dataset = Dataset.from_json(
        _read_bytes(DATASET.value).decode("utf-8", "replace"), DATASET.value
    )
    connect = RestClient if REST.value else GrpcClient
    client = connect(SERVER.value, MODEL.value, TIMEOUT.value)

    def parse(files: Sequence[str], images: Sequence[np.ndarray]) -> list[Parsing | UserError]:
        answers = ask_each(client, [_read_bytes(file) for file in files])
        return [
            answer if isinstance(answer, UserError) else Parsing.from_fused(answer, dataset, image)
            for answer, image in zip(answers, images)
        ]

    left_out = parse_files(job, parse, BATCH_SIZE.value)
    count = len(job.files) - len(left_out)
    print(f"parsed {count} images on {SERVER.value}; wrote {OUTPUT.value}")
    complain(job, left_out)


def _find_images(path: str) -> dict[str, str]:
    """dict results' name -> file, of the images that --input names."""
    if storage.isfile(path):
        return result_names([path], storage.dirname(path))
    inside = storage.listdir(path) if storage.isdir(path) else []
    files = [
        storage.join(path, name)
        for name in sorted(inside)
        if name.lower().endswith((".jpg", ".jpeg", ".png")) and not name.startswith(".")
    ]
    files = [file for file in files if not is_result(file)]
    if not files:
        raise UserError(
            f"there is no image and no folder of JPEG or PNG images at {path}; "
            "choose another --input."
        )
    return result_names(files, path)


def _read_bytes(path: str) -> bytes:
    try:
        with storage.open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error


if __name__ == "__main__":
    cli.run(main, required=("model", "dataset", "input", "output"))
