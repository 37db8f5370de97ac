"""MobileNetV2 and the paper's *Wider MobileNetV2* (Sec. 3.1).

Wider means kernels of 5 instead of 3 in every spatial convolution, the stem included: the receptive
field grows from 491 to 981 pixels while the feature maps stay as large as they were (Tab. 3).

Reference: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.
"""

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.layers import BatchNorm, conv, depthwise_conv

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
KERNEL_SIZES = (3, 5, 7)
BATCH_NORM_EPSILON = 1e-3
LOW_LEVEL_STRIDE = 4


def mobilenet_v2(
    input_shape=(None, None, 3), output_stride=16, kernel_size=3, width=1.0, momentum=0.997
):
    """MobileNetV2 up to its last bottleneck, for dense prediction.

    Args:
      input_shape: (height, width, 3); height and width 16k + 1 or None. Inputs are float in [-1,
        1].
      output_stride: 8, 16 or 32; past it, strides become dilation.
      kernel_size: 3, 5 (Wider) or 7, of every spatial convolution.
      width: channel multiplier.
      momentum: of the batch norms.

    Returns:
      keras.Model with outputs `low_level` [B, h/4, w/4, 144 * width] (the last depthwise
      convolution at stride 4) and `features` [B, h/stride, w/stride, 320 * width] (linear).

    Raises:
      UserError: for a kernel size or output stride that is not offered.
    """
    if kernel_size not in KERNEL_SIZES:
        raise UserError(
            f"config.model.kernel_size is {kernel_size}; mobilenet_v2 offers {KERNEL_SIZES}."
        )
    if output_stride not in (8, 16, 32):
        raise UserError(
            f"config.model.output_stride is {output_stride}; mobilenet_v2 offers 8, 16 and 32."
        )
    norm = BatchNorm(momentum, BATCH_NORM_EPSILON)

    inputs = keras.Input(input_shape, name="image")
    stem_channels = round_channels(STEM_CHANNELS * width)
    x = conv(
        inputs, stem_channels, kernel_size, strides=2, activation="relu6", norm=norm, name="stem"
    )
    stride, rate, index, low_level = 2, 1, 0, None
    for expansion, channels, repeats, first_stride in STAGES:
        for repeat in range(repeats):
            name = f"block_{index}"
            block_stride = first_stride if repeat == 0 else 1
            dilate = block_stride > 1 and stride >= output_stride
            x, depthwise = inverted_residual(
                x,
                expansion,
                round_channels(channels * width),
                kernel_size,
                1 if dilate else block_stride,
                rate,
                norm=norm,
                name=name,
            )
            # The strided block itself keeps its rate; those after it make up for the lost stride.
            if dilate:
                rate *= block_stride
            else:
                stride *= block_stride
            if stride == LOW_LEVEL_STRIDE:
                low_level = depthwise
            index += 1
    return keras.Model(inputs, {"low_level": low_level, "features": x}, name="mobilenet_v2")


def inverted_residual(x, expansion, channels, kernel_size, stride, rate, *, norm, name):
    """Expand 1x1 → depthwise k x k → project 1x1 (linear), plus the input where shapes agree.

    Returns:
      (output, depthwise activation).
    """
    inputs = x
    if expansion > 1:
        x = conv(
            x, inputs.shape[-1] * expansion, activation="relu6", norm=norm, name=f"{name}_expand"
        )
    depthwise = depthwise_conv(
        x, kernel_size, stride, rate, activation="relu6", norm=norm, name=f"{name}_depthwise"
    )
    x = conv(depthwise, channels, activation=None, norm=norm, name=f"{name}_project")
    if stride == 1 and inputs.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}_add")([inputs, x])
    return x, depthwise


def round_channels(channels, divisor=8):
    """Nearest multiple of `divisor`, at least `divisor`, never more than a tenth below `channels`."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
