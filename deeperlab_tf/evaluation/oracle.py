"""Perfect heads: what a network that had learned its targets to perfection would predict.

Fusing them shows the ceiling of the method, and is the truest test of the fusion. Wherever a head
is not supervised the network's output is arbitrary, so these heads hold garbage there.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import tensorflow as tf

from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.schema import IGNORE_LABEL

Heads = Mapping[str, np.ndarray]

# Pixels, σ: the encoding with the highest ceiling of those compared in docs/fusion.md.
SEMANTIC_BLUR = 1.0
_FLOOR = 1e-6  # share of a class that counts as none, before the logarithm
_CERTAIN = 8.0  # heatmap logit on a keypoint's disk; its negative elsewhere


def perfect_heads(
    targets: Heads,
    num_classes: int,
    seed: int = 0,
    blur: float = SEMANTIC_BLUR,
) -> dict[str, np.ndarray]:
    """Heads that describe one image's targets exactly, with garbage where they are not supervised.

    Args:
      targets: arrays of `input_pipeline.make_targets`, of one image.
      num_classes: number of semantic classes.
      seed: of the garbage.
      blur: σ of `semantic_logits`, pixels.

    Returns:
      dict of the five heads, float32 with a batch dimension of 1.
    """
    return true_heads(targets, _garbage(targets, num_classes, seed), blur)


def true_heads(targets: Heads, elsewhere: Heads, blur: float = SEMANTIC_BLUR) -> Heads:
    """Heads that describe one image's targets exactly, and are others' where these say nothing.

    Args:
      targets: arrays of `input_pipeline.make_targets`, of one image.
      elsewhere: the five heads, float32 [1, h, w, channels], that hold where nothing is supervised.
      blur: σ of `semantic_logits`, pixels.

    Returns:
      dict of the five heads, float32 with a batch dimension of 1.
    """
    is_disk = targets["keypoint_heatmap"] > 0
    heatmap = np.where(is_disk, _CERTAIN, -_CERTAIN).astype(np.float32)
    counts = targets["keypoint_mask"][..., np.newaxis] > 0

    def offsets(name, mask):
        repeats = targets[name].shape[-1] // mask.shape[-1]
        is_supervised = np.repeat(mask, repeats, axis=-1) > 0
        return np.where(is_supervised, targets[name], elsewhere[name][0])

    heads = dict(
        semantic_logits=semantic_logits(targets["semantic"], elsewhere["semantic_logits"][0], blur),
        keypoint_logits=np.where(counts, heatmap, elsewhere["keypoint_logits"][0]),
        short_offsets=offsets("short_offsets", targets["short_mask"]),
        middle_offsets=offsets("middle_offsets", targets["middle_mask"]),
        long_offsets=offsets("long_offsets", targets["long_mask"][..., np.newaxis]),
    )
    return {name: head[np.newaxis] for name, head in heads.items()}


def semantic_logits(semantic: np.ndarray, elsewhere: np.ndarray, blur: float) -> np.ndarray:
    """Labels as stride-4 logits: logarithms of each class' share under a Gaussian, or hard maps.

    Interpolated back, blurred logits put the boundary where it was, to a fraction of a cell; a
    network trained at full resolution learns such logits. Ignored pixels have no share.

    Args:
      semantic: int32 [H, W], 255 = ignore.
      elsewhere: float32 [h, w, num_classes], the logits where nothing but ignored pixels is near.
      blur: σ in pixels; 0: hard one-hot logits.

    Returns:
      float32 [h, w, num_classes].
    """
    num_classes = elsewhere.shape[-1]
    sampled = semantic[::HEAD_STRIDE, ::HEAD_STRIDE]
    if blur:
        # Only the classes that occur: blurring a map takes time.
        shares = np.zeros([*sampled.shape, num_classes], np.float32)
        for label in np.unique(semantic[semantic != IGNORE_LABEL]):
            shares[..., label] = _on_grid(semantic == label, blur)
        total = shares.sum(axis=-1, keepdims=True)
        logits = np.log(shares / np.maximum(total, _FLOOR) + _FLOOR)
    else:
        one_hot = np.eye(num_classes, dtype=np.float32)
        logits = one_hot[np.minimum(sampled, num_classes - 1)]
        total = (sampled != IGNORE_LABEL)[..., np.newaxis]
    return np.where(total > _FLOOR, logits, elsewhere).astype(np.float32)


def grid_ceiling(
    semantic: np.ndarray, instance: np.ndarray, blur: float = SEMANTIC_BLUR
) -> tuple[np.ndarray, np.ndarray]:
    """The labels put on the stride-4 grid and back: what no parse can exceed by much.

    No keypoints are involved: every segment, stuff or thing, is one channel of `semantic_logits`,
    interpolated back; the best channel wins.

    Args:
      semantic: int32 [H, W], 255 = ignore. Sides 4k + 1.
      instance: int32 [H, W], >= 1 per thing instance, 0 elsewhere.
      blur: σ in pixels.

    Returns:
      semantic, instance: int32 [H, W] each.
    """
    pairs = np.stack([semantic, instance], axis=-1)
    counted = semantic != IGNORE_LABEL
    segments, index = np.unique(pairs[counted], axis=0, return_inverse=True)
    if not len(segments):
        return np.zeros_like(semantic), np.zeros_like(instance)

    # One segment after the other: all channels at once would take gigabytes.
    best = np.zeros(semantic.shape, np.int64)
    highest = np.full(semantic.shape, -np.inf, np.float32)
    total = np.maximum(_on_grid(counted, blur), _FLOOR)
    mask = np.zeros(semantic.shape, bool)
    for number in range(len(segments)):
        mask[counted] = index.ravel() == number
        share = _on_grid(mask, blur) / total
        logits = _interpolate(np.log(share + _FLOOR), semantic.shape)
        higher = logits > highest
        best[higher], highest[higher] = number, logits[higher]

    classes, instances = segments[:, 0], segments[:, 1]
    return classes[best].astype(np.int32), instances[best].astype(np.int32)


def _garbage(targets, num_classes, seed):
    """Five heads of noise: offsets up to the size of the image, logits as large as true ones."""
    rng = np.random.default_rng(seed)
    reach = max(targets["semantic"].shape)
    grid = targets["keypoint_mask"].shape

    def noise(low, high, channels):
        values = rng.uniform(low, high, [*grid, channels])
        return values.astype(np.float32)[np.newaxis]

    # In this order: each head's garbage is the generator's next.
    certain, channels = _CERTAIN, targets["keypoint_heatmap"].shape[-1]
    heads = dict(keypoint_logits=noise(-certain, certain, channels))
    heads["semantic_logits"] = noise(np.log(_FLOOR), 0, num_classes)
    for name in ("short_offsets", "middle_offsets", "long_offsets"):
        heads[name] = noise(-reach, reach, targets[name].shape[-1])
    return heads


def _on_grid(mask, blur):
    """Share of a mask under a Gaussian, at the grid's pixels: bool [H, W] -> float32 [h, w]."""
    mask = mask.astype(np.float32)
    if blur:
        mask = cv2.GaussianBlur(mask, (0, 0), blur)
    return mask[::HEAD_STRIDE, ::HEAD_STRIDE]


def _interpolate(logits, size):
    """float32 [h, w] -> [H, W], bilinearly, corners on corners as the heads' grid lies."""
    resized = tf.raw_ops.ResizeBilinear(
        images=logits[np.newaxis, ..., np.newaxis], size=size, align_corners=True
    )
    return resized.numpy()[0, ..., 0]
