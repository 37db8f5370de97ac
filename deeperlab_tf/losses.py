"""What the network is trained to minimise: Eq. 1 for semantics, Sec. 3.3.2 for the instance heads.

Every loss is a value per image, so that its mean does not depend on how a batch is split over
devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.layers import shape_of

LOSSES = ("semantic", "heatmap", "short", "middle", "long")


def total_loss(
    heads: dict[str, tf.Tensor],
    targets: dict[str, tf.Tensor],
    config: ConfigDict,
    step: tf.Tensor | int | None = None,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """The weighted sum of the five losses.

    Args:
      heads: dict of the network's five maps.
      targets: dict of `input_pipeline.make_targets`, batched.
      config: the full config; `train` holds weights and mining, `model` the keypoint radius.
      step: int scalar, steps done so far: the mining follows `train.hard_pixel_steps`; None: as
        when they are over.

    Returns:
      (total [B], dict of the five unweighted losses [B]), float32.
    """
    train, radius = config.train, config.model.keypoint_radius
    pixels = Pixels(targets["semantic"], targets["semantic_weight"])
    logits = heads["semantic_logits"]
    fraction = hard_pixel_fraction_at(step, train)
    losses = {}
    losses["semantic"] = semantic_loss(logits, pixels, fraction, train.class_weights)
    losses["heatmap"] = heatmap_loss(
        heads["keypoint_logits"], targets["keypoint_heatmap"], targets["keypoint_mask"]
    )
    for name in ("short", "middle", "long"):
        key, mask = f"{name}_offsets", targets[f"{name}_mask"]
        losses[name] = offset_loss(heads[key], targets[key], mask, radius)
    total = tf.add_n([train.loss_weights[name] * losses[name] for name in LOSSES])
    return total, losses


# === Semantics (Sec. 3.3.1) ===


class Pixels(NamedTuple):
    """What the semantic loss is told about the pixels of a batch.

    Attributes:
      labels: int32 [B, H, W]; anything where `weight` is 0.
      weight: float32 [B, H, W]; 0 on ignored pixels, `small_instance_weight` on small instances,
        else 1.
    """

    labels: tf.Tensor
    weight: tf.Tensor


def hard_pixel_fraction_at(step: tf.Tensor | int | None, train: ConfigDict) -> tf.Tensor | float:
    """Eq. 1's K / N at a step: from 1 it falls linearly to its value, as in DeepLab's code.

    Mining from the first step on would learn from pixels that are hard only because nothing is
    learned yet.

    Args:
      step: int scalar, steps done so far; None: as when `train.hard_pixel_steps` are over.
      train: config.train.

    Returns:
      Number, or float32 scalar where it depends on the step.
    """
    fraction = train.hard_pixel_fraction
    if step is None or not train.hard_pixel_steps or fraction == 1:
        return fraction
    left = tf.maximum(1.0 - tf.cast(step, tf.float32) / train.hard_pixel_steps, 0.0)
    return fraction + (1.0 - fraction) * left


def semantic_loss(
    logits: tf.Tensor,
    pixels: Pixels,
    hard_pixel_fraction: tf.Tensor | float,
    class_weights: Sequence[float] = (),
) -> tf.Tensor:
    """Weighted bootstrapped cross-entropy at full resolution (Eq. 1).

    Pixels are ranked by their own cross-entropy, the K = fraction * N hardest count, their weighted
    sum is divided by K; N is the number of valid pixels of the image.

    Args:
      logits: float32 [B, h, w, classes] at stride 4.
      pixels: labels and weights at full resolution.
      hard_pixel_fraction: K / N, number or float32 scalar; 1 takes every pixel.
      class_weights: a positive factor for the pixels of each class; (): none. As the weights of the
        pixels, it does not change the ranks.

    Returns:
      float32 [B]; 0 for an image without valid pixels.

    Raises:
      UserError: class weights for another number of classes.
    """
    labels, weight = pixels
    if len(class_weights):
        _check_class_weights(class_weights, logits.shape[-1])
        factors = tf.constant(class_weights, tf.float32)
        weight *= tf.gather(factors, tf.where(weight > 0, labels, 0))
    logits = tf.cast(logits, tf.float32)
    labels = tf.where(weight > 0, labels, 0)
    entropy = upsampled_cross_entropy(logits, labels, HEAD_STRIDE)  # [B, 16 h w]
    weight = by_phase(weight, HEAD_STRIDE)
    valid = weight > 0

    num_valid = tf.reduce_sum(tf.cast(valid, tf.float32), axis=1)
    hardest = tf.maximum(tf.round(hard_pixel_fraction * num_valid), 1.0)  # K, [B]
    if tf.is_tensor(hard_pixel_fraction) or hard_pixel_fraction < 1:
        ranked = tf.where(valid, entropy, -1.0)
        share = hardest_share(ranked, tf.cast(hardest, tf.int32))
        weight *= tf.stop_gradient(share)
    return tf.reduce_sum(weight * entropy, axis=1) / hardest


def _check_class_weights(class_weights: Sequence[float], num_classes: int) -> None:
    least = min(class_weights)
    if len(class_weights) != num_classes or least <= 0:
        raise UserError(
            f"config.train.class_weights has {len(class_weights)} values, the least {least}; "
            f"give {num_classes} positive ones, one per class."
        )


def upsampled_cross_entropy(logits: tf.Tensor, labels: tf.Tensor, factor: int) -> tf.Tensor:
    """Cross-entropy at full resolution of logits that are upsampled as by `layers.upsample`.

    The factor² pixels of a grid cell are `phases`: all pixels of one phase interpolate their logits
    alike, on a map of the grid's size. So it goes phase by phase, and the upsampled logits (137 MB
    for an image of 721² pixels and 66 classes) never exist as a whole; each part fits a processor's
    cache.

    Args:
      logits: float32 [B, h, w, classes].
      labels: int32 [B, factor*(h-1)+1, factor*(w-1)+1].
      factor: pixels along a side of a grid cell.

    Returns:
      float32 [B, factor² * h * w], the pixels in the order of `by_phase`; those it adds hold
      nothing of use.
    """
    height, width = shape_of(logits)[1:3]
    # [B, factor², h, w]
    labels = tf.reshape(by_phase(labels, factor), [-1, factor**2, height, width])
    below = (_next(logits, axis=1) - logits) / factor
    entropies = []
    row = logits
    for _ in range(factor):
        phase = row
        right = (_next(row, axis=2) - row) / factor
        for _ in range(factor):
            entropies.append(cross_entropy(phase, labels[:, len(entropies)]))
            phase = phase + right
        row = row + below
    entropy = tf.stack(entropies, axis=1)
    return tf.reshape(entropy, [tf.shape(entropy)[0], -1])


def _next(maps: tf.Tensor, axis: int) -> tf.Tensor:
    """Each cell's next neighbour along an axis; the last ones are their own."""
    size = shape_of(maps)[axis]
    # Splits, for slices have a slow gradient.
    _, rest = tf.split(maps, [1, size - 1], axis)
    _, last = tf.split(maps, [size - 1, 1], axis)
    return tf.concat([rest, last], axis)


