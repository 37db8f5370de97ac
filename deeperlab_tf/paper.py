"""The paper's networks by name, and its experimental settings (Sec. 4 and the supplement).

The table*.py in experiments/paper/ start from here: each picks a dataset and a network, and changes
what its row of the table is about:

    config = paper.light(paper.cityscapes(longer_side=1024))

Marks as in config.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ml_collections import ConfigDict

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError

XCEPTION_BATCH = 16  # [D, Sec. 4]; MobileNetV2 takes the default of 28
XCEPTION_BATCH_NORM_MOMENTUM = 0.9997  # [L]
ABLATION_STEPS = 200_000  # [D, Sec. 4.1]; Tables 1 and 8-11 take the default of 500,000

# How the backbones are pretrained: the paper says that they are, not how [R]
IMAGENET_IMAGES = 1_281_167
IMAGENET_BATCH = 1024
IMAGENET_EPOCHS = 120
IMAGENET_WARMUP_EPOCHS = 5
IMAGENET_XCEPTION_MOMENTUM = 0.99  # of batch norms; moves on faster than in fine-tuning

# === Networks ===


class Network(NamedTuple):
    """A network that has a name.

    Attributes:
      description: one line.
      changes: key of `config.model` -> value, where it is not the default.
    """

    description: str
    changes: dict[str, Any]


# 3x3 kernels and 128 filters in decoder and heads [D, Sec. 4.1]
_LIGHT = {
    "decoder_channels": 128,
    "decoder_kernel_size": 3,
    "head_kernel_size": 3,
    "semantic_head_channels": 128,
}
_XCEPTION = {"kernel_size": 3, "batch_norm_momentum": XCEPTION_BATCH_NORM_MOMENTUM}
_NETWORKS = {
    "light_wider_mobilenet_v2": Network(
        "Light Wider MobileNetV2: 5x5 kernels in the backbone, small decoder and heads (Sec. 4.1)",
        _LIGHT,
    ),
    "wider_mobilenet_v2": Network(
        "Wider MobileNetV2: 5x5 kernels in the backbone (Sec. 3.1)",
        {},
    ),
    "xception_71": Network(
        "Xception-71, the paper's most accurate network (Sec. 3.1)",
        {"backbone": "xception_71", **_XCEPTION},
    ),
    "xception_65": Network(
        "Xception-65, a shorter entry flow than Xception-71's",
        {"backbone": "xception_65", **_XCEPTION},
    ),
    "mobilenet_v2": Network(
        "MobileNetV2 as published, with 3x3 kernels (Tab. 3)",
        {"kernel_size": 3},
    ),
    "light_mobilenet_v2": Network(
        "MobileNetV2 as published with small decoder and heads",
        {"kernel_size": 3, **_LIGHT},
    ),
}


def networks() -> dict[str, str]:
    """The networks that have names.

    Returns:
      dict name -> one-line description; the paper's three come first.

    Example:
      for name, description in networks().items():
          print(name, description)
    """
    return {name: network.description for name, network in _NETWORKS.items()}


def network_config(name: str) -> ConfigDict:
    """`config.model` of the network of that name.

    Raises:
      UserError: there is none; lists those that there are.

    Example:
      network_config("xception_71").backbone  # "xception_71"
    """
    return set_network(default_config().model, name)


def set_network(model: ConfigDict, name: str) -> ConfigDict:
    """Changes `config.model` to the network of that name, where that is not the default.

    Returns:
      The same section.

    Raises:
      UserError: there is no such network; lists those that there are.
    """
    if name not in _NETWORKS:
        raise UserError(f"there is no network {name!r}; known are {', '.join(_NETWORKS)}.")
    model.update(_NETWORKS[name].changes)
    return model


def light(config: ConfigDict) -> ConfigDict:
    """Light Wider MobileNetV2 instead of Wider MobileNetV2 (Sec. 4.1); returns the config."""
    set_network(config.model, "light_wider_mobilenet_v2")
    return config


def xception_71(config: ConfigDict) -> ConfigDict:
    """Xception-71 instead of Wider MobileNetV2, with its batch (Sec. 4); returns the config."""
    set_network(config.model, "xception_71")
    config.train.batch_size = XCEPTION_BATCH
    return config


# === Datasets, each with Wider MobileNetV2 ===


def vistas(longer_side: int = 1441) -> ConfigDict:
    """Mapillary Vistas (Sec. 4): longer side 1441 pixels, crops of 721 x 721.

    `longer_side` 721 is the paper's input downsampled by 2; the network is then trained on such
    images, too [R].
    """
    return _config("vistas", (longer_side, longer_side), (721, 721), longer_side)


def cityscapes(longer_side: int = 2048) -> ConfigDict:
    """Cityscapes (Sec. A): fine annotations only, crops of 721 x 721.

    `longer_side` 1024: halved images, crops of 513 x 513 [R].
    """
    image_size = (longer_side // 2 + 1, longer_side + 1)
    crop = 721 if longer_side == 2048 else 513
    return _config("cityscapes", image_size, (crop, crop), longer_side)


def voc(side: int = 513) -> ConfigDict:
    """PASCAL VOC 2012 (Sec. B), trained on train_aug; crops as large as the input [R]."""
    config = _config("voc", (side, side), (side, side), 0 if side == 513 else side)
    config.data.train_split = "train_aug"
    return config


def coco(side: int = 641) -> ConfigDict:
    """COCO (Sec. C): no mining of hard pixels; crops as large as the input [R].

    Images are not enlarged; `side` 321 halves them first.
    """
    config = _config("coco", (side, side), (side, side), 0 if side == 641 else side)
    config.train.hard_pixel_fraction = 1.0
    return config


def _config(
    dataset: str, image_size: tuple[int, int], crop_size: tuple[int, int], longer_side: int
) -> ConfigDict:
    config = default_config()
    config.data.dataset = dataset
    config.data.longer_side = longer_side
    config.data.crop_size = crop_size
    config.eval.image_size = image_size
    return config


# === Ablations on Mapillary Vistas (Sec. 4.2) ===


def ablation(hard_pixel_mining: bool = False, small_instance_weight: bool = False) -> ConfigDict:
    """Wider MobileNetV2 with the full decoder, trained for 200K steps.

    What Table 5 studies, mining of hard pixels and the weight of small instances, is off unless
    asked for.
    """
    config = vistas()
    config.train.steps = ABLATION_STEPS
    if not hard_pixel_mining:
        config.train.hard_pixel_fraction = 1.0
    if not small_instance_weight:
        config.train.small_instance_weight = 1.0
    return config


def backbone_ablation(kernel_size: int, aspp: bool) -> ConfigDict:
    """Table 3: heads of one 1x1 convolution straight on the encoder's output."""
    config = decoder_ablation("none")
    config.model.kernel_size = kernel_size
    config.model.aspp = aspp
    return config


