"""What JPEG and PNG files claim to be, read from their first bytes by TensorFlow operations.

Nothing is decoded for it, so that a decompression bomb costs nothing.
"""

from __future__ import annotations

import tensorflow as tf

_PNG_START = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR"  # signature, and the head of the first chunk
_PNG_WIDTH, _PNG_HEIGHT = 16, 20  # bytes where they stand

_JPEG_START = b"\xff\xd8"
_MARKER = 0xFF  # byte before each marker of a JPEG
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_START_OF_FRAME = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))  # markers that no segment follows
_MAX_SEGMENTS = 10_000  # of a JPEG's header; real ones have a few dozen

_EXIF = b"Exif\0\0"
_ORIENTATION_TAG = 0x0112
_MAX_ENTRIES = 256  # of an EXIF directory that are looked at
_ENTRY_BYTES = 12
FIRST_SIDEWAYS = 5  # orientations 5-8 lie on their side
UPRIGHT = 1  # EXIF orientation

_END_OF_DATA = b"\0" * 32  # so that a field read past the end is 0


def image_headers(encoded: tf.Tensor) -> tf.Tensor:
    """Size and orientation of encoded images, from their headers alone.

    Args:
      encoded: string [B].

    Returns:
      int32 [B, 3]: height and width as stored, and the EXIF orientation 1-8 of JPEGs (1 where there
      is none); zeros for what is neither JPEG nor PNG.
    """
    return tf.map_fn(_image_header, encoded, fn_output_signature=tf.TensorSpec([3], tf.int32))


def upright_size(header: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(height, width) of an image of that `image_headers` row once it is turned upright."""
    height, width, orientation = header[0], header[1], header[2]
    sideways = orientation >= FIRST_SIDEWAYS
    return tf.where(sideways, width, height), tf.where(sideways, height, width)


def _image_header(encoded):
    """`image_headers` of one image: int32 [3]."""
    data = tf.io.decode_raw(tf.strings.join([encoded, _END_OF_DATA]), tf.uint8)
    is_png = _starts_with(data, 0, _PNG_START)
    is_jpeg = _starts_with(data, 0, _JPEG_START)
    return tf.case(
        [(is_png, lambda: _png_header(data)), (is_jpeg, lambda: _jpeg_header(data))],
        default=lambda: tf.zeros([3], tf.int32),
    )


def _png_header(data):
    height = _number(data, _PNG_HEIGHT, 4)
    width = _number(data, _PNG_WIDTH, 4)
    return tf.stack([height, width, UPRIGHT])


def _jpeg_header(data):
    """Walks over the segments (marker, length, content) up to the first scan."""
    end = tf.size(data)

    def is_segment(position, header):
        del header
        marker = _number(data, position + 1, 1)
        is_marker = _number(data, position, 1) == _MARKER
        return (position < end) & is_marker & (marker != _START_OF_SCAN)

    def step(position, header):
        marker = _number(data, position + 1, 1)
        header = _read_segment(data, marker, position + 4, header)
        return position + _segment_length(data, marker, position + 2), header

    start = tf.constant(len(_JPEG_START)), tf.constant([0, 0, UPRIGHT])
    _, header = tf.while_loop(
        is_segment, step, start, maximum_iterations=_MAX_SEGMENTS, parallel_iterations=1
    )
    return header


def _read_segment(data, marker, content, header):
    """`header` with what the segment at byte `content` says."""
    # A frame starts with a byte of precision.
    is_frame = tf.reduce_any(marker == tf.constant(_START_OF_FRAME))
    height, width = _number(data, content + 1, 2), _number(data, content + 3, 2)
    size = tf.where(is_frame, tf.stack([height, width]), header[:2])

    is_exif = (marker == _APP1) & _starts_with(data, content, _EXIF)
    orientation = tf.cond(
        is_exif,
        lambda: _exif_orientation(data, content + len(_EXIF)),
        lambda: header[2],
    )
    return tf.concat([size, [orientation]], 0)


def _segment_length(data, marker, position):
    """Bytes from a marker to the next one; the segment's length stands at byte `position`."""
    length = tf.maximum(_number(data, position, 2), 2)
    has_length = tf.reduce_all(marker != tf.constant(_WITHOUT_LENGTH))
    # 0xFF before a marker is padding.
    return tf.where(marker == _MARKER, 1, tf.where(has_length, 2 + length, 2))


def _exif_orientation(data, start):
    """The orientation in the TIFF directory at byte `start`; 1 where there is none."""
    is_little_endian = _number(data, start, 1) == ord("I")

    def number(positions, count):
        powers = tf.constant([256**power for power in range(count)])
        powers = tf.where(is_little_endian, powers, powers[::-1])
        return tf.reduce_sum(_bytes(data, positions, count) * powers, -1)

    # A directory is a count, and entries of a tag (2 bytes), a type, a count and a value.
    directory = start + number(start + 4, 4)
    count = tf.minimum(number(directory, 2), _MAX_ENTRIES)
    entries = directory + 2 + _ENTRY_BYTES * tf.range(count)

    is_orientation = number(entries, 2) == _ORIENTATION_TAG
    value = tf.reduce_max(tf.where(is_orientation, number(entries + 8, 2), 0))
    return tf.where((value >= 1) & (value <= 8), value, UPRIGHT)


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
