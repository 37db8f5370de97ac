"""Exports a trained run: a SavedModel for TF Serving, or the network for ONNX Runtime or TensorFlow
Lite.

python scripts/export.py --workdir=runs/shapes --output=exports/shapes/1
python scripts/export.py --workdir=runs/shapes --output=exports/shapes-bf16/1 --optimise
--precision=bfloat16 python scripts/export.py --workdir=runs/shapes --output=exports/shapes-onnx
--format=onnx python scripts/export.py --workdir=runs/shapes --output=exports/shapes-int8
    --format=onnx --precision=int8 \\ --calibration=DIR
python scripts/export.py --workdir=runs/shapes --output=exports/shapes-tflite --format=tflite
"""

import glob
import os

from absl import flags, logging

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image
from deeperlab_tf.image_size import MAX_PIXELS

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a training.")
OUTPUT = flags.DEFINE_string(
    "output", None, "Folder of the export; must not exist. TF Serving wants .../NAME/VERSION."
)
FORMAT = flags.DEFINE_enum(
    "format", "saved_model", ["saved_model", "onnx", "tflite"], "What to write."
)
OPTIMISE = flags.DEFINE_bool(
    "optimise", False, "SavedModel: fold batch norm into convolutions, freeze the weights."
)
PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "float16", "bfloat16", "int8"],
    "Of the network. SavedModel with --optimise: float16, bfloat16; ONNX: int8; TensorFlow Lite: float16.",
)
CALIBRATION = flags.DEFINE_string("calibration", None, "Folder of typical images, for int8.")
BATCH_SIZES = flags.DEFINE_multi_integer(
    "batch_size", [1, 2, 4], "SavedModel: a batch size a server may put together."
)
MAX_IMAGE_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    MAX_PIXELS,
    "SavedModel: larger JPEGs and PNGs are refused before they are decoded.",
    lower_bound=1,
)

_PRECISIONS = {
    "saved_model": ("float32", "float16", "bfloat16"),
    "onnx": ("float32", "int8"),
    "tflite": ("float32", "float16"),
}
_MAX_CALIBRATION_IMAGES = 200


def main():
    _check_flags()
    # After the flags are known to be good: it takes seconds.
    from deeperlab_tf.training.workdir import load_run

    run = load_run(WORKDIR.value)
    logging.set_verbosity(logging.ERROR)  # what TensorFlow says while it saves concerns nobody
    {"saved_model": _saved_model, "onnx": _onnx, "tflite": _tflite}[FORMAT.value](run)
    print(f"wrote {OUTPUT.value} ({_size(OUTPUT.value) / 2**20:.1f} MiB)")


def _saved_model(run):
    from deeperlab_tf.export.saved_model import ExportOptions, export_saved_model

    options = ExportOptions(
        optimise=OPTIMISE.value,
        precision=PRECISION.value,
        batch_sizes=sorted(set(BATCH_SIZES.value)),
        max_pixels=MAX_IMAGE_PIXELS.value,
    )
    warm = export_saved_model(*run, OUTPUT.value, options)
    if not warm:
        print("without warm-up requests, which need pip install -e .[serving]")
    if not os.path.basename(os.path.abspath(OUTPUT.value)).isdigit():
        print(
            "TF Serving wants a number as the last folder, such as NAME/1; its configs go beside that."
        )


def _onnx(run):
    from deeperlab_tf.export.onnx import export_onnx

    export_onnx(*run, OUTPUT.value, _calibration_images() if PRECISION.value == "int8" else None)


def _tflite(run):
    from deeperlab_tf.export.tflite import export_tflite

    export_tflite(*run, OUTPUT.value, PRECISION.value)


def _check_flags():
    if os.path.exists(OUTPUT.value):
        raise UserError(
            f"{OUTPUT.value} exists already; choose another --output, the next version number for example."
        )
    if PRECISION.value not in _PRECISIONS[FORMAT.value]:
        raise UserError(
            f"--format={FORMAT.value} offers --precision={' or '.join(_PRECISIONS[FORMAT.value])}, "
            f"not {PRECISION.value}."
        )
    if FORMAT.value == "saved_model" and PRECISION.value != "float32" and not OPTIMISE.value:
        raise UserError(f"--precision={PRECISION.value} needs --optimise.")
    if min(BATCH_SIZES.value) < 1:
        raise UserError("--batch_size must be at least 1.")
    if PRECISION.value == "int8" and not (CALIBRATION.value and os.path.isdir(CALIBRATION.value)):
        raise UserError("--precision=int8 needs --calibration, a folder of typical images.")


def _calibration_images():
    """Up to `_MAX_CALIBRATION_IMAGES` images of the folder, evenly spread over it."""
    files = sorted(
        path
        for path in glob.glob(os.path.join(CALIBRATION.value, "**"), recursive=True)
        if path.lower().endswith((".jpg", ".jpeg", ".png"))
    )
    if not files:
        raise UserError(f"{CALIBRATION.value} has no JPEG or PNG images to calibrate int8 on.")
    step = -(-len(files) // _MAX_CALIBRATION_IMAGES)
    return [read_image(path) for path in files[::step]]


def _size(folder):
    return sum(
        os.path.getsize(os.path.join(root, name))
        for root, _, names in os.walk(folder)
        for name in names
    )


if __name__ == "__main__":
    cli.run(main, required=("workdir", "output"))
