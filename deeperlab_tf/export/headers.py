"""What JPEG and PNG files claim to be, read from their first bytes by TensorFlow operations.

Nothing is decoded for it, so that a decompression bomb costs nothing.
"""

from __future__ import annotations

import tensorflow as tf

from deeperlab_tf.files.orientation import (
    EXIF_START,
    FIRST_SIDEWAYS,
    MAX_ENTRIES,
    ORIENTATION_TAG,
    UPRIGHT,
    XMP_ORIENTATION,
)
from deeperlab_tf.files.png_chunks import MAX_CHUNKS, SIGNATURE, XMP_KEYWORD

# Columns of `image_headers`.
HEIGHT, WIDTH, ORIENTATION, BITS, FRAMES = range(5)
_COLUMNS = 5

_PNG_START = SIGNATURE + b"\0\0\0\rIHDR"  # signature, and the head of the first chunk
_PNG_WIDTH, _PNG_HEIGHT, _PNG_BITS = 16, 20, 24  # bytes where they stand
_CHUNK_HEAD, _CHUNK_TAIL = 8, 4  # bytes around a chunk's content

_JPEG_START = b"\xff\xd8"
_JPEG_BITS = 8
_MARKER = 0xFF  # byte before each marker of a JPEG
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_START_OF_FRAME = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))  # markers that no segment follows
_MAX_SEGMENTS = 10_000  # of a JPEG's header; real ones have a few dozen
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"

_ENTRY_BYTES = 12  # of an EXIF directory
_END_OF_DATA = b"\0" * 32  # so that a field read past the end is 0


def image_headers(encoded: tf.Tensor) -> tf.Tensor:
    """What encoded images say of themselves; nothing is decoded.

    Args:
      encoded: string [B].

    Returns:
      int32 [B, 5]: height and width as stored; the orientation 1-8, as `files.orientation` defines
      it; bits of a sample, 0 where the file is cut off; frames of an animation, 0 where there is
      none. Zeros for what is neither JPEG nor PNG.
    """
    spec = tf.TensorSpec([_COLUMNS], tf.int32)
    return tf.map_fn(_image_header, encoded, fn_output_signature=spec)


