"""The parse of a SavedModel as functions that XLA compiles: one for each number of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from deeperlab_tf.export.encoded import require
from deeperlab_tf.fusion import ops

if TYPE_CHECKING:
    from deeperlab_tf.export.saved_model import ExportOptions

Parse = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def parse_compiled(parse: Parse, images: tf.Tensor, options: ExportOptions) -> dict[str, tf.Tensor]:
    """Parses images by the compiled function for their number.

    Args:
      parse: from images of known shape, uint8 [B, H, W, 3], to their parse.
      images: uint8 [B, H, W, 3].
      options: whose sizes of images and batches there are functions for.

    Raises:
      tf.errors.InvalidArgumentError: at run time, for other sizes; names those there are.
    """
    sizes, (height, width) = options.batch_sizes, options.compiled_size
    batch = tf.shape(images)[0]
    is_size = tf.reduce_all(tf.shape(images)[1:3] == [height, width])
    is_known = is_size & tf.reduce_any(batch == sizes)
    with tf.control_dependencies(require(is_known, _refusal(sizes, height, width))):
        images = tf.identity(images)

    def branch(size):
        @tf.function(jit_compile=True, autograph=False)
        def compiled(images):
            with ops.one_form(compiled=True):
                return parse(images)

        return lambda: compiled(tf.ensure_shape(images, [size, height, width, 3]))

    # Which of the sizes it is.
    index = tf.reduce_sum(tf.cast(batch > sizes, tf.int32))
    return tf.switch_case(index, [branch(size) for size in sizes])


def _refusal(sizes: Sequence[int], height: int, width: int) -> str:
    numbers = " or ".join(str(size) for size in sizes)
    return (
        f"this model was compiled for {numbers} images of {height} x {width} pixels at a time; "
        "send such, or export it for others with --image_size and --batch_size."
    )
