"""The DeeperLab network on one page (paper Fig. 2): encoder → ASPP → decoder → five heads."""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.backbones import build_backbone
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.heads import HEAD_STRIDE, head_channels
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.layers import (
    AlignCornersResize,
    BroadcastLike,
    ConvStyle,
    DepthToSpace,
    Dropout,
    ImagePooling,
    Scale,
    SpaceToDepth,
    conv,
    separable_conv,
)
from deeperlab_tf.paper import network_config
from deeperlab_tf.schema import Dataset

DECODERS = ("s2d", "bilinear", "none")


def build_model(
    model: ConfigDict | str,
    dataset: Dataset,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
) -> keras.Model:
    """Builds the network.

    Args:
      model: `default_config().model`, or the name of a network (`deeperlab_tf.networks()`).
      dataset: its number of classes sets the semantic head.
      input_shape: (height, width, 3); sides 16k + 1, or None for any.

    Returns:
      keras.Model from `image` (uint8 or float32 [B, H, W, 3], RGB 0-255) to a dict of float32 maps
      at stride 4, h = (H-1)/4 + 1: `semantic_logits` [B, h, w, classes], `keypoint_logits` [B, h,
      w, P], `short_offsets` and `long_offsets` [B, h, w, P*2], `middle_offsets` [B, h, w, E*2]
      (pixels, (y, x), destination − source).

    Raises:
      UserError: for a name or a config value that is not offered.

    Example:
      network = build_model("light_wider_mobilenet_v2", dataset)
      heads = network(np.zeros([1, 721, 721, 3], np.uint8))
      heads["short_offsets"].shape  # [1, 181, 181, 10]
    """
    if isinstance(model, str):
        model = network_config(model)

    # === Layers ===
    style = ConvStyle(momentum=model.batch_norm_momentum)
    backbone = build_backbone(
        model.backbone,
        input_shape,
        model.output_stride,
        model.kernel_size,
        model.width,
        model.batch_norm_momentum,
    )

    # === Functional model ===
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(image)
    features = backbone(x)
    x = features["features"]
    if model.aspp:
        x = aspp(x, model, style)
    x = decoder(x, features["low_level"], model, style)
    heads = prediction_heads(x, model, dataset.num_classes, style)
    return keras.Model(image, heads, name="deeperlab")


def aspp(x: tf.Tensor, model: ConfigDict, style: ConvStyle) -> tf.Tensor:
    """Atrous spatial pyramid pooling (Sec. 3.1): [B, h, w, C] -> [B, h, w, model.aspp_channels].

    One 1x1 convolution, three atrous 3x3 ones and the mean of the image, side by side.
    """
    channels = model.aspp_channels
    branches = [conv(x, channels, style=style, name="aspp_1x1")]
    for rate in model.aspp_rates:
        name = f"aspp_rate{rate}"
        branches.append(separable_conv(x, channels, 3, rate, style=style, name=name))

    pooled = ImagePooling(name="aspp_pooling")(x)  # [B, 1, 1, C]
    pooled = conv(pooled, channels, style=style, name="aspp_image")
    branches.append(BroadcastLike(name="aspp_broadcast")([pooled, x]))

    x = keras.layers.Concatenate(name="aspp_concatenate")(branches)
    x = conv(x, channels, style=style, name="aspp_project")
    return Dropout(model.aspp_dropout, name="aspp_dropout")(x)


def decoder(x: tf.Tensor, low_level: tf.Tensor, model: ConfigDict, style: ConvStyle) -> tf.Tensor:
    """Recovers object boundaries (Sec. 3.2, ablation Tab. 4).

    `s2d` works at the encoder's stride on space-to-depth detail and ends in depth-to-space, so that
    its maps take no more memory than the encoder's; `bilinear` upsamples first, as DeepLabV3+;
    `none` hands the features on.

    Args:
      x: the encoder's features, [B, h, w, C] at its output stride.
      low_level: the backbone's detail, [B, h, w, C] at stride 4.
      model: `config.model`.
      style: of the convolutions.

    Returns:
      The heads' input, at stride 4; for `none`, at the output stride.

    Raises:
      UserError: for a decoder that is not offered.
    """
    if model.decoder not in DECODERS:
        known = ", ".join(DECODERS)
        raise UserError(f"config.model.decoder is {model.decoder!r}; known decoders are {known}.")
    if model.decoder == "none":
        return x
    factor = model.output_stride // HEAD_STRIDE
    packs = model.decoder == "s2d"

    low_level = conv(low_level, model.low_level_channels, style=style, name="decoder_low_level")
    channels = model.decoder_channels
    if packs:
        low_level = SpaceToDepth(factor, name="decoder_space_to_depth")(low_level)
        channels *= factor**2
    else:
        x = AlignCornersResize(factor, name="decoder_upsample")(x)

    x = keras.layers.Concatenate(name="decoder_concatenate")([x, low_level])
    size = model.decoder_kernel_size
    x = separable_conv(x, channels, size, style=style, name="decoder_1")
    x = separable_conv(x, channels, size, style=style, name="decoder_2")
    return DepthToSpace(factor, name="decoder_depth_to_space")(x) if packs else x


def prediction_heads(
    x: tf.Tensor, model: ConfigDict, num_classes: int, style: ConvStyle
) -> dict[str, tf.Tensor]:
    """The five heads (Sec. 3.3): [B, h, w, C] -> dict of float32 maps at stride 4."""
    channels = head_channels(keypoint_graph(model.keypoint_graph), num_classes)
    return {name: prediction_head(x, name, channels[name], model, style) for name in channels}


def prediction_head(
    x: tf.Tensor, name: str, channels: int, model: ConfigDict, style: ConvStyle
) -> tf.Tensor:
    """One of the heads: a k x k and a 1x1 convolution; float32 [B, h, w, channels]."""
    if model.deep_heads:
        is_semantic = name == "semantic_logits"
        filters = model.semantic_head_channels if is_semantic else model.instance_head_channels
        size = model.head_kernel_size
        x = separable_conv(x, filters, size, style=style, name=f"{name}_head")

    # float32, also under mixed precision: offsets of hundreds of pixels, and losses, need the
    # digits.
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    project = keras.layers.Conv2D(
        channels,
        1,
        dtype="float32",
        kernel_initializer=initializer,
        name=f"{name}_conv",
    )
    x = project(x)
    if model.decoder == "none":
        factor = model.output_stride // HEAD_STRIDE
        x = AlignCornersResize(factor, dtype="float32", name=f"{name}_upsample")(x)
    if not name.endswith("_offsets"):
        return x
    # Offsets are learnt in units of the keypoint radius and given in pixels.
    return Scale(model.keypoint_radius, dtype="float32", name=name)(x)
