"""Xception-71 and Xception-65 as DeepLab uses them (Sec. 3.1, Tab. 7).

The paper's backbones of high accuracy. Differences from the original Xception: strided separable
convolutions instead of max pooling, batch norm after each depthwise convolution too, a deeper entry
flow in Xception-71, and a middle flow of 16 units.

References: Chollet, "Xception", CVPR 2017; Qi et al., "Deformable Convolutional Networks -- COCO
Detection and Segmentation Challenge 2017 Entry"; Chen et al., "Encoder-Decoder with Atrous
Separable Convolution", ECCV 2018.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from deeperlab_tf.backbones.spec import BackboneSpec, Strides
from deeperlab_tf.compat import keras
from deeperlab_tf.layers import ConvStyle, conv, depthwise_conv

KERNEL_SIZE = 3
MOMENTUM = 0.9997
STEM = ((32, 2), (64, 1))  # (channels, stride) of its convolutions
MIDDLE_UNITS = 16


class Block(NamedTuple):
    """A block of equal units, each of three separable convolutions.

    Attributes:
      name: as in the published checkpoints.
      channels: of the three convolutions.
      stride: of the third.
      units: how many.
      skip: "conv" (1x1 and batch norm), "sum" (identity) or "none".
      relu_inside: batch norms are followed by a ReLU, instead of each separable convolution being
        preceded by one.
    """

    name: str
    channels: tuple[int, int, int]
    stride: int = 1
    units: int = 1
    skip: str = "conv"
    relu_inside: bool = False


def _entry_flow(*stages: tuple[int, int]) -> tuple[Block, ...]:
    """Blocks of (channels, stride)."""
    return tuple(
        Block(f"entry_flow_block{number}", (channels,) * 3, stride)
        for number, (channels, stride) in enumerate(stages, start=1)
    )


_MIDDLE_AND_EXIT_FLOW = (
    Block("middle_flow_block1", (728, 728, 728), units=MIDDLE_UNITS, skip="sum"),
    Block("exit_flow_block1", (728, 1024, 1024), stride=2),
    Block("exit_flow_block2", (1536, 1536, 2048), skip="none", relu_inside=True),
)
# blocks, and which of them makes the low-level feature
VARIANTS = {
    "xception_71": (
        _entry_flow((128, 2), (256, 1), (256, 2), (728, 1), (728, 2)) + _MIDDLE_AND_EXIT_FLOW,
        "entry_flow_block3",
    ),
    "xception_65": (
        _entry_flow((128, 2), (256, 2), (728, 2)) + _MIDDLE_AND_EXIT_FLOW,
        "entry_flow_block2",
    ),
}


def xception(spec: BackboneSpec) -> keras.Model:
    """Xception for dense prediction.

    Args:
      spec: its name is xception_71 or xception_65, its kernel size 3, the only one there is.

    Returns:
      keras.Model with outputs `low_level` [B, h/4, w/4, 256 * width] (before its ReLU) and
      `features` [B, h/stride, w/stride, 2048 * width] (after a ReLU).

    Raises:
      UserError: for a value of `spec` that is not offered.
    """
    spec.check((KERNEL_SIZE,))
    blocks, low_level_block = VARIANTS[spec.name]
    style = spec.style(MOMENTUM, activation="relu", padding="symmetric")

    inputs = keras.Input(spec.input_shape, name="image")
    x = _stem(inputs, spec, style)
    strides = Strides(spec.output_stride, reached=2)
    for block in blocks:
        block = block._replace(channels=tuple(map(spec.channels, block.channels)))
        for unit in range(1, block.units + 1):
            stride, rate = strides.next(block.stride)
            name = f"{block.name}_unit_{unit}"
            x, second = xception_unit(x, block, stride, rate, style, name)
        if block.name == low_level_block:
            low_level = second
    return keras.Model(inputs, {"low_level": low_level, "features": x}, name=spec.name)


def _stem(x: tf.Tensor, spec: BackboneSpec, style: ConvStyle) -> tf.Tensor:
    for number, (published, stride) in enumerate(STEM, start=1):
        channels = spec.channels(published)
        name = f"entry_flow_conv1_{number}"
        x = conv(x, channels, KERNEL_SIZE, stride, style=style, name=name)
    return x


def xception_unit(
    x: tf.Tensor, block: Block, stride: int, rate: int, style: ConvStyle, name: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """Three separable convolutions, the third strided, and a skip connection.

    Returns:
      (output, the second separable convolution's output).
    """
    linear = style._replace(activation=None)
    inside = style if block.relu_inside else linear
    residual, outputs = x, []
    for number, channels in enumerate(block.channels, start=1):
        prefix = f"{name}_separable_conv{number}"
        if not block.relu_inside:
            residual = keras.layers.ReLU(name=f"{prefix}_relu")(residual)
        own_stride = stride if number == 3 else 1
        residual = depthwise_conv(
            residual, KERNEL_SIZE, own_stride, rate, style=inside, name=f"{prefix}_depthwise"
        )
        residual = conv(residual, channels, style=inside, name=f"{prefix}_pointwise")
        outputs.append(residual)

    if block.skip == "conv":
        channels = block.channels[-1]
        x = conv(x, channels, strides=stride, style=linear, name=f"{name}_shortcut")
    if block.skip != "none":
        residual = keras.layers.Add(name=f"{name}_add")([residual, x])
    return residual, outputs[1]
