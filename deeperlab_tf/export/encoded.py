"""Images as they come over the wire, JPEG or PNG bytes, decoded inside the graph: TensorFlow
operations only.

They become the pixels that `files.images.read_image` gives, or are refused. Whatever is wrong is
reported with the image's place in the batch.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from deeperlab_tf.export.headers import (
    BITS,
    FRAMES,
    HEIGHT,
    ORIENTATION,
    WIDTH,
    image_headers,
    upright_size,
)
from deeperlab_tf.files.orientation import FIRST_SIDEWAYS, MIRRORED, UPRIGHT, UPSIDE_DOWN
from deeperlab_tf.files.pixels import DARK, WIDE_BITS

_PNG_FIRST_BYTE = b"\x89"
_TOO_DARK = "has 16 bits but no sample of a sixteenth of white; scale it to the full range."


class EncodedImages(NamedTuple):
    """A batch of encoded images and what their headers say.

    Attributes:
      encoded: string [B], JPEG or PNG files.
      headers: int32 [B, 5], see `headers.image_headers`.
      sizes: int32 [B, 2], (height, width) of each image once it is turned upright.
    """

    encoded: tf.Tensor
    headers: tf.Tensor
    sizes: tf.Tensor

    @classmethod
    def checked(cls, encoded: tf.Tensor, max_pixels: int) -> EncodedImages:
        """Reads and checks the headers; errors are those of `check_headers`."""
        headers = check_headers(image_headers(encoded), max_pixels)
        sides = (tf.int32, tf.int32)
        sizes = tf.map_fn(upright_size, headers, fn_output_signature=sides)
        return cls(encoded, headers, tf.stack(sizes, axis=1))

    def decode(self, index: tf.Tensor) -> tf.Tensor:
        """Image `index`, uint8 [H, W, 3]; see `decode_image`."""
        return decode_image(self.encoded[index], self.headers[index], index)


def check_headers(headers: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Fails unless there are images and all of them are readable and small enough.

    Args:
      headers: of `image_headers`.
      max_pixels: largest number of pixels that is decoded.

    Returns:
      `headers`; what is computed from them waits for the check.

    Raises:
      tf.errors.InvalidArgumentError: at run time; names the first image that is wrong.
    """
    # A header may claim more pixels than 32 bits hold.
    heights = tf.cast(headers[:, HEIGHT], tf.int64)
    widths = tf.cast(headers[:, WIDTH], tf.int64)
    pixels = heights * widths

    too_large = f"has more than {max_pixels} pixels; make it smaller."
    some = require_images(headers)
    known = _require_all(pixels > 0, "is neither a JPEG nor a PNG.")
    small = _require_all(pixels <= max_pixels, too_large)
    frames = headers[:, FRAMES]  # negative where 32 bits do not hold it
    still = _require_all((frames >= 0) & (frames <= 1), "is a film; send its frames as pictures.")
    with tf.control_dependencies([*some, *known, *small, *still]):
        return tf.identity(headers)


def decode_image(encoded: tf.Tensor, header: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Decodes one image and turns it upright.

    Args:
      encoded: string [].
      header: its row of `image_headers`.
      index: its place in the batch, for the error.

    Returns:
      uint8 [H, W, 3], RGB, converted as `files.pixels` says.

    Raises:
      tf.errors.InvalidArgumentError: at run time, if the file is broken or its range is not known.
    """
    pixels = _decode_or_empty(encoded)
    is_whole = (tf.size(pixels) > 0) & (header[BITS] > 0)
    whole = require(is_whole, _sentence(index, "is broken or cut off; it cannot be decoded."))
    is_dark = tf.reduce_max(tf.cast(pixels, tf.int32)) < DARK
    is_clear = (header[BITS] < WIDE_BITS) | ~is_dark
    with tf.control_dependencies(whole):
        clear = require(is_clear, _sentence(index, _TOO_DARK))
    with tf.control_dependencies([*whole, *clear]):
        pixels = tf.identity(pixels)

    orientation = header[ORIENTATION]
    pixels = tf.cond(
        orientation == UPRIGHT,
        lambda: pixels,
        lambda: _turn_upright(pixels, orientation),
    )
    return tf.ensure_shape(pixels, [None, None, 3])


def require(condition: tf.Tensor, message: str | tf.Tensor) -> list[tf.Operation]:
    """An assertion for `tf.control_dependencies`, in a list that is empty in eager mode.

    It is decided at run time, never while the graph is made.
    """
    assertion = tf.raw_ops.Assert(condition=condition, data=[message], summarize=1)
    return [] if assertion is None else [assertion]


def require_images(batch: tf.Tensor) -> list[tf.Operation]:
    """The assertion that a batch is not empty; see `require`."""
    return require(tf.size(batch) > 0, "the batch is empty; send at least one image.")


def _require_all(good, what):
    """Assertion that all of bool [B] hold; says which image is the first that does not."""
    # [B + 1]: the last entry is for where none is wrong, or there are none.
    is_good = tf.cast(tf.concat([good, [False]], 0), tf.int32)
    first = tf.argmin(is_good, output_type=tf.int32)
    return require(tf.reduce_all(good), _sentence(first, what))


def _sentence(index, what):
    number = tf.strings.as_string(index)
    return tf.strings.join(["image ", number, f" of the batch (the first is 0) {what}"])


def _decode_or_empty(encoded):
    """uint8 [H, W, 3], or [0, 0, 3] where decoding fails.

    An operation that fails ends the whole call; a dataset's elements may fail and be passed over.
    This is the only way to learn from within a graph that an image is broken.
    """

    def decode(data):
        # Accurately, as every other reader does.
        return tf.cond(
            tf.strings.substr(data, 0, 1) == _PNG_FIRST_BYTE,
            lambda: tf.io.decode_png(data, 3),
            lambda: tf.io.decode_jpeg(data, 3, dct_method="INTEGER_ACCURATE"),
        )

    # For one element, what makes pipelines fast only costs.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False

    # The image, or nothing; then the empty one, which is the first if there is nothing.
    images = tf.data.Dataset.from_tensors(encoded).map(decode).ignore_errors()
    empty = tf.data.Dataset.from_tensors(tf.zeros([0, 0, 3], tf.uint8))
    first = images.concatenate(empty).take(1)
    return first.with_options(options).get_single_element()


def _turn_upright(pixels, orientation):
    """Undoes the EXIF orientations 2-8."""

    def one_of(*values):
        return tf.reduce_any(tf.equal(orientation, tf.constant(values)))

    # First the axes change places, then each is turned round.
    turned = tf.cond(
        orientation >= FIRST_SIDEWAYS,
        lambda: tf.transpose(pixels, [1, 0, 2]),
        lambda: pixels,
    )
    mirrored = tf.cond(one_of(*MIRRORED), lambda: tf.reverse(turned, [1]), lambda: turned)
    return tf.cond(one_of(*UPSIDE_DOWN), lambda: tf.reverse(mirrored, [0]), lambda: mirrored)
