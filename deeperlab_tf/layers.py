"""The few layers the network is made of.

Everything serialises by name (Keras' safe mode loads it; there is no Lambda). Grid cell (i, j) of a
map at stride n sits exactly on input pixel (n*i, n*j), so every change of resolution here is the
align-corners kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from deeperlab_tf.compat import keras

register = keras.utils.register_keras_serializable("deeperlab_tf")


class ConvStyle(NamedTuple):
    """What the convolutions of one part of the network have in common.

    Attributes:
      momentum: of the batch norms: share of the old moving average kept at each step.
      epsilon: of the batch norms: 1e-5 in ASPP, decoder and heads; 1e-3 in the backbones (DeepLab).
      activation: "relu", "relu6" or None.
      padding: "same" as TensorFlow does it, or "symmetric", as ResNet and Xception do. The two
        differ where a stride meets an even side: TensorFlow then pads more at the end, "symmetric"
        never does, so that a cell looks at the same pixels whatever the size of the image.
    """

    momentum: float = 0.997
    epsilon: float = 1e-5
    activation: str | None = "relu"
    padding: str = "same"


# === Layers ===


@register
class BatchNorm(keras.layers.BatchNormalization):
    """Keras' batch norm, except where a channel has one value only in the batch.

    That is so for the pooled features of a single image, when replicas or accumulated parts of a
    batch are that small. One value has no variance: it would be normalised to 0, and the moving
    variance would go there too, which ruins the network in evaluation. So such a value is
    normalised with the moving statistics, as in evaluation, and leaves them alone.

    Attributes:
      is_synchronised: whether the batch is that of all replicas.
    """

    is_synchronised = False

    def call(
        self, inputs: tf.Tensor, training: bool | tf.Tensor | None = None, mask: Any = None
    ) -> tf.Tensor:
        if training is not None and inputs.shape[1:-1] == [1, 1]:
            training = self._if_several(training, inputs)
        return super().call(inputs, training=training, mask=mask)

    def _if_several(self, training: bool | tf.Tensor, inputs: tf.Tensor) -> bool | tf.Tensor:
        """Training mode, if the batch has more than one image."""
        if self.is_synchronised:
            return training
        if inputs.shape[0] is not None:
            return training if inputs.shape[0] > 1 else False
        return tf.logical_and(tf.cast(training, tf.bool), tf.shape(inputs)[0] > 1)


@register
class SpaceToDepth(keras.layers.Layer):
    """[B, h, w, C] -> [B, ceil(h/n), ceil(w/n), C*n*n] (paper Sec. 3.2, Fig. 3).

    The map is first padded with zeros at the bottom and right to a multiple of n: a stride-4 side
    4k + 1 becomes the stride-16 side k + 1.
    """

    def __init__(self, block_size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.block_size = block_size

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        last = self.block_size - 1
        shape = tf.shape(inputs)
        below = last - (shape[1] - 1) % self.block_size
        right = last - (shape[2] - 1) % self.block_size
        padded = tf.pad(inputs, [[0, 0], [0, below], [0, right], [0, 0]])
        output = tf.nn.space_to_depth(padded, self.block_size)
        output.set_shape(self.compute_output_shape(inputs.shape))
        return output

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        batch, height, width, channels = tuple(input_shape)
        channels *= self.block_size**2
        return tf.TensorShape((batch, self._blocks(height), self._blocks(width), channels))

    def _blocks(self, side: int | None) -> int | None:
        return None if side is None else -(-side // self.block_size)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "block_size": self.block_size}


@register
class DepthToSpace(keras.layers.Layer):
    """[B, h, w, C*n*n] -> [B, n*(h-1)+1, n*(w-1)+1, C] (paper Sec. 3.2, Fig. 3).

    The inverse of `SpaceToDepth`, cropped to the side whose last cell sits on the image's last
    pixel.
    """

    def __init__(self, block_size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.block_size = block_size

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        extra = self.block_size - 1
        output = tf.nn.depth_to_space(inputs, self.block_size)
        return output[:, : tf.shape(output)[1] - extra, : tf.shape(output)[2] - extra]

    def compute_output_shape(self, input_shape: tf.TensorShape) -> tf.TensorShape:
        batch, height, width, channels = tuple(input_shape)
        channels //= self.block_size**2
        return tf.TensorShape((batch, self._finer(height), self._finer(width), channels))

    def _finer(self, side: int | None) -> int | None:
        return None if side is None else self.block_size * (side - 1) + 1

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "block_size": self.block_size}


@register
class AlignCornersResize(keras.layers.Layer):
    """`upsample` as a layer: [B, h, w, C] -> [B, n*(h-1)+1, n*(w-1)+1, C]."""

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return upsample(inputs, self.factor)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@register
class ImagePooling(keras.layers.Layer):
    """Mean over the whole map, [B, h, w, C] -> [B, 1, 1, C]; computed in float32."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        mean = tf.reduce_mean(tf.cast(inputs, tf.float32), axis=(1, 2), keepdims=True)
        return tf.cast(mean, inputs.dtype)


@register
class BroadcastLike(keras.layers.Layer):
    """Spreads a vector over a map: ([B, 1, 1, C], [B, h, w, D]) -> [B, h, w, C]."""

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        vector, reference = inputs
        channels = vector.shape[-1]
        shape = tf.shape(reference)
        output = tf.broadcast_to(vector, tf.stack([shape[0], shape[1], shape[2], channels]))
        output.set_shape([None, *reference.shape[1:3], channels])
        return output


