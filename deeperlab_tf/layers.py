"""The few layers the network is made of.

Everything serialises by name (Keras' safe mode loads it; there is no Lambda). Grid cell (i, j) of a
map at stride n sits exactly on input pixel (n*i, n*j), so every change of resolution here is the
align-corners kind.
"""

import dataclasses
import math

import tensorflow as tf

from deeperlab_tf.compat import keras

register = keras.utils.register_keras_serializable("deeperlab_tf")


@dataclasses.dataclass(frozen=True)
class BatchNorm:
    """Batch-norm constants of a part of the network.

    Attributes:
      momentum: share of the old moving average kept at each step.
      epsilon: 1e-5 in ASPP, decoder and heads; 1e-3 in the backbones (DeepLab).
    """

    momentum: float = 0.997
    epsilon: float = 1e-5


# === Layers ===


@register
class SpaceToDepth(keras.layers.Layer):
    """[B, h, w, C] -> [B, ceil(h/n), ceil(w/n), C*n*n] (paper Sec. 3.2, Fig. 3).

    The map is first padded with zeros at the bottom and right to a multiple of n: a stride-4 side
    4k + 1 becomes the stride-16 side k + 1.
    """

    def __init__(self, block_size, **kwargs):
        super().__init__(**kwargs)
        self.block_size = block_size

    def call(self, inputs):
        shape = tf.shape(inputs)
        below, right = (
            self.block_size - 1 - (shape[axis] - 1) % self.block_size for axis in (1, 2)
        )
        padded = tf.pad(inputs, [[0, 0], [0, below], [0, right], [0, 0]])
        output = tf.nn.space_to_depth(padded, self.block_size)
        output.set_shape(self.compute_output_shape(inputs.shape))
        return output

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = tuple(input_shape)

        def blocks(side):
            return None if side is None else -(-side // self.block_size)

        return tf.TensorShape((batch, blocks(height), blocks(width), channels * self.block_size**2))

    def get_config(self):
        return {**super().get_config(), "block_size": self.block_size}


@register
class DepthToSpace(keras.layers.Layer):
    """[B, h, w, C*n*n] -> [B, n*(h-1)+1, n*(w-1)+1, C] (paper Sec. 3.2, Fig. 3).

    The inverse of `SpaceToDepth`, cropped to the side whose last cell sits on the image's last
    pixel.
    """

    def __init__(self, block_size, **kwargs):
        super().__init__(**kwargs)
        self.block_size = block_size

    def call(self, inputs):
        extra = self.block_size - 1
        output = tf.nn.depth_to_space(inputs, self.block_size)
        return output[:, : tf.shape(output)[1] - extra, : tf.shape(output)[2] - extra]

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = tuple(input_shape)

        def finer(side):
            return None if side is None else self.block_size * (side - 1) + 1

        return tf.TensorShape((batch, finer(height), finer(width), channels // self.block_size**2))

    def get_config(self):
        return {**super().get_config(), "block_size": self.block_size}


@register
class AlignCornersResize(keras.layers.Layer):
    """Bilinear upsampling by an integer factor, [B, h, w, C] -> [B, n*(h-1)+1, n*(w-1)+1, C]; see
    `upsample`.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return upsample(inputs, self.factor)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@register
class ImagePooling(keras.layers.Layer):
    """Mean over the whole map, [B, h, w, C] -> [B, 1, 1, C]; computed in float32."""

    def call(self, inputs):
        mean = tf.reduce_mean(tf.cast(inputs, tf.float32), axis=(1, 2), keepdims=True)
        return tf.cast(mean, inputs.dtype)


@register
class BroadcastLike(keras.layers.Layer):
    """Spreads a vector over the height and width of a map: ([B, 1, 1, C], [B, h, w, D]) -> [B, h,
    w, C].
    """

    def call(self, inputs):
        vector, reference = inputs
        shape = tf.shape(reference)
        output = tf.broadcast_to(vector, tf.stack([shape[0], shape[1], shape[2], vector.shape[-1]]))
        output.set_shape([None, *reference.shape[1:3], vector.shape[-1]])
        return output


@register
class Scale(keras.layers.Layer):
    """Multiplies by a constant: the offset heads learn in units of the keypoint radius and answer
    in pixels.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * tf.cast(self.factor, inputs.dtype)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@register
class Dropout(keras.layers.Dropout):
    """Keras' dropout, whose mask a trainer can make a function of the step.

    Attributes:
      seed_of_step: function that gives an int32 [2] seed; None: TensorFlow's own stream of random
        numbers, which no checkpoint can restore.
    """

    seed_of_step = None

    def call(self, inputs, training=None):
        if self.seed_of_step is None or training is not True or not self.rate:
            return super().call(inputs, training=training)
        kept = tf.random.stateless_uniform(tf.shape(inputs), self.seed_of_step()) >= self.rate
        return tf.where(kept, inputs / (1.0 - self.rate), tf.zeros_like(inputs))


# === Functions ===


def upsample(maps, factor):
    """Align-corners bilinear interpolation by an integer factor.

    Args:
      maps: float [B, h, w, C]; h and w may be dynamic.
      factor: integer n >= 1.

    Returns:
      float [B, n*(h-1)+1, n*(w-1)+1, C]; the values at every n-th pixel are those of `maps`.
    """
    maps = tf.convert_to_tensor(maps)
    return _interpolate(_interpolate(maps, factor, axis=1), factor, axis=2)


def _interpolate(maps, factor, axis):
    """`upsample` along one axis: from each pair of neighbours `factor` values, from the first on;
    then the last.
    """
    sizes = shape_of(maps)
    size = sizes[axis]
    # Splits, for slices have a slow gradient.
    before, last = tf.split(maps, [size - 1, 1], axis)
    _, after = tf.split(maps, [1, size - 1], axis)
    steps = [
        before + (after - before) * tf.cast(step / factor, maps.dtype) for step in range(factor)
    ]
    sizes[axis] = factor * (size - 1)
    return tf.concat([tf.reshape(tf.stack(steps, axis=axis + 1), sizes), last], axis)


def shape_of(maps):
    """Sizes of a tensor's axes, as integers where they are known: a list."""
    dynamic = tf.shape(maps)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(maps.shape)]


def conv(
    x,
    filters,
    kernel_size=1,
    strides=1,
    *,
    activation="relu",
    norm=BatchNorm(),
    padding="same",
    name,
):
    """Convolution, batch norm and activation; `padding` as in `pad_by_hand`, `activation` as in
    `normalise`.
    """
    x, padding = pad_by_hand(x, kernel_size, strides, padding, name)
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)
    return normalise(x, activation, norm, name)


def depthwise_conv(
    x, kernel_size, strides=1, rate=1, *, activation="relu", norm=BatchNorm(), padding="same", name
):
    """Depthwise convolution, batch norm and activation; `padding` and `activation` as in `conv`."""
    x, padding = pad_by_hand(x, rate * (kernel_size - 1) + 1, strides, padding, name)
    stddev = math.sqrt(2) / kernel_size  # He's rule; Keras' own would count all channels as fan-in
    x = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides,
        padding,
        dilation_rate=rate,
        use_bias=False,
        name=name,
        depthwise_initializer=keras.initializers.RandomNormal(stddev=stddev),
    )(x)
    return normalise(x, activation, norm, name)


