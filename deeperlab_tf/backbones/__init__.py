"""Backbones of the encoder (paper Sec. 3.1)."""

import functools

from deeperlab_tf.backbones.mobilenet_v2 import mobilenet_v2
from deeperlab_tf.backbones.xception import VARIANTS, xception
from deeperlab_tf.errors import UserError

BACKBONES = {
    "mobilenet_v2": mobilenet_v2,
    **{name: functools.partial(xception, name) for name in VARIANTS},
}


def build_backbone(
    name, input_shape=(None, None, 3), output_stride=16, kernel_size=3, width=1.0, momentum=None
):
    """Builds a backbone by name; see its own file for what it offers.

    Args:
      name: xception_71 | xception_65 | mobilenet_v2.
      input_shape: (height, width, 3), sides 16k + 1 or None; inputs are float in [-1, 1].
      output_stride: stride of `features`.
      kernel_size: of its spatial convolutions.
      width: channel multiplier.
      momentum: of its batch norms; None: as published.

    Returns:
      keras.Model with outputs {"low_level": stride 4, "features": stride `output_stride`}.

    Raises:
      UserError: for a name or option that is not offered.
    """
    if name not in BACKBONES:
        raise UserError(
            f"config.model.backbone is {name!r}; known backbones are {', '.join(sorted(BACKBONES))}."
        )
    if width <= 0:
        raise UserError(
            f"config.model.width is {width}; give a positive channel multiplier, such as 1."
        )
    options = {} if momentum is None else {"momentum": momentum}
    return BACKBONES[name](input_shape, output_stride, kernel_size, width, **options)


def load_slim_checkpoint(backbone, path, embed_kernels=False):
    """Fills a backbone from a published TF1 checkpoint; see `slim_checkpoint.load_slim_checkpoint`."""
    from deeperlab_tf.backbones import slim_checkpoint

    return slim_checkpoint.load_slim_checkpoint(backbone, path, embed_kernels)