def upright_size(header: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(height, width) of an image of that `image_headers` row once it is turned upright."""
    height, width, orientation = header[HEIGHT], header[WIDTH], header[ORIENTATION]
    sideways = orientation >= FIRST_SIDEWAYS
    return tf.where(sideways, width, height), tf.where(sideways, height, width)


def _image_header(encoded):
    """`image_headers` of one image: int32 [5]."""
    data = tf.io.decode_raw(tf.strings.join([encoded, _END_OF_DATA]), tf.uint8)
    is_png = _starts_with(data, 0, _PNG_START)
    is_jpeg = _starts_with(data, 0, _JPEG_START)
    return tf.case(
        [
            (is_png, lambda: _png_header(encoded, data)),
            (is_jpeg, lambda: _jpeg_header(encoded, data)),
        ],
        default=lambda: tf.zeros([_COLUMNS], tf.int32),
    )


def _orientation(encoded, data, exif, xmp):
    """The orientation that EXIF data ask for, else an XMP packet.

    Args:
      encoded, data: the file, as a string and as bytes.
      exif, xmp: int32 [2], first byte and end of each; zeros where there is none.
    """
    packet = tf.strings.substr(encoded, xmp[0], xmp[1] - xmp[0])
    pattern = rf"\C*?{XMP_ORIENTATION}\C*"
    told = tf.strings.regex_full_match(packet, pattern)
    digit = tf.strings.regex_replace(packet, pattern, r"\1", replace_global=False)
    by_xmp = tf.strings.to_number(tf.where(told, digit, str(UPRIGHT)), tf.int32)
    by_exif = _exif_orientation(data, exif[0], exif[1])
    return tf.where(by_exif > 0, by_exif, by_xmp)


# === PNG ===


def _png_header(encoded, data):
    """Walks over the chunks (length, kind, content, checksum)."""
    end = tf.size(data) - len(_END_OF_DATA)

    def is_chunk(position, is_last, *_):
        return (position >= 0) & (position + _CHUNK_HEAD <= end) & ~is_last

    def step(position, is_last, exif, xmp, frames):
        length, content = _number(data, position, 4), position + _CHUNK_HEAD
        # A length may be larger than 32 bits hold.
        length = tf.where((length < 0) | (length > end), end, length)
        place = tf.stack([content, tf.minimum(content + length, end)])

        def is_kind(kind):
            return _starts_with(data, position + 4, kind)

        is_xmp = is_kind(b"iTXt") & _starts_with(data, content, XMP_KEYWORD) & (xmp[1] == 0)
        exif = tf.where(is_kind(b"eXIf") & (exif[1] == 0), place, exif)
        xmp = tf.where(is_xmp, place, xmp)
        frames = tf.where(is_kind(b"acTL") & (frames == 0), _number(data, content, 4), frames)
        return content + length + _CHUNK_TAIL, is_kind(b"IEND"), exif, xmp, frames

    nowhere = tf.zeros([2], tf.int32)
    start = tf.constant(len(SIGNATURE)), tf.constant(False), nowhere, nowhere, tf.constant(0)
    _, is_whole, exif, xmp, frames = tf.while_loop(
        is_chunk, step, start, maximum_iterations=MAX_CHUNKS, parallel_iterations=1
    )
    bits = tf.where(is_whole, _number(data, _PNG_BITS, 1), 0)
    height, width = _number(data, _PNG_HEIGHT, 4), _number(data, _PNG_WIDTH, 4)
    return tf.stack([height, width, _orientation(encoded, data, exif, xmp), bits, frames])


# === JPEG ===


def _jpeg_header(encoded, data):
    """Walks over the segments (marker, length, content) up to the first scan."""
    end = tf.size(data)

    def is_segment(position, *_):
        marker = _number(data, position + 1, 1)
        is_marker = _number(data, position, 1) == _MARKER
        return (position < end) & is_marker & (marker != _START_OF_SCAN)

    def step(position, size, exif, xmp):
        marker, content = _number(data, position + 1, 1), position + 4
        following = position + _segment_length(data, marker, position + 2)

        # A frame starts with a byte of precision.
        is_frame = tf.reduce_any(marker == tf.constant(_START_OF_FRAME))
        height, width = _number(data, content + 1, 2), _number(data, content + 3, 2)
        size = tf.where(is_frame, tf.stack([height, width]), size)

        def is_kind(kind):
            return (marker == _APP1) & _starts_with(data, content, kind)

        place = tf.stack([content, following])
        exif = tf.where(is_kind(EXIF_START) & (exif[1] == 0), place, exif)
        xmp = tf.where(is_kind(_JPEG_XMP), tf.minimum(place, end - len(_END_OF_DATA)), xmp)
        return following, size, exif, xmp

    nothing = tf.zeros([2], tf.int32)
    start = tf.constant(len(_JPEG_START)), nothing, nothing, nothing
    _, size, exif, xmp = tf.while_loop(
        is_segment, step, start, maximum_iterations=_MAX_SEGMENTS, parallel_iterations=1
    )
    orientation = _orientation(encoded, data, exif, xmp)
    return tf.stack([size[0], size[1], orientation, _JPEG_BITS, 0])


def _segment_length(data, marker, position):
    """Bytes from a marker to the next one; the segment's length stands at byte `position`."""
    length = tf.maximum(_number(data, position, 2), 2)
    has_length = tf.reduce_all(marker != tf.constant(_WITHOUT_LENGTH))
    # 0xFF before a marker is padding.
    return tf.where(marker == _MARKER, 1, tf.where(has_length, 2 + length, 2))


def _exif_orientation(data, start, end):
    """The orientation in the TIFF directory in bytes `start` to `end`; 0 where there is none."""
    start += tf.where(_starts_with(data, start, EXIF_START), len(EXIF_START), 0)
    is_little_endian = _number(data, start, 1) == ord("I")

    def number(positions, count):
        powers = tf.constant([256**power for power in range(count)])
        powers = tf.where(is_little_endian, powers, powers[::-1])
        value = tf.reduce_sum(_bytes(data, positions, count) * powers, -1)
        # What is past the end is 0; what 32 bits do not hold is past the end of everything.
        value = tf.where(value < 0, tf.int32.max // 2, value)
        return tf.where(positions + count <= end, value, 0)

    # A directory is a count, and entries of a tag (2 bytes), a type, a count and a value.
    directory = tf.minimum(start, end) + tf.minimum(number(start + 4, 4), end)
    count = tf.minimum(number(directory, 2), MAX_ENTRIES)
    entries = directory + 2 + _ENTRY_BYTES * tf.range(count)

    is_orientation = number(entries, 2) == ORIENTATION_TAG
    value = tf.reduce_max(tf.where(is_orientation, number(entries + 8, 2), 0))
    return tf.where((value >= UPRIGHT) & (value <= 8), value, 0)


def _bytes(data, positions, count):
    """The bytes from each position on: int32 [..., count].

    Positions outside are clamped, to where 0 is found.
    """
    positions = tf.expand_dims(tf.convert_to_tensor(positions), -1) + tf.range(count)
    inside = tf.clip_by_value(positions, 0, tf.size(data) - 1)
    return tf.cast(tf.gather(data, inside), tf.int32)


def _number(data, position, count):
    """Big-endian number of `count` bytes."""
    powers = tf.constant([256**power for power in reversed(range(count))])
    return tf.reduce_sum(_bytes(data, position, count) * powers, -1)


def _starts_with(data, position, pattern):
    found = _bytes(data, position, len(pattern))
    return tf.reduce_all(found == tf.constant(list(pattern)))