def pad_by_hand(x, kernel_size, strides, padding, name):
    """Padding of a convolution: "same" as TensorFlow does it, or "symmetric", as ResNet and
    Xception do.

    The two differ where a stride meets an even side: TensorFlow then pads more at the end,
    "symmetric" never does, so that a cell looks at the same pixels whatever the size of the image.

    Returns:
      (x, the Keras convolution's own padding).
    """
    if padding == "same" or strides == 1:
        return x, "same"
    before = (kernel_size - 1) // 2
    after = kernel_size - 1 - before
    return keras.layers.ZeroPadding2D(((before, after), (before, after)), name=f"{name}_pad")(
        x
    ), "valid"


def separable_conv(x, filters, kernel_size, rate=1, *, norm=BatchNorm(), name):
    """Depthwise-separable convolution, batch norm and ReLU after each half (DeepLab's "split
    separable").
    """
    x = depthwise_conv(x, kernel_size, rate=rate, norm=norm, name=f"{name}_depthwise")
    return conv(x, filters, norm=norm, name=f"{name}_pointwise")


def normalise(x, activation, norm, name):
    """Batch norm, then "relu", "relu6" or None."""
    x = keras.layers.BatchNormalization(
        momentum=norm.momentum, epsilon=norm.epsilon, name=f"{name}_bn"
    )(x)
    if activation is None:
        return x
    return keras.layers.ReLU(
        max_value={"relu": None, "relu6": 6.0}[activation], name=f"{name}_{activation}"
    )(x)
