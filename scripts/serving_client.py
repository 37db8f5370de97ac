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
from deeperlab_tf.files.inputs import find_inputs
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
INPUT = flags.DEFINE_string("input", None, "An image, or a folder of such (with subfolders).")
OUTPUT = flags.DEFINE_string("output", None, "Folder for the parses.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 1, "Images per request.", lower_bound=1)
TIMEOUT = flags.DEFINE_float("timeout", 60.0, "Seconds a request may take.", lower_bound=0.0)


def main() -> None:
    job = find_job(INPUT.value, OUTPUT.value)
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


def find_job(path: str, output: str) -> Job:
    """What predict.py would do, the films apart; says what is passed over.

    Args:
      path: an image, or a folder with subfolders.
      output: folder for the parses.

    Raises:
      UserError: there is no image.
    """
    inputs = find_inputs(path)
    if not inputs.images:
        raise UserError(f"{path} has no image; a server parses no films: use scripts/predict.py.")
    if inputs.films:
        print(f"passed over {len(inputs.films)} films, for a server parses images")
    if inputs.passed_over:
        print(f"passed over {inputs.passed_over} results of earlier parses")
    return Job.of(inputs, output)._replace(films={})


def _read_bytes(path: str) -> bytes:
    try:
        with storage.open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error


if __name__ == "__main__":
    cli.run(main, required=("model", "dataset", "input", "output"))
