"""PNGs that say of themselves that they are results of this library, wherever they are moved.

What the benchmarks' servers take has no other place for it: VOC's are PNGs alone. The PNG format
has one, a text with the name of the software, which no reader of pixels looks at.
"""

from __future__ import annotations

import struct
import zlib

from deeperlab_tf.files import storage
from deeperlab_tf.files.png_chunks import SIGNATURE

MAKER = "DeeperLab for TensorFlow"

_HEADER_END = len(SIGNATURE) + 25  # the first chunk of a PNG is its header, of 13 bytes + 12
_KIND = b"tEXt"
_TEXT = b"Software\0" + MAKER.encode("ascii")
_CHUNK = struct.pack(">I4s", len(_TEXT), _KIND) + _TEXT
_CHUNK += struct.pack(">I", zlib.crc32(_KIND + _TEXT))


def stamped(png: bytes) -> bytes:
    """A PNG with the stamp behind its header."""
    return png[:_HEADER_END] + _CHUNK + png[_HEADER_END:]


def is_stamped(path: str) -> bool:
    """Whether a file is a PNG with the stamp.

    Those in buckets are not looked at: each would be a request.
    """
    if storage.is_remote(path) or not path.lower().endswith(".png"):
        return False
    try:
        with storage.open(path, "rb") as file:
            head = file.read(_HEADER_END + len(_CHUNK))
    except OSError:
        return False
    return head.startswith(SIGNATURE) and head.endswith(_CHUNK)
