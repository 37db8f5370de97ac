"""Backbones of the encoder (paper Sec. 3.1)."""

from deeperlab_tf.backbones.mobilenet_v2 import mobilenet_v2
from deeperlab_tf.errors import UserError

BACKBONES = {"mobilenet_v2": mobilenet_v2}


def build_backbone(name, input_shape=(None, None, 3), output_stride=16, kernel_size=3, width=1.0, momentum=0.997):
    """Builds a backbone by name; see its own file for what it offers.

    Args:
      name: key of `BACKBONES`.
      input_shape: (height, width, 3), sides 16k + 1 or None; inputs are float in [-1, 1].
      output_stride: stride of `features`.
      kernel_size: of its spatial convolutions.
      width: channel multiplier.
      momentum: of its batch norms.

    Returns:
      keras.Model with outputs {"low_level": stride 4, "features": stride `output_stride`}.

    Raises:
      UserError: for a name or option that is not offered.
    """
    if name not in BACKBONES:
        raise UserError(f"config.model.backbone is {name!r}; known backbones are {', '.join(sorted(BACKBONES))}.")
    return BACKBONES[name](input_shape, output_stride, kernel_size, width, momentum)
