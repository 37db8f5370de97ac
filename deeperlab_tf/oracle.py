"""Perfect heads: what a network that had learned its targets to perfection would predict.

Fusing them shows the ceiling of the method, and is the truest test of the fusion. Wherever a head is not supervised the
network's output is arbitrary, so these heads hold garbage there.
"""

import cv2
import numpy as np

from deeperlab_tf.fusion.grid import HEAD_STRIDE
from deeperlab_tf.schema import IGNORE_LABEL

SEMANTIC_BLUR = 1.5  # pixels, σ: the encoding with the highest ceiling of those compared in experiments/fusion.md
_FLOOR = 1e-6  # share of a class that counts as none, before the logarithm
_CERTAIN = 8.0  # heatmap logit on a keypoint's disk; its negative elsewhere


def perfect_heads(targets, num_classes, seed=0, blur=SEMANTIC_BLUR):
    """Heads that describe one image's targets exactly, with garbage wherever they are not supervised.

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
        return np.where(np.repeat(mask, offsets.shape[-1] // mask.shape[-1], axis=-1) > 0, offsets, garbage)[None]

    heatmap = np.where(targets["keypoint_heatmap"] > 0, _CERTAIN, -_CERTAIN).astype(np.float32)
    garbage = rng.uniform(-_CERTAIN, _CERTAIN, heatmap.shape).astype(np.float32)
    return {
        "semantic_logits": semantic_logits(targets["semantic"], num_classes, blur, rng)[None],
        "keypoint_logits": np.where(targets["keypoint_mask"][..., None] > 0, heatmap, garbage)[None],
        "short_offsets": masked(targets["short_offsets"], targets["short_mask"]),
        "middle_offsets": masked(targets["middle_offsets"], targets["middle_mask"]),
        "long_offsets": masked(targets["long_offsets"], targets["long_mask"][..., None]),
    }


def semantic_logits(semantic, num_classes, blur, rng):
    """Labels as stride-4 logits: the logarithm of each class' share under a Gaussian, or hard one-hot maps.

    Interpolated back, blurred logits put the boundary where it was, to a fraction of a cell; a network trained at full
    resolution learns such logits. Ignored pixels have no share; where nothing else is near, the logits are garbage.

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
