"""What is inside a record may claim or become more than a machine has room for: looked at in TF ops
before it is unpacked.
"""

from __future__ import annotations

import tensorflow as tf

_MOST_A_BYTE = 1032  # bytes that a byte of deflated data can become
_ROOM = 2**26  # bytes that may be made beyond those that are wanted, or four times these if more
_TIMES = 4

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_PNG_SIZE = 16  # byte of a PNG file at which its width and height stand


def inflate(deflated: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Inflates zlib's data, and stops soon after `size` bytes.

    TensorFlow's own op has no limit, but inflates what there is of data that is cut off. So it is
    given so many bytes at a time that what they can become fits. Labels shrink sixtyfold and more:
    usually the first time is the last.

    Args:
      deflated: string [].
      size: int64 [], bytes that are wanted.

    Returns:
      string [], of another length than `size` where the data are not of that size.
    """
    length = tf.strings.length(deflated)
    room = tf.maximum(_TIMES * size, _ROOM)
    step = tf.cast(tf.minimum(room // _MOST_A_BYTE, tf.int32.max // 2), tf.int32)

    def is_unfinished(end, inflated):
        inflated_size = tf.cast(tf.strings.length(inflated), tf.int64)
        return (end < length) & (inflated_size <= size)

    def inflate_more(end, _):
        end = tf.minimum(end + step, length)
        return end, tf.io.decode_compressed(tf.strings.substr(deflated, 0, end), "ZLIB")

    _, inflated = tf.while_loop(is_unfinished, inflate_more, (tf.constant(0), tf.constant("")))
    return inflated


def picture_size(data: tf.Tensor) -> tf.Tensor:
    """The size that the head of a JPEG or PNG file states.

    Args:
      data: string [], the file.

    Returns:
      int64 [2], height and width; -1, -1 where it is neither.
    """

    def of_png():
        head = tf.strings.substr(data, _PNG_SIZE, 8)
        width_height = tf.io.decode_raw(head, tf.int32, little_endian=False)
        return tf.cast(tf.reverse(width_height, [0]), tf.int64)

    def of_jpeg():
        return tf.io.extract_jpeg_shape(data, tf.int64)[:2]

    def of_others():
        return tf.constant([-1, -1], tf.int64)

    # A file that ends within its head is neither, too.
    is_whole = tf.strings.length(data) >= _PNG_SIZE + 8
    is_png = is_whole & _begins_with(data, _PNG)
    is_jpeg = is_whole & _begins_with(data, _JPEG)
    return tf.case([(is_png, of_png), (is_jpeg, of_jpeg)], default=of_others)


def _begins_with(data: tf.Tensor, head: bytes) -> tf.Tensor:
    return tf.equal(tf.strings.substr(data, 0, len(head)), head)
