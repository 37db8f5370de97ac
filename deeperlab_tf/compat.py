"""The only file that knows which TensorFlow / Keras stack is installed.

Reference stack (Python 3.9-3.11): TensorFlow 2.15 with its own Keras 2 and tensorflow-addons 0.23.
Current stack (Python 3.12 and newer): TensorFlow >= 2.18 with Keras 2 from the `tf_keras` package;
tensorflow-addons does not exist for it. Keras 2 on both, because that is what `tf.distribute` is
known to work with.

Exports `keras` and `interpolate_bilinear`.
"""

import warnings

import tensorflow as tf

if tuple(int(part) for part in tf.__version__.split(".")[:2]) >= (2, 16):
    import tf_keras as keras
else:
    keras = tf.keras

__all__ = ["keras", "interpolate_bilinear"]


def _interpolate_bilinear(grid, query_points):
    """The current stack's `interpolate_bilinear`, in core TF; see `interpolate_bilinear` for the
    contract.
    """
    height, width = tf.shape(grid)[1], tf.shape(grid)[2]
    limit = tf.stack([height, width]) - 2  # the last cell a query may fall into
    points = tf.cast(query_points, grid.dtype)
    corner = tf.clip_by_value(tf.cast(tf.floor(points), tf.int32), 0, tf.maximum(limit, 0))
    fraction = tf.clip_by_value(points - tf.cast(corner, grid.dtype), 0.0, 1.0)
    fraction_y, fraction_x = fraction[..., 0:1], fraction[..., 1:2]

    def corner_values(dy, dx):
        return tf.gather_nd(grid, corner + tf.constant([dy, dx]), batch_dims=1)

    top = corner_values(0, 0) * (1 - fraction_x) + corner_values(0, 1) * fraction_x
    bottom = corner_values(1, 0) * (1 - fraction_x) + corner_values(1, 1) * fraction_x
    return top * (1 - fraction_y) + bottom * fraction_y


try:
    with warnings.catch_warnings():
        # Tensorflow-addons' end-of-life notice: nothing a user can act on.
        warnings.simplefilter("ignore")
        from tensorflow_addons.image import interpolate_bilinear as _addons_interpolate_bilinear
except ImportError:
    _addons_interpolate_bilinear = None


def interpolate_bilinear(grid, query_points):
    """Samples a map at fractional grid positions; positions outside take the nearest border value.

    Args:
      grid: float32 [B, h, w, C], h and w at least 2.
      query_points: float32 [B, N, 2], (y, x) in grid cells. NaN is not allowed.

    Returns:
      float32 [B, N, C].
    """
    if _addons_interpolate_bilinear is not None:
        return _addons_interpolate_bilinear(grid, query_points, indexing="ij")
    return _interpolate_bilinear(grid, query_points)
