"""ImageNet classification with a backbone: what the paper's networks are pretrained on (Sec. 4)."""

import tensorflow as tf

from deeperlab_tf.backbones import build_backbone
from deeperlab_tf.backbones.mobilenet_v2 import BATCH_NORM_EPSILON
from deeperlab_tf.compat import keras
from deeperlab_tf.layers import BatchNorm, conv

LOSSES = ("cross_entropy", "top1", "top5")
# Of MobileNetV2's last convolution, which segmentation leaves out; not scaled by width <= 1.
_MOBILENET_CHANNELS = 1280


def build_classifier(config, input_shape=(None, None, 3)):
    """Backbone → (MobileNetV2: 1x1 convolution) → mean over the image → dropout → logits.

    Args:
      config: the full config; `model` sets the backbone, `pretrain` the number of classes and the
        dropout.
      input_shape: (height, width, 3), sides 16k + 1 or None.

    Returns:
      keras.Model from `image` (uint8 or float32 [B, H, W, 3], RGB 0-255) to logits float32 [B,
      classes].

    Raises:
      UserError: for a config value that is not offered.
    """
    model = config.model
    backbone = build_backbone(
        model.backbone,
        input_shape,
        model.output_stride,
        model.kernel_size,
        model.width,
        model.batch_norm_momentum,
    )
    image = keras.Input(input_shape, name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1, name="normalise")(image)
    x = backbone(x)["features"]
    if model.backbone == "mobilenet_v2":
        norm = BatchNorm(model.batch_norm_momentum, BATCH_NORM_EPSILON)
        channels = int(_MOBILENET_CHANNELS * max(model.width, 1.0))
        x = conv(x, channels, activation="relu6", norm=norm, name="classifier_conv")
    x = keras.layers.GlobalAveragePooling2D(name="classifier_pooling")(x)
    x = keras.layers.Dropout(config.pretrain.dropout, name="classifier_dropout")(x)
    initializer = keras.initializers.RandomNormal(stddev=0.01)
    logits = keras.layers.Dense(
        config.pretrain.num_classes,
        dtype="float32",
        kernel_initializer=initializer,
        name="classifier_logits",
    )(x)
    return keras.Model(image, logits, name="classifier")


def classification_loss(logits, targets, config):
    """Cross-entropy with label smoothing, beside the accuracies of the batch.

    Args:
      logits: float32 [B, classes].
      targets: dict with `label` int32 [B].
      config: the full config; reads pretrain.label_smoothing.

    Returns:
      (total [B], dict with `cross_entropy`, `top1`, `top5` [B]), float32.
    """
    labels, classes = targets["label"], logits.shape[-1]
    smoothing = config.pretrain.label_smoothing
    wanted = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    entropy = tf.nn.softmax_cross_entropy_with_logits(wanted, tf.cast(logits, tf.float32))
    return entropy, {"cross_entropy": entropy, **accuracy(logits, labels)}


def accuracy(logits, labels):
    """dict of `top1`, `top5`, float32 [B]: 1 where the class is among the so many most likely ones."""
    return {
        f"top{k}": tf.cast(
            tf.math.in_top_k(labels, tf.cast(logits, tf.float32), min(k, logits.shape[-1])),
            tf.float32,
        )
        for k in (1, 5)
    }


def evaluate_classifier(network, batches):
    """Accuracy over a dataset, each image counted once.

    Args:
      network: keras.Model of `build_classifier`.
      batches: tf.data.Dataset of (images, dict with `label`).

    Returns:
      dict of `top1`, `top5` (0-1), `num_images`.
    """
    predict = tf.function(
        lambda images: network(images, training=False), reduce_retracing=True, autograph=False
    )
    sums, count = {"top1": 0.0, "top5": 0.0}, 0
    for images, targets in batches:
        for name, correct in accuracy(predict(images), targets["label"]).items():
            sums[name] += float(tf.reduce_sum(correct))
        count += int(images.shape[0])
    return {**{name: value / max(count, 1) for name, value in sums.items()}, "num_images": count}
