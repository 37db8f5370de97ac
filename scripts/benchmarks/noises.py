"""Imperfect predictions: perfect heads, corrupted in the ways in which networks err."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Heads = dict[str, np.ndarray]  # float32 [1, h, w, channels] each; a noise changes it in place
Noise = Callable[[Heads, np.random.Generator], None]

_OFFSETS = (("short_offsets", 1 / 3), ("middle_offsets", 1), ("long_offsets", 1))


def noises(radius: float) -> dict[str, Noise]:
    """The kinds of noise by their names.

    Args:
      radius: R, of the disks around keypoints; pixels.
    """
    return {
        "none": lambda heads, rng: None,
        "offsets R/5": offsets(0.2 * radius),
        "offsets R/2": offsets(0.5 * radius),
        "offsets R": offsets(radius),
        "heatmap": blurred_heatmap,
        "dropped": dropped_keypoints,
        "semantics": wrong_semantics,
    }


def offsets(sigma: float) -> Noise:
    """Smooth and white noise on all offsets: `sigma` pixels on middle and long ones, a third on
    short ones.
    """

    def corrupt(heads, rng):
        for name, share in _OFFSETS:
            _, height, width, channels = heads[name].shape
            coarse = rng.normal(size=[height // 8 + 1, width // 8 + 1, channels]).astype(np.float32)
            smooth = np.stack(
                [cv2.resize(coarse[..., k], (width, height)) for k in range(channels)], axis=-1
            )
            noise = smooth + rng.normal(0, 0.5, smooth.shape)
            heads[name] = heads[name] + (share * sigma * noise).astype(np.float32)

    return corrupt


def blurred_heatmap(heads: Heads, rng: np.random.Generator) -> None:
    """Disks of the heatmap blurred over three cells, shifted by two, noisy and far less certain."""
    heatmap = np.roll(heads["keypoint_logits"][0], (2, -2), axis=(0, 1))
    heatmap = cv2.GaussianBlur(heatmap, (0, 0), 3) / 4 + rng.normal(0, 1, heatmap.shape)
    heads["keypoint_logits"] = (heatmap - 1)[None].astype(np.float32)


def dropped_keypoints(heads: Heads, rng: np.random.Generator) -> None:
    """No heatmap at all in eight of ten 64 x 64 windows, separately for each kind."""
    _, height, width, kinds = heads["keypoint_logits"].shape
    holes = _windows(
        rng.random([height // 16 + 1, width // 16 + 1, kinds]) < 0.8, 16, height, width
    )
    heads["keypoint_logits"] = np.where(holes, -8.0, heads["keypoint_logits"]).astype(np.float32)


def wrong_semantics(heads: Heads, rng: np.random.Generator) -> None:
    """Another class of the image's own in one of ten 16 x 16 windows."""
    _, height, width, classes = heads["semantic_logits"].shape
    wrong = rng.random([height // 4 + 1, width // 4 + 1]) < 0.1
    label = rng.choice(np.unique(heads["semantic_logits"].argmax(-1)), wrong.shape)
    wrong, label = (_windows(x, 4, height, width) for x in (wrong, label))
    boost = 20.0 * (np.arange(classes) == label[..., None]) * wrong[..., None]
    heads["semantic_logits"] = heads["semantic_logits"] + boost[None].astype(np.float32)


def _windows(values, side, height, width):
    """One value for each window of `side` cells -> one for each cell."""
    return np.repeat(np.repeat(values, side, axis=0), side, axis=1)[:height, :width]