_TINY = 1.2e-38  # about the least float32 that processors do not round to 0


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Cross-entropy in a third of the processor time of TensorFlow's with its gradient.

    TensorFlow's softmax is faster than its cross-entropy. Probabilities below 1e-38 count as that,
    which bounds the loss by 87; the gradient stays what it is.

    Args:
      logits: float32 [..., classes].
      labels: int32 [...].

    Returns:
      float32 [...].
    """

    @tf.custom_gradient
    def entropy(logits):
        probabilities = tf.nn.softmax(logits)
        of_labels = tf.gather(probabilities, labels, batch_dims=len(labels.shape))

        def gradient(upstream):
            wanted = tf.one_hot(labels, logits.shape[-1])
            return (probabilities - wanted) * upstream[..., tf.newaxis]

        return -tf.math.log(of_labels + _TINY), gradient

    return entropy(logits)


def by_phase(maps: tf.Tensor, factor: int) -> tf.Tensor:
    """Pixels sorted by their place in a grid cell.

    Args:
      maps: [B, factor*(h-1)+1, factor*(w-1)+1].
      factor: pixels along a side of a grid cell.

    Returns:
      [B, factor² * h * w]. The cells at the bottom and right have zeros where the image has no
      pixels.
    """
    height, width = shape_of(maps)[1:3]
    rows = (height - 1) // factor + 1
    columns = (width - 1) // factor + 1
    below = rows * factor - height
    right = columns * factor - width
    maps = tf.pad(maps, [[0, 0], [0, below], [0, right]])

    cells = tf.reshape(maps, [-1, rows, factor, columns, factor])
    phases = tf.transpose(cells, [0, 2, 4, 1, 3])
    return tf.reshape(phases, [-1, factor**2 * rows * columns])


def hardest_share(values: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Marks the `count` largest values of each row.

    The threshold is found exactly, by bisection over the bit patterns of the floats (which order as
    the floats do), not by sorting: 31 counting passes, static shapes, nothing XLA cannot compile.
    Values equal to the threshold share the places that are left.

    Args:
      values: float32 [B, N]; negative ones are never marked.
      count: int32 [B], at least 1.

    Returns:
      float32 [B, N] in [0, 1]; each row sums to min(count, number of values >= 0).
    """
    # Non-negative floats order as their bits; negative ones stay negative.
    bits = tf.bitcast(values, tf.int32)

    def number(mask):
        return tf.reduce_sum(tf.cast(mask, tf.int32), axis=1, keepdims=True)

    count = count[:, tf.newaxis]
    threshold = tf.zeros_like(count)
    for bit in range(30, -1, -1):
        candidate = threshold + (1 << bit)
        threshold = tf.where(number(bits >= candidate) >= count, candidate, threshold)

    above = bits > threshold
    equal = tf.equal(bits, threshold)
    places = count - number(above)
    ties = tf.maximum(number(equal), 1)
    share = tf.minimum(tf.cast(places, tf.float32) / tf.cast(ties, tf.float32), 1.0)
    return tf.cast(above, tf.float32) + share * tf.cast(equal, tf.float32)


