"""A stand-in for `HeadKeeper` that knows what it is shown: pages are tried without a network."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from deeperlab_tf import Category, Dataset, Parsing
from deeperlab_tf.keypoints import STAR

DATASET = Dataset(
    "made up",
    (
        Category("sky", False, (90, 160, 220), 0),
        Category("ground <i>", False, (120, 100, 80), 1),
        Category("car", True, (220, 60, 60), 2),
    ),
)


class Settings(NamedTuple):
    peak_threshold: float = 0.1
    nms_iou: float = 0.6


class Kept(NamedTuple):
    image: np.ndarray


class MadeUpKeeper:
    """Sees sky above ground, and two cars of scores 0.9 and 0.4 side by side.

    `runs` counts how often the network would have run.
    """

    dataset, graph, settings = DATASET, STAR, Settings()

    def __init__(self) -> None:
        self.runs = 0

    def keep(self, image):
        self.runs += 1
        return Kept(image)

    def fuse(self, kept, settings):
        height, width = kept.image.shape[:2]
        semantic = np.zeros([height, width], np.int32)
        semantic[height // 2 :] = 1
        instance = np.zeros_like(semantic)
        scores = [score for score in (0.9, 0.4) if score > settings.peak_threshold]
        keypoints = []
        for number in range(1, len(scores) + 1):
            left = (2 * number - 1) * width // 6
            box = (height // 3, left, 2 * height // 3, left + width // 6)
            place = np.s_[box[0] : box[2], box[1] : box[3]]
            semantic[place], instance[place] = 2, number
            keypoints.append(_keypoints(*box))
        return Parsing.from_maps(
            semantic,
            instance,
            DATASET,
            kept.image,
            scores=scores,
            keypoints=np.array(keypoints, np.float32).reshape(-1, STAR.num_keypoints, 2),
        )

    def maps(self, kept):
        height, width = (max(side // 4, 1) for side in kept.image.shape[:2])
        offsets = np.mgrid[:height, :width].transpose(1, 2, 0)[:, :, None].astype(np.float32)
        points, edges = STAR.num_keypoints, STAR.num_edges
        return {
            "heatmap": np.full([height, width, points], 0.5, np.float32),
            "short_offsets": np.repeat(offsets, points, axis=2),
            "middle_offsets": np.repeat(offsets, edges, axis=2),
            "long_offsets": np.repeat(offsets, points, axis=2),
        }


def _keypoints(y1, x1, y2, x2):
    center = ((y1 + y2) / 2, (x1 + x2) / 2)
    return [(y1, x1), (y1, x2), (y2, x1), (y2, x2), center]
