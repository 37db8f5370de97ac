"""Xception-71 and Xception-65 as DeepLab uses them: the paper's backbones of high accuracy (Sec.
3.1, Tab. 7).

Differences from the original Xception: strided separable convolutions instead of max pooling, batch
norm after each depthwise convolution too, a deeper entry flow in Xception-71, and a middle flow of
16 units.

References: Chollet, "Xception", CVPR 2017; Qi et al., "Deformable Convolutional Networks -- COCO
Detection and Segmentation Challenge 2017 Entry"; Chen et al., "Encoder-Decoder with Atrous
Separable Convolution", ECCV 2018.
"""

import dataclasses

from deeperlab_tf.backbones.mobilenet_v2 import round_channels
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.layers import BatchNorm, conv, depthwise_conv

KERNEL_SIZE = 3
OUTPUT_STRIDES = (8, 16, 32)
BATCH_NORM_EPSILON = 1e-3
STEM_CHANNELS = (32, 64)
MIDDLE_UNITS = 16


@dataclasses.dataclass(frozen=True)
class Block:
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
    channels: tuple
    stride: int = 1
    units: int = 1
    skip: str = "conv"
    relu_inside: bool = False


def _entry_flow(*stages):
    """Blocks of (channels, stride)."""
    return tuple(
        Block(f"entry_flow_block{i}", (c, c, c), stride)
        for i, (c, stride) in enumerate(stages, start=1)
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


def xception(
    name, input_shape=(None, None, 3), output_stride=16, kernel_size=3, width=1.0, momentum=0.9997
):
    """Xception for dense prediction.

    Args:
      name: xception_71 or xception_65.
      input_shape: (height, width, 3); height and width 16k + 1 or None. Inputs are float in [-1,
        1].
      output_stride: 8, 16 or 32; past it, strides become dilation.
      kernel_size: 3, the only one there is.
      width: channel multiplier.
      momentum: of the batch norms.

    Returns:
      keras.Model with outputs `low_level` [B, h/4, w/4, 256 * width] (before its ReLU) and
      `features` [B, h/stride, w/stride, 2048 * width] (after a ReLU).

    Raises:
      UserError: for a kernel size or output stride that is not offered.
    """
    if kernel_size != KERNEL_SIZE:
        raise UserError(
            f"config.model.kernel_size is {kernel_size}; {name} offers {KERNEL_SIZE} only."
        )
    if output_stride not in OUTPUT_STRIDES:
        raise UserError(
            f"config.model.output_stride is {output_stride}; {name} offers {OUTPUT_STRIDES}."
        )
    blocks, low_level_block = VARIANTS[name]
    norm = BatchNorm(momentum, BATCH_NORM_EPSILON)

    inputs = keras.Input(input_shape, name="image")
    x = inputs
    for index, (channels, stride) in enumerate(zip(STEM_CHANNELS, (2, 1)), start=1):
        channels = round_channels(channels * width)
        x = conv(
            x, channels, 3, stride, norm=norm, padding="symmetric", name=f"entry_flow_conv1_{index}"
        )
    stride, rate = 2, 1
    for block in blocks:
        block = dataclasses.replace(
            block, channels=tuple(round_channels(c * width) for c in block.channels)
        )
        for unit in range(1, block.units + 1):
            dilate = block.stride > 1 and stride >= output_stride
            unit_stride = 1 if dilate else block.stride
            x, second = xception_unit(
                x, block, unit_stride, rate, norm=norm, name=f"{block.name}_unit_{unit}"
            )
            # The strided unit itself keeps its rate; those after it make up for the lost stride.
            if dilate:
                rate *= block.stride
            stride *= unit_stride
        if block.name == low_level_block:
            low_level = second
    return keras.Model(inputs, {"low_level": low_level, "features": x}, name=name)


def xception_unit(x, block, stride, rate, *, norm, name):
    """Three separable convolutions, the third strided, and a skip connection.

    Returns:
      (output, the second separable convolution's output).
    """
    residual, outputs = x, []
    activation = "relu" if block.relu_inside else None
    for index, channels in enumerate(block.channels, start=1):
        prefix = f"{name}_separable_conv{index}"
        if not block.relu_inside:
            residual = keras.layers.ReLU(name=f"{prefix}_relu")(residual)
        residual = depthwise_conv(
            residual,
            KERNEL_SIZE,
            stride if index == 3 else 1,
            rate,
            activation=activation,
            norm=norm,
            padding="symmetric",
            name=f"{prefix}_depthwise",
        )
        residual = conv(
            residual, channels, activation=activation, norm=norm, name=f"{prefix}_pointwise"
        )
        outputs.append(residual)
    if block.skip == "conv":
        x = conv(
            x, block.channels[-1], 1, stride, activation=None, norm=norm, name=f"{name}_shortcut"
        )
    if block.skip != "none":
        residual = keras.layers.Add(name=f"{name}_add")([residual, x])
    return residual, outputs[1]
