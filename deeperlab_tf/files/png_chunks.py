"""What the chunks of a PNG say beside its pixels, without decoding it."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from deeperlab_tf.files.orientation import UPRIGHT, orientation_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp\0\0"  # of an iTXt chunk that is not compressed
MAX_CHUNKS = 20_000  # a picture of 2**27 pixels has about as many, of 8 kB each

_LENGTH_BYTES, _HEAD_BYTES, _CHECKSUM_BYTES = 4, 8, 4
_MAX_METADATA = 2**20  # bytes of a chunk that are read


class PngFacts(NamedTuple):
    """What a PNG's chunks say.

    Attributes:
      bits: of a sample: 1, 2, 4, 8 or 16.
      frames: of its animation; 0 where it has none.
      orientation: 1-8.
      whole: whether its last chunk is there.
    """

    bits: int
    frames: int
    orientation: int
    whole: bool


def read_png_facts(file: BinaryIO) -> PngFacts:
    """Walks over the chunks of a PNG.

    Args:
      file: open for reading; where it stands is restored.
    """
    stood = file.tell()
    bits, frames, exif, xmp, whole = 0, 0, None, None, False
    file.seek(len(SIGNATURE))
    for _ in range(MAX_CHUNKS):
        head = file.read(_HEAD_BYTES)
        if len(head) < _HEAD_BYTES:
            break
        length, kind = int.from_bytes(head[:_LENGTH_BYTES], "big"), head[_LENGTH_BYTES:]
        end = file.tell() + length + _CHECKSUM_BYTES
        if kind == b"IHDR":
            bits = _content(file, length)[8:9]
            bits = bits[0] if bits else 0
        elif kind == b"acTL":
            frames = frames or int.from_bytes(_content(file, length)[:4], "big")
        elif kind == b"eXIf" and exif is None:
            exif = _content(file, length)
        elif kind == b"iTXt" and xmp is None:
            text = _content(file, length)
            xmp = text if text.startswith(XMP_KEYWORD) else None
        elif kind == b"IEND":
            whole = len(file.read(_CHECKSUM_BYTES)) == _CHECKSUM_BYTES
            break
        file.seek(end)
    file.seek(stood)
    orientation = orientation_of(exif or b"", xmp or b"") if exif or xmp else UPRIGHT
    return PngFacts(bits, frames, orientation, whole)


def _content(file, length):
    return file.read(min(length, _MAX_METADATA))