@register
class Scale(keras.layers.Layer):
    """Multiplies by a constant."""

    def __init__(self, factor: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * tf.cast(self.factor, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@register
class Dropout(keras.layers.Dropout):
    """Keras' dropout, whose mask a trainer can make a function of the step.

    Attributes:
      seed_of_step: function that gives an int32 [2] seed; None: TensorFlow's own stream of random
        numbers, which no checkpoint can restore.
    """

    seed_of_step: Callable[[], tf.Tensor] | None = None

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        if self.seed_of_step is None or training is not True or not self.rate:
            return super().call(inputs, training=training)
        draw = tf.random.stateless_uniform(tf.shape(inputs), self.seed_of_step())
        return tf.where(draw >= self.rate, inputs / (1.0 - self.rate), tf.zeros_like(inputs))


# === Maps ===


def upsample(maps: tf.Tensor, factor: int) -> tf.Tensor:
    """Align-corners bilinear interpolation by an integer factor n >= 1.

    Args:
      maps: float [B, h, w, C]; h and w may be dynamic.
      factor: n.

    Returns:
      float [B, n*(h-1)+1, n*(w-1)+1, C]; the values at every n-th pixel are those of `maps`.
    """
    maps = tf.convert_to_tensor(maps)
    return _interpolate(_interpolate(maps, factor, axis=1), factor, axis=2)


def _interpolate(maps: tf.Tensor, factor: int, axis: int) -> tf.Tensor:
    """`upsample` along one axis."""
    sizes = shape_of(maps)
    size = sizes[axis]
    # Splits, for slices have a slow gradient.
    before, last = tf.split(maps, [size - 1, 1], axis)
    _, after = tf.split(maps, [1, size - 1], axis)

    # From each pair of neighbours `factor` values, from the first one on; then the last.
    steps = []
    for step in range(factor):
        share = tf.cast(step / factor, maps.dtype)
        steps.append(before + (after - before) * share)
    sizes[axis] = factor * (size - 1)
    between = tf.reshape(tf.stack(steps, axis=axis + 1), sizes)
    return tf.concat([between, last], axis)


def shape_of(maps: tf.Tensor) -> list[int | tf.Tensor]:
    """Sizes of a tensor's axes, as integers where they are known."""
    dynamic = tf.shape(maps)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(maps.shape)]


# === Convolutions ===


def conv(
    x: tf.Tensor,
    filters: int,
    kernel_size: int = 1,
    strides: int = 1,
    *,
    style: ConvStyle,
    name: str,
) -> tf.Tensor:
    """Convolution, batch norm and activation: [B, h, w, C] -> [B, h', w', filters]."""
    x, padding = pad_by_hand(x, kernel_size, strides, style, name)
    convolution = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )
    return normalise(convolution(x), style, name)


def depthwise_conv(
    x: tf.Tensor, kernel_size: int, strides: int = 1, rate: int = 1, *, style: ConvStyle, name: str
) -> tf.Tensor:
    """Depthwise convolution, batch norm and activation: [B, h, w, C] -> [B, h', w', C]."""
    covered = rate * (kernel_size - 1) + 1
    x, padding = pad_by_hand(x, covered, strides, style, name)
    # He's rule; Keras' own would count all channels as fan-in.
    stddev = math.sqrt(2) / kernel_size
    convolution = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides,
        padding,
        dilation_rate=rate,
        use_bias=False,
        depthwise_initializer=keras.initializers.RandomNormal(stddev=stddev),
        name=name,
    )
    return normalise(convolution(x), style, name)


def separable_conv(
    x: tf.Tensor, filters: int, kernel_size: int, rate: int = 1, *, style: ConvStyle, name: str
) -> tf.Tensor:
    """Depthwise and 1x1 convolution, each with batch norm and activation: [B, h, w, filters].

    DeepLab's "split separable" convolution.
    """
    x = depthwise_conv(x, kernel_size, rate=rate, style=style, name=f"{name}_depthwise")
    return conv(x, filters, style=style, name=f"{name}_pointwise")


def pad_by_hand(
    x: tf.Tensor, covered: int, strides: int, style: ConvStyle, name: str
) -> tuple[tf.Tensor, str]:
    """Pads the input of a convolution where its style asks for what Keras does not offer.

    Args:
      x: [B, h, w, C].
      covered: side of the square that the kernel sees: with its dilation.
      strides: of the convolution.
      style: of the convolution.
      name: of the convolution.

    Returns:
      (x, padded or not; the Keras convolution's own padding).
    """
    if style.padding == "same" or strides == 1 or covered == 1:
        return x, "same"
    before = (covered - 1) // 2
    margins = (before, covered - 1 - before)
    pad = keras.layers.ZeroPadding2D((margins, margins), name=f"{name}_pad")
    return pad(x), "valid"


def normalise(x: tf.Tensor, style: ConvStyle, name: str) -> tf.Tensor:
    """Batch norm and activation of a convolution's output."""
    batch_norm = BatchNorm(momentum=style.momentum, epsilon=style.epsilon, name=f"{name}_bn")
    x = batch_norm(x)
    if style.activation is None:
        return x
    largest = {"relu": None, "relu6": 6.0}[style.activation]
    return keras.layers.ReLU(largest, name=f"{name}_{style.activation}")(x)