def decoder_ablation(
    decoder: str, deep_heads: bool = False, large_kernels: bool = False
) -> ConfigDict:
    """Table 4: the decoder, one more convolution in the heads, kernels of 7 instead of 3.

    Args:
      decoder: none | bilinear | s2d.
      deep_heads: one more convolution in each head.
      large_kernels: kernels of 7 in decoder and heads.
    """
    config = ablation()
    config.model.decoder = decoder
    config.model.deep_heads = deep_heads
    if not large_kernels:
        config.model.decoder_kernel_size = 3
        config.model.head_kernel_size = 3
    return config


# === Pretraining ===


def imagenet(kernel_size: int = 3) -> ConfigDict:
    """ImageNet-1K classification with MobileNetV2: Sec. 4 says that it was done, not how [R]."""
    config = _config("imagenet", (225, 225), (225, 225), 0)
    config.data.shuffle_buffer = 4096
    config.model.kernel_size = kernel_size
    config.model.output_stride = 32  # strides instead of dilation: the same weights, less work
    config.eval.batch_size = 64

    train = config.train
    train.batch_size = IMAGENET_BATCH
    train.steps = IMAGENET_EPOCHS * IMAGENET_IMAGES // IMAGENET_BATCH
    train.warmup_steps = IMAGENET_WARMUP_EPOCHS * IMAGENET_IMAGES // IMAGENET_BATCH
    train.learning_rate = 0.4
    train.power = 1.0
    train.best_metric = "top1"
    return config


def imagenet_xception(backbone: str) -> ConfigDict:
    """The same with xception_71 or xception_65."""
    config = imagenet()
    config.model.backbone = backbone
    config.model.batch_norm_momentum = IMAGENET_XCEPTION_MOMENTUM
    return config
