"""Perfect heads: what a network that had learned its targets to perfection would predict.

Fusing them shows the ceiling of the method, and is the truest test of the fusion. Wherever a head
is not supervised the network's output is arbitrary, so these heads hold garbage there.
"""

import cv2
import numpy as np
import tensorflow as tf

from deeperlab_tf.fusion.select import detection_radius
from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.schema import IGNORE_LABEL

# Pixels, σ: the encoding with the highest ceiling of those compared in experiments/fusion.md.
SEMANTIC_BLUR = 1.0
_FLOOR = 1e-6  # share of a class that counts as none, before the logarithm
_CERTAIN = 8.0  # heatmap logit on a keypoint's disk; its negative elsewhere


def perfect_heads(targets, num_classes, seed=0, blur=SEMANTIC_BLUR):
    """Heads that describe one image's targets exactly, with garbage wherever they are not
    supervised.

    Args:
      targets: dict of NumPy arrays as `input_pipeline.make_targets` returns it, of one image.
      num_classes: number of semantic classes.
      seed: of the garbage.
      blur: σ of `semantic_logits`, pixels.

    Returns:
      dict of the five heads, float32 NumPy arrays with a batch dimension of 1.
    """
    rng = np.random.default_rng(seed)
    reach = max(targets["semantic"].shape)

    def masked(offsets, mask):
        garbage = rng.uniform(-reach, reach, offsets.shape).astype(np.float32)
        return np.where(
            np.repeat(mask, offsets.shape[-1] // mask.shape[-1], axis=-1) > 0, offsets, garbage
        )[None]

    heatmap = np.where(targets["keypoint_heatmap"] > 0, _CERTAIN, -_CERTAIN).astype(np.float32)
    garbage = rng.uniform(-_CERTAIN, _CERTAIN, heatmap.shape).astype(np.float32)
    return {
        "semantic_logits": semantic_logits(targets["semantic"], num_classes, blur, rng)[None],
        "keypoint_logits": np.where(targets["keypoint_mask"][..., None] > 0, heatmap, garbage)[
            None
        ],
        "short_offsets": masked(targets["short_offsets"], targets["short_mask"]),
        "middle_offsets": masked(targets["middle_offsets"], targets["middle_mask"]),
        "long_offsets": masked(targets["long_offsets"], targets["long_mask"][..., None]),
    }


def semantic_logits(semantic, num_classes, blur, rng):
    """Labels as stride-4 logits: the logarithm of each class' share under a Gaussian, or hard
    one-hot maps.

    Interpolated back, blurred logits put the boundary where it was, to a fraction of a cell; a
    network trained at full resolution learns such logits. Ignored pixels have no share; where
    nothing else is near, the logits are garbage.

    Args:
      semantic: int32 [H, W], 255 = ignore.
      num_classes: number of classes.
      blur: σ in pixels; 0: hard one-hot logits.
      rng: NumPy generator for the garbage.

    Returns:
      float32 [h, w, num_classes].
    """
    sampled = semantic[::HEAD_STRIDE, ::HEAD_STRIDE]
    if blur:
        shares = np.zeros([*sampled.shape, num_classes], np.float32)
        for label in np.unique(semantic[semantic != IGNORE_LABEL]):
            blurred = cv2.GaussianBlur((semantic == label).astype(np.float32), (0, 0), blur)
            shares[..., label] = blurred[::HEAD_STRIDE, ::HEAD_STRIDE]
        total = shares.sum(axis=-1, keepdims=True)
        logits = np.log(shares / np.maximum(total, _FLOOR) + _FLOOR)
    else:
        logits = np.eye(num_classes, dtype=np.float32)[np.minimum(sampled, num_classes - 1)]
        total = (sampled != IGNORE_LABEL)[..., None]
    garbage = rng.uniform(np.log(_FLOOR), 0, logits.shape)
    return np.where(total > _FLOOR, logits, garbage).astype(np.float32)


def grid_ceiling(semantic, instance, blur=SEMANTIC_BLUR):
    """The labels put on the stride-4 grid and back, with no keypoints involved: what no parse can
    exceed by much.

    Every segment, stuff or thing, is one channel of `semantic_logits`, interpolated back; the best
    channel wins.

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
    best = np.zeros(semantic.shape, np.int64)
    highest = np.full(semantic.shape, -np.inf, np.float32)
    total = _on_grid(counted, blur)
    mask = np.zeros(semantic.shape, bool)
    for number in range(len(segments)):
        mask[counted] = index.ravel() == number
        share = _on_grid(mask, blur) / np.maximum(total, _FLOOR)
        logits = np.log(share + _FLOOR)[None, ..., None]
        resized = tf.raw_ops.ResizeBilinear(images=logits, size=semantic.shape, align_corners=True)
        resized = resized.numpy()[0, ..., 0]
        higher = resized > highest
        best[higher], highest[higher] = number, resized[higher]
    return tuple(np.ascontiguousarray(segments[best][..., part], np.int32) for part in (0, 1))


def _on_grid(mask, blur):
    """Share of a mask under a Gaussian, at the grid's pixels: bool [H, W] -> float32 [h, w]."""
    mask = mask.astype(np.float32)
    if blur:
        mask = cv2.GaussianBlur(mask, (0, 0), blur)
    return mask[::HEAD_STRIDE, ::HEAD_STRIDE]


def lost_segments(semantic, instance, crowd, parse, ceiling, config):
    """Ground-truth segments that a parse of perfect heads does not match, and why.

    Args:
      semantic, instance, crowd: labels of one image, [H, W].
      parse: dict of NumPy arrays as `fuse` returns it, without batch dimension.
      ceiling: semantic and instance maps of `grid_ceiling`.
      config: config.fusion.

    Returns:
      list of dicts: class, instance, area (pixels), iou (best with a segment of its class), reason.
    """
    truth = semantic.astype(np.int64) * config.label_divisor + instance
    truth[crowd | (semantic == IGNORE_LABEL)] = -1
    parsed = parse["semantic"].astype(np.int64) * config.label_divisor + parse["instance"]
    on_grid = ceiling[0].astype(np.int64) * config.label_divisor + ceiling[1]
    keypoints = {
        int(code): _keypoints(truth == code)
        for code in np.unique(truth[(instance > 0) & (truth >= 0)])
    }
    lost = []
    for code in np.unique(truth[truth >= 0]):
        mask = truth == code
        iou = _best_iou(mask, parsed, semantic, config.label_divisor)
        if iou > 0.5:
            continue
        reason = _reason(int(code), mask, iou, on_grid, semantic, keypoints, parse, config)
        label, number = divmod(int(code), config.label_divisor)
        lost.append(
            {
                "class": label,
                "instance": number,
                "area": int(mask.sum()),
                "iou": iou,
                "reason": reason,
            }
        )
    return lost


def _reason(code, mask, iou, on_grid, semantic, keypoints, parse, config):
    """Why a segment was lost, in words."""
    if not mask[::HEAD_STRIDE, ::HEAD_STRIDE].any():
        return "too small: no grid cell lies on it"
    if _best_iou(mask, on_grid, semantic, config.label_divisor) <= 0.5:
        return "too small or too thin for the grid"
    if code not in keypoints:
        return "stuff overrun by other segments"
    mine = keypoints[code]
    others = {other: points for other, points in keypoints.items() if other != code}
    for other, points in others.items():
        size = tf.constant([_size(points)], tf.float32)
        radius = detection_radius(size, config.detection).numpy()[0]
        if np.linalg.norm(points - mine, axis=1).max() <= radius:
            return f"shares all keypoints with segment {other}"
    for other, points in others.items():
        if _box_iou(points, mine) > config.nms_iou:
            return f"its box nearly equals that of segment {other}: cut by non-maximum suppression"
    found = parse["instance_keypoints"][: parse["num_instances"]]
    num_keypoints = keypoint_graph(config.keypoint_graph).num_keypoints
    distance = np.linalg.norm(found - mine[:num_keypoints], axis=2).max(axis=1)
    if not len(found) or distance.min() > config.keypoint_radius:
        return "not detected: its keypoints lie among those of others"
    best = parse["instance_class"][distance.argmin()]
    if best != code // config.label_divisor:
        return f"detected, but most of its pixels are of class {best}"
    return "detected, but its pixels went to other instances"


def _best_iou(mask, parsed, semantic, label_divisor):
    """Largest IoU of a mask with the segments of its class; void pixels count for nothing."""
    label = semantic[mask][0]
    codes, shared = np.unique(parsed[mask], return_counts=True)
    ious = [0.0]
    for code, count in zip(codes, shared):
        if code // label_divisor == label:
            union = ((parsed == code) & (semantic != IGNORE_LABEL)) | mask
            ious.append(float(count / union.sum()))
    return max(ious)


def _keypoints(mask):
    """Corners of the box and centre of mass: bool [H, W] -> float [5, 2]."""
    rows, columns = np.nonzero(mask)
    (top, bottom), (left, right) = (rows.min(), rows.max()), (columns.min(), columns.max())
    return np.array(
        [(top, left), (top, right), (bottom, left), (bottom, right), (rows.mean(), columns.mean())]
    )


def _size(points):
    """λ: square root of the box area."""
    return np.sqrt(np.prod(points[3] - points[0] + 1))


def _box_iou(first, second):
    (top, left), (bottom, right) = np.maximum(first[0], second[0]), np.minimum(first[3], second[3])
    shared = max(bottom - top + 1, 0) * max(right - left + 1, 0)
    return shared / (np.prod(first[3] - first[0] + 1) + np.prod(second[3] - second[0] + 1) - shared)
