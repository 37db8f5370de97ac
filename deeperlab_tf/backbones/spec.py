"""What all backbones have in common: how one is ordered, and how strides become dilation."""

from __future__ import annotations

from typing import NamedTuple

from deeperlab_tf.errors import UserError
from deeperlab_tf.layers import ConvStyle

OUTPUT_STRIDES = (8, 16, 32)
BATCH_NORM_EPSILON = 1e-3


class BackboneSpec(NamedTuple):
    """A backbone to be built.

    Attributes:
      name: xception_71 | xception_65 | mobilenet_v2.
      input_shape: (height, width, 3); sides 16k + 1, or None for any.
      output_stride: 8, 16 or 32: stride of the features; past it, strides become dilation.
      kernel_size: of the spatial convolutions.
      width: channel multiplier.
      momentum: of the batch norms; None: as published.
    """

    name: str
    input_shape: tuple[int | None, int | None, int] = (None, None, 3)
    output_stride: int = 16
    kernel_size: int = 3
    width: float = 1.0
    momentum: float | None = None

    def check(self, kernel_sizes: tuple[int, ...]) -> None:
        """Raises UserError, naming the key, for a value that the backbone does not offer."""
        if self.kernel_size not in kernel_sizes:
            raise UserError(
                f"config.model.kernel_size is {self.kernel_size}; "
                f"{self.name} offers {_listed(kernel_sizes)}."
            )
        if self.output_stride not in OUTPUT_STRIDES:
            raise UserError(
                f"config.model.output_stride is {self.output_stride}; "
                f"{self.name} offers {_listed(OUTPUT_STRIDES)}."
            )
        if self.width <= 0:
            raise UserError(
                f"config.model.width is {self.width}; "
                "give a positive channel multiplier, such as 1."
            )

    def style(self, published_momentum: float, activation: str, padding: str) -> ConvStyle:
        """The `ConvStyle` of its convolutions."""
        momentum = published_momentum if self.momentum is None else self.momentum
        return ConvStyle(momentum, BATCH_NORM_EPSILON, activation, padding)

    def channels(self, published: int) -> int:
        """Number of channels of a convolution that has `published` ones at width 1."""
        return round_channels(published * self.width)


def round_channels(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`: at least one, and at most a tenth less."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class Strides:
    """Strides and rates of the blocks of a backbone, asked for one after the other.

    Args:
      output_stride: past it, the stride of a block becomes the rate of those after it.
      reached: stride before the first block.

    Attributes:
      reached: stride after the last block asked for.
    """

    def __init__(self, output_stride: int, reached: int):
        self.reached = reached
        self._output_stride = output_stride
        self._rate = 1

    def next(self, stride: int) -> tuple[int, int]:
        """(stride, rate) of the next block, whose published stride is given."""
        rate = self._rate
        if stride > 1 and self.reached >= self._output_stride:
            # The block itself keeps its rate; those after it make up for the lost stride.
            self._rate *= stride
            return 1, rate
        self.reached *= stride
        return stride, rate


def _listed(values: tuple[int, ...]) -> str:
    *others, last = map(str, values)
    return f"{', '.join(others)} and {last}" if others else f"{last} only"
