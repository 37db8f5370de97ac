"""One labelled image as a serialised tf.train.Example; `records.decode` reads it."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import image_orientation
from deeperlab_tf.files.orientation import UPRIGHT
from deeperlab_tf.schema import Dataset
from input_pipeline.datasets import Sample
from input_pipeline.records.encoding import own_encoding

# Keys, those of DeepLab2.
IMAGE, FORMAT, NAME = "image/encoded", "image/format", "image/filename"
HEIGHT, WIDTH, CHANNELS = "image/height", "image/width", "image/channels"
LABEL, LABEL_FORMAT = "image/segmentation/class/encoded", "image/segmentation/class/format"

ZLIB = "zlib"  # ours, besides DeepLab2's "raw" and "png": labels shrink fiftyfold and more
_LEVEL = 3  # of zlib: 1 takes as long, 6 three times as long for half the size
_WITH_LENGTH = 2  # kind of a field


def encode_example(sample: Sample, dataset: Dataset, photo: str | None = None) -> bytes:
    """Serialises a sample as a tf.train.Example.

    Args:
      sample: as a source gives it.
      dataset: its classes.
      photo: path of the sample's image file. Its bytes are kept if TensorFlow decodes them as they
        are; without it, or for rotated, CMYK and other special files, the picture is stored as a
        PNG.

    Raises:
      UserError: there are more instances than numbers.
    """
    name = sample["image_id"]
    instance = sample["instance"]
    divisor = own_encoding(dataset).divisor
    if instance.max(initial=0) >= divisor:
        raise UserError(
            f"image {name!r} has {divisor} instances or more; its labels cannot be encoded."
        )
    # int32 [H, W]; crowd is a thing without instance.
    label = np.multiply(sample["semantic"], divisor, dtype="<i4")
    label += instance
    height, width = label.shape
    encoded, image_format = _encode_image(sample["image"], photo)
    values = {
        IMAGE: encoded,
        FORMAT: image_format.encode(),
        NAME: name.encode(),
        HEIGHT: height,
        WIDTH: width,
        CHANNELS: 3,
        LABEL: zlib.compress(label.tobytes(), _LEVEL),
        LABEL_FORMAT: ZLIB.encode(),
    }
    return _serialized(values)


def _encode_image(image: np.ndarray, photo: str | None) -> tuple[bytes, str]:
    """A picture's bytes and what format they have."""
    if photo is not None:
        with storage.open(photo, "rb") as file:
            data = file.read()
        with Image.open(io.BytesIO(data)) as opened:
            if _is_plain(opened) and opened.size == image.shape[1::-1]:
                return data, opened.format.lower()
    _, data = cv2.imencode(".png", image[..., ::-1])
    return data.tobytes(), "png"


def _is_plain(image: Image.Image) -> bool:
    """Whether TensorFlow reads the file as every other reader does."""
    if image.mode != "RGB" or image.format not in ("JPEG", "PNG"):
        return False
    return image_orientation(image) == UPRIGHT


# === The message ===
#
# Written by hand, as TensorFlow takes seconds to start and this is all that would be needed of it.


def _serialized(values: Mapping[str, bytes | int]) -> bytes:
    """A tf.train.Example of one value a key, byte for byte as TensorFlow's deterministic
    serialisation has it: {features: {feature: {key: value}}}.
    """
    entries = []
    for key, value in sorted(values.items()):
        entry = _field(1, key.encode()) + _field(2, _feature(value))
        entries.append(_field(1, entry))
    return _field(1, b"".join(entries))


def _feature(value: bytes | int) -> bytes:
    """A tf.train.Feature: a list of one, of bytes (field 1) or of numbers (field 3)."""
    if isinstance(value, bytes):
        return _field(1, _field(1, value))
    return _field(3, _field(1, _varint(value)))


def _field(number: int, content: bytes) -> bytes:
    """A field of a message: its number and kind, the length of its content, the content."""
    return bytes([number << 3 | _WITH_LENGTH]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """7 bits a byte, the lowest first; the highest bit of a byte says that more follow."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
