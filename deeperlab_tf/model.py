"""The DeeperLab network on one page (paper Fig. 2): encoder → ASPP → decoder → five heads."""

from deeperlab_tf.backbones import build_backbone
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.layers import (
    AlignCornersResize,
    BatchNorm,
    BroadcastLike,
    DepthToSpace,
    Dropout,
    ImagePooling,
    Scale,
    SpaceToDepth,
    conv,
    separable_conv,
)


def build_model(config, dataset, input_shape=(None, None, 3)):
    """Builds the network.

    Args:
      config: `default_config().model`.
      dataset: `schema.Dataset`; its number of classes sets the semantic head.
      input_shape: (height, width, 3); sides 16k + 1, or None for any.

    Returns:
      keras.Model from `image` (uint8 or float32 [B, H, W, 3], RGB 0-255) to a dict of float32 maps
      at stride 4, h = (H-1)/4 + 1: `semantic_logits` [B, h, w, classes], `keypoint_logits` [B, h,
      w, P], `short_offsets` and `long_offsets` [B, h, w, P*2], `middle_offsets` [B, h, w, E*2]
      (pixels, (y, x), destination − source).

    Raises:
      UserError: for a config value that is not offered.
    """
    # === Layers ===
    norm = BatchNorm(momentum=config.batch_norm_momentum)
    backbone = build_backbone(
        config.backbone,
        input_shape,
        config.output_stride,
        config.kernel_size,
        config.width,
        config.batch_norm_momentum,
    )

    # === Functional model ===
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(image)
    features = backbone(x)
    x = features["features"]
    if config.aspp:
        x = aspp(x, config, norm)
    x = decoder(x, features["low_level"], config, norm)
    heads = prediction_heads(x, config, dataset.num_classes, norm)
    return keras.Model(image, heads, name="deeperlab")


def aspp(x, config, norm):
    """Atrous spatial pyramid pooling (Sec. 3.1): 1x1, three atrous 3x3, image-level pooling; [B, h,
    w, channels].
    """
    branches = [conv(x, config.aspp_channels, norm=norm, name="aspp_1x1")]
    for rate in config.aspp_rates:
        branches.append(
            separable_conv(x, config.aspp_channels, 3, rate, norm=norm, name=f"aspp_rate{rate}")
        )
    pooled = conv(
        ImagePooling(name="aspp_pooling")(x), config.aspp_channels, norm=norm, name="aspp_image"
    )
    branches.append(BroadcastLike(name="aspp_broadcast")([pooled, x]))
    x = keras.layers.Concatenate(name="aspp_concatenate")(branches)
    x = conv(x, config.aspp_channels, norm=norm, name="aspp_project")
    return Dropout(config.aspp_dropout, name="aspp_dropout")(x)


def decoder(x, low_level, config, norm):
    """Recovers object boundaries (Sec. 3.2, ablation Tab. 4): features and stride-4 detail to the
    heads' input.

    `s2d` works at the encoder's stride on space-to-depth detail and ends in depth-to-space, so that
    its maps take no more memory than the encoder's; `bilinear` upsamples first, as DeepLabV3+;
    `none` hands the features on.
    """
    if config.decoder not in ("s2d", "bilinear", "none"):
        raise UserError(
            f"config.model.decoder is {config.decoder!r}; known decoders are s2d, bilinear and none."
        )
    if config.decoder == "none":
        return x
    factor = config.output_stride // HEAD_STRIDE
    low_level = conv(low_level, config.low_level_channels, norm=norm, name="decoder_low_level")
    channels = config.decoder_channels
    if config.decoder == "s2d":
        low_level = SpaceToDepth(factor, name="decoder_space_to_depth")(low_level)
        channels *= factor**2
    else:
        x = AlignCornersResize(factor, name="decoder_upsample")(x)
    x = keras.layers.Concatenate(name="decoder_concatenate")([x, low_level])
    for layer in (1, 2):
        x = separable_conv(
            x, channels, config.decoder_kernel_size, norm=norm, name=f"decoder_{layer}"
        )
    return DepthToSpace(factor, name="decoder_depth_to_space")(x) if config.decoder == "s2d" else x


def prediction_heads(x, config, num_classes, norm):
    """The five heads (Sec. 3.3), each a k x k and a 1x1 convolution; dict of float32 maps at stride
    4.
    """
    graph = keypoint_graph(config.keypoint_graph)

    def head(name, channels, outputs, scale=None):
        y = x
        if config.deep_heads:
            y = separable_conv(y, channels, config.head_kernel_size, norm=norm, name=f"{name}_head")
        # float32, also under mixed precision: offsets of hundreds of pixels, and losses, need the
        # digits
        y = keras.layers.Conv2D(
            outputs,
            1,
            dtype="float32",
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            name=f"{name}_conv",
        )(y)
        if config.decoder == "none":
            y = AlignCornersResize(
                config.output_stride // HEAD_STRIDE, dtype="float32", name=f"{name}_upsample"
            )(y)
        return y if scale is None else Scale(scale, dtype="float32", name=name)(y)

    instance_channels, radius = config.instance_head_channels, config.keypoint_radius
    return {
        "semantic_logits": head("semantic_logits", config.semantic_head_channels, num_classes),
        "keypoint_logits": head("keypoint_logits", instance_channels, graph.num_keypoints),
        "short_offsets": head("short_offsets", instance_channels, graph.num_keypoints * 2, radius),
        "middle_offsets": head("middle_offsets", instance_channels, graph.num_edges * 2, radius),
        "long_offsets": head("long_offsets", instance_channels, graph.num_keypoints * 2, radius),
    }
