"""MobileNetV2 and the paper's *Wider MobileNetV2* (Sec. 3.1).

Wider means kernels of 5 instead of 3 in every spatial convolution, the stem included: the receptive
field grows from 491 to 981 pixels while the feature maps stay as large as they were (Tab. 3).

Reference: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from deeperlab_tf.backbones.spec import BackboneSpec, Strides
from deeperlab_tf.compat import keras
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.layers import ConvStyle, conv, depthwise_conv

KERNEL_SIZES = (3, 5, 7)
MOMENTUM = 0.997
STEM_CHANNELS = 32
# (expansion, channels, repeats, stride of the first)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Block(NamedTuple):
    """One inverted residual, ready to be built."""

    name: str
    expansion: int
    channels: int
    kernel_size: int
    stride: int
    rate: int


def mobilenet_v2(spec: BackboneSpec) -> keras.Model:
    """MobileNetV2 up to its last bottleneck, for dense prediction.

    Args:
      spec: its kernel size is 3, 5 (Wider) or 7, that of every spatial convolution.

    Returns:
      keras.Model with outputs `low_level` [B, h/4, w/4, 144 * width] (the last depthwise
      convolution at stride 4) and `features` [B, h/stride, w/stride, 320 * width] (linear).

    Raises:
      UserError: for a value of `spec` that is not offered.
    """
    spec.check(KERNEL_SIZES)
    style = spec.style(MOMENTUM, activation="relu6", padding="same")
    strides = Strides(spec.output_stride, reached=2)

    inputs = keras.Input(spec.input_shape, name="image")
    stem_channels = spec.channels(STEM_CHANNELS)
    x = conv(inputs, stem_channels, spec.kernel_size, strides=2, style=style, name="stem")
    for index, (expansion, published, stride) in enumerate(_published_blocks()):
        channels = spec.channels(published)
        stride, rate = strides.next(stride)
        name = f"block_{index}"
        block = Block(name, expansion, channels, spec.kernel_size, stride, rate)
        x, depthwise = inverted_residual(x, block, style)
        if strides.reached == HEAD_STRIDE:
            low_level = depthwise
    return keras.Model(inputs, {"low_level": low_level, "features": x}, name="mobilenet_v2")


def _published_blocks() -> list[tuple[int, int, int]]:
    """(expansion, channels, stride) of each block."""
    blocks = []
    for expansion, channels, repeats, stride in STAGES:
        blocks.append((expansion, channels, stride))
        blocks += [(expansion, channels, 1)] * (repeats - 1)
    return blocks


def inverted_residual(x: tf.Tensor, block: Block, style: ConvStyle) -> tuple[tf.Tensor, tf.Tensor]:
    """Expand 1x1 → depthwise k x k → project 1x1 (linear), plus the input where shapes agree.

    Returns:
      (output, depthwise activation), [B, h, w, channels] and [B, h, w, expansion * C].
    """
    name, inputs = block.name, x
    channels = inputs.shape[-1]
    if block.expansion > 1:
        x = conv(x, channels * block.expansion, style=style, name=f"{name}_expand")
    depthwise = depthwise_conv(
        x, block.kernel_size, block.stride, block.rate, style=style, name=f"{name}_depthwise"
    )
    linear = style._replace(activation=None)
    x = conv(depthwise, block.channels, style=linear, name=f"{name}_project")
    if block.stride == 1 and channels == block.channels:
        x = keras.layers.Add(name=f"{name}_add")([inputs, x])
    return x, depthwise
