"""ImageNet classification with a backbone: what the paper's networks are pretrained on (Sec. 4)."""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.backbones import build_backbone
from deeperlab_tf.backbones.spec import BATCH_NORM_EPSILON
from deeperlab_tf.compat import keras
from deeperlab_tf.layers import ConvStyle, conv

LOSSES = ("cross_entropy", "top1", "top5")
# Of MobileNetV2's last convolution, which segmentation leaves out; width < 1 does not scale it.
_MOBILENET_CHANNELS = 1280


def build_classifier(
    config: ConfigDict,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
) -> keras.Model:
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
    model, pretrain = config.model, config.pretrain
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
        style = ConvStyle(model.batch_norm_momentum, BATCH_NORM_EPSILON, "relu6")
        channels = int(_MOBILENET_CHANNELS * max(model.width, 1.0))
        x = conv(x, channels, style=style, name="classifier_conv")
    x = keras.layers.GlobalAveragePooling2D(name="classifier_pooling")(x)
    x = keras.layers.Dropout(pretrain.dropout, name="classifier_dropout")(x)
    project = keras.layers.Dense(
        pretrain.num_classes,
        dtype="float32",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        name="classifier_logits",
    )
    return keras.Model(image, project(x), name="classifier")


def classification_loss(
    logits: tf.Tensor,
    targets: dict[str, tf.Tensor],
    config: ConfigDict,
    step: tf.Tensor | None = None,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Cross-entropy with label smoothing, beside the accuracies of the batch.

    Args:
      logits: float32 [B, classes].
      targets: dict with `label` int32 [B].
      config: the full config; reads pretrain.label_smoothing.
      step: has no effect; `Trainer` gives it to every loss.

    Returns:
      (total [B], dict with `cross_entropy`, `top1`, `top5` [B]), float32.
    """
    labels, classes = targets["label"], logits.shape[-1]
    smoothing = config.pretrain.label_smoothing
    wanted = tf.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
    entropy = tf.nn.softmax_cross_entropy_with_logits(wanted, tf.cast(logits, tf.float32))
    return entropy, {"cross_entropy": entropy, **accuracy(logits, labels)}


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
    """Whether the class is among the most likely ones.

    Args:
      logits: float [B, classes].
      labels: int32 [B].

    Returns:
      dict of `top1`, `top5`, float32 [B]: 1 where the class is among the 1 or 5 most likely.
    """
    logits = tf.cast(logits, tf.float32)
    classes = logits.shape[-1]
    found = {}
    for k in (1, 5):
        is_among = tf.math.in_top_k(labels, logits, min(k, classes))
        found[f"top{k}"] = tf.cast(is_among, tf.float32)
    return found


def evaluate_classifier(network: keras.Model, batches: tf.data.Dataset) -> dict[str, float]:
    """Accuracy over a dataset, each image counted once.

    Args:
      network: keras.Model of `build_classifier`.
      batches: tf.data.Dataset of (images, dict with `label`).

    Returns:
      dict of `top1`, `top5` (0-1), `num_images`.
    """

    @tf.function(reduce_retracing=True, autograph=False)
    def predict(images):
        return network(images, training=False)

    correct = {"top1": 0.0, "top5": 0.0}
    count = 0
    for images, targets in batches:
        found = accuracy(predict(images), targets["label"])
        for name in correct:
            correct[name] += float(tf.reduce_sum(found[name]))
        count += int(images.shape[0])
    shares = {name: number / max(count, 1) for name, number in correct.items()}
    return {**shares, "num_images": count}
