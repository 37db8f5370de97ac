"""Exports a trained model: a SavedModel for TF Serving, or the network for ONNX Runtime or
TensorFlow Lite.

python scripts/export.py --model=runs/shapes --output=exports/shapes/1
python scripts/export.py --model=street --output=exports/street/1 \\
    --config.fusion.peak_threshold=0.2 --config.eval.image_size=513,1025
python scripts/export.py --model=runs/shapes --output=exports/shapes-bf16/1 \\
    --optimise --precision=bfloat16
python scripts/export.py --model=runs/shapes --output=exports/shapes-gpu/1 \\
    --compile --image_size=721,1281 --batch_size=1
python scripts/export.py --model=runs/shapes --output=exports/shapes-onnx --format=onnx
python scripts/export.py --model=runs/shapes --output=exports/shapes-int8 --format=onnx \\
    --precision=int8 --calibration=PHOTOS
python scripts/export.py --model=runs/shapes --output=exports/shapes-tflite --format=tflite
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import flags, logging

from deeperlab_tf import cli
from deeperlab_tf.errors import UserError, as_installed
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import MAX_PIXELS, read_image
from deeperlab_tf.files.inputs import find_inputs

if TYPE_CHECKING:
    import numpy as np

cli.define_model(
    "A run, the name of a shipped model, or a SavedModel that was exported without --optimise."
)
BEST = flags.DEFINE_bool("best", False, "A run's best checkpoint instead of its newest.")
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
    "Precision of the network. Besides float32: float16 and bfloat16 for a SavedModel with "
    "--optimise, int8 for ONNX, float16 for TensorFlow Lite.",
)
CALIBRATION = flags.DEFINE_string("calibration", None, "Folder of typical images, for int8.")
BATCH_SIZES = flags.DEFINE_multi_integer(
    "batch_size",
    [1, 2, 4],
    "SavedModel: a batch size that a server may put together.",
)
MAX_IMAGE_PIXELS = flags.DEFINE_integer(
    "max_pixels",
    MAX_PIXELS,
    "SavedModel: larger JPEGs and PNGs are refused before they are decoded.",
    lower_bound=1,
)

COMPILE = flags.DEFINE_bool(
    "compile",
    False,
    "SavedModel: have XLA compile the parse, for GPU servers: of images of --image_size, for each "
    "--batch_size.",
)
IMAGE_SIZE = flags.DEFINE_list("image_size", None, "With --compile: height,width of all images.")

_PRECISIONS = {
    "saved_model": ("float32", "float16", "bfloat16"),
    "onnx": ("float32", "int8"),
    "tflite": ("float32", "float16"),
}
_MAX_CALIBRATION_IMAGES = 200


def main() -> None:
    _check_flags()
    # Imported here, as the exporters are: mistakes in flags need not wait for TensorFlow.
    from deeperlab_tf.prediction.networks import load_network

    run = load_network(cli.required_model(), cli.overrides(), BEST.value)
    # What TensorFlow says while it saves concerns nobody.
    logging.set_verbosity(logging.ERROR)
    exporters = {"saved_model": _saved_model, "onnx": _onnx, "tflite": _tflite}
    exporters[FORMAT.value](run)
    print(f"wrote {OUTPUT.value} ({_size(OUTPUT.value) / 2**20:.1f} MiB)")


def _saved_model(run: tuple) -> None:
    # As in `main`.
    from deeperlab_tf.export.saved_model import ExportOptions, export_saved_model

    options = ExportOptions(
        optimise=OPTIMISE.value,
        precision=PRECISION.value,
        batch_sizes=sorted(set(BATCH_SIZES.value)),
        max_pixels=MAX_IMAGE_PIXELS.value,
        compiled_size=_image_size(),
    )
    warm = export_saved_model(*run, OUTPUT.value, options)
    if not warm:
        print(as_installed("without warm-up requests, which need pip install -e .[serving]"))
    version = storage.basename(storage.abspath(OUTPUT.value))
    if not version.isdigit():
        print(
            "TF Serving wants a number as the last folder, such as NAME/1; "
            "its configs go beside that."
        )


def _image_size() -> tuple[int, int] | None:
    """(H, W) of the images whose parse is compiled."""
    if not COMPILE.value and IMAGE_SIZE.value is None:
        return None
    sides = IMAGE_SIZE.value or []
    if not COMPILE.value or FORMAT.value != "saved_model":
        raise UserError("--compile and --image_size go together, with --format=saved_model.")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise UserError("--compile needs --image_size=HEIGHT,WIDTH, in pixels.")
    height, width = map(int, sides)
    return height, width


def _onnx(run: tuple) -> None:
    # As in `main`.
    from deeperlab_tf.export.onnx import export_onnx

    images = _calibration_images() if PRECISION.value == "int8" else None
    export_onnx(*run, OUTPUT.value, images)


def _tflite(run: tuple) -> None:
    # As in `main`.
    from deeperlab_tf.export.tflite import export_tflite

    export_tflite(*run, OUTPUT.value, PRECISION.value)


def _check_flags() -> None:
    precision, offered = PRECISION.value, _PRECISIONS[FORMAT.value]
    if storage.exists(OUTPUT.value):
        raise UserError(
            f"{OUTPUT.value} exists already; "
            "choose another --output, the next version number for example."
        )
    if precision not in offered:
        raise UserError(
            f"--format={FORMAT.value} offers --precision={' or '.join(offered)}, not {precision}."
        )
    if FORMAT.value == "saved_model" and precision != "float32" and not OPTIMISE.value:
        raise UserError(f"--precision={precision} needs --optimise.")
    _image_size()
    if min(BATCH_SIZES.value) < 1:
        raise UserError("--batch_size must be at least 1.")
    if precision == "int8" and not (CALIBRATION.value and storage.isdir(CALIBRATION.value)):
        raise UserError("--precision=int8 needs --calibration, a folder of typical images.")


def _calibration_images() -> list[np.ndarray]:
    """Up to `_MAX_CALIBRATION_IMAGES` images of the folder, evenly spread over it."""
    files = find_inputs(CALIBRATION.value).images
    if not files:
        raise UserError(f"{CALIBRATION.value} has no images, but films, to calibrate int8 on.")

    step = -(-len(files) // _MAX_CALIBRATION_IMAGES)  # rounded up
    return [read_image(path) for path in files[::step]]


def _size(folder: str) -> int:
    """Bytes of all files in a folder."""
    total = 0
    for root, _, names in storage.walk(folder):
        total += sum(storage.getsize(storage.join(root, name)) for name in names)
    return total


if __name__ == "__main__":
    cli.run(main, required=("output",))