# === Instances (Sec. 3.3.2) ===


def heatmap_loss(logits: tf.Tensor, heatmap: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Sigmoid cross-entropy of the keypoint heatmap: mean over counted pixels and keypoint kinds.

    Args:
      logits: float32 [B, h, w, P].
      heatmap: float32 [B, h, w, P], 1 within R of a keypoint of that kind.
      mask: float32 [B, h, w], 1 where it counts.

    Returns:
      float32 [B].
    """
    logits = tf.cast(logits, tf.float32)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(heatmap, logits)
    return _masked_mean(tf.reduce_mean(entropy, axis=-1), mask)


def offset_loss(offsets: tf.Tensor, target: tf.Tensor, mask: tf.Tensor, radius: float) -> tf.Tensor:
    """L1 of offsets in units of the keypoint radius: mean over active (pixel, item) pairs.

    Args:
      offsets: float32 [B, h, w, K*2], pixels.
      target: the same.
      mask: float32 [B, h, w, K], or [B, h, w] where all items of a pixel are active together.
      radius: R, pixels.

    Returns:
      float32 [B]; |dy| + |dx| averaged, 0 for an image without active pairs.
    """
    distance = tf.abs(tf.cast(offsets, tf.float32) - target) / radius
    shape = tf.shape(distance)
    items = target.shape[-1] // 2
    # [B, h, w, K, 2]
    distance = tf.reshape(distance, [shape[0], shape[1], shape[2], items, 2])
    pairs = tf.reduce_sum(distance, axis=-1)
    if len(mask.shape) == 3:
        pairs = tf.reduce_mean(pairs, axis=-1)
    return _masked_mean(pairs, mask)


def _masked_mean(values: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean of `values` where `mask` is 1, for each image: [B, ...] -> [B]."""
    axes = list(range(1, len(values.shape)))
    total = tf.reduce_sum(values * mask, axis=axes)
    return total / tf.maximum(tf.reduce_sum(mask, axis=axes), 1.0)
