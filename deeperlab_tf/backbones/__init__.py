"""Backbones of the encoder (paper Sec. 3.1)."""

from __future__ import annotations

from deeperlab_tf.backbones.mobilenet_v2 import mobilenet_v2
from deeperlab_tf.backbones.slim_checkpoint import load_slim_checkpoint
from deeperlab_tf.backbones.spec import BackboneSpec
from deeperlab_tf.backbones.xception import VARIANTS, xception
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError

__all__ = ["BACKBONES", "build_backbone", "load_slim_checkpoint"]

BACKBONES = {"mobilenet_v2": mobilenet_v2, **dict.fromkeys(VARIANTS, xception)}


def build_backbone(
    name: str,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    output_stride: int = 16,
    kernel_size: int = 3,
    width: float = 1.0,
    momentum: float | None = None,
) -> keras.Model:
    """Builds a backbone by name; see its own file for what it offers.

    Args:
      name: xception_71 | xception_65 | mobilenet_v2.
      input_shape: (height, width, 3), sides 16k + 1 or None; inputs are float in [-1, 1].
      output_stride: 8, 16 or 32: stride of `features`; past it, strides become dilation.
      kernel_size: of its spatial convolutions.
      width: channel multiplier.
      momentum: of its batch norms; None: as published.

    Returns:
      keras.Model with outputs {"low_level": stride 4, "features": stride `output_stride`}.

    Raises:
      UserError: for a name or option that is not offered.

    Example:
      backbone = build_backbone("mobilenet_v2", kernel_size=5)
      features = backbone(tf.zeros([1, 513, 513, 3]))["features"]  # [1, 33, 33, 320]
    """
    if name not in BACKBONES:
        known = ", ".join(sorted(BACKBONES))
        raise UserError(f"config.model.backbone is {name!r}; known backbones are {known}.")
    spec = BackboneSpec(name, input_shape, output_stride, kernel_size, width, momentum)
    return BACKBONES[name](spec)
