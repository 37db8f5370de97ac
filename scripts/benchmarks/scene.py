"""Made-up scenes for benchmarks: heads as a trained network would predict them."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

from deeperlab_tf.heads import HEAD_STRIDE, grid_side
from deeperlab_tf.keypoints import KeypointGraph

_BANDS = 8  # of stuff, one below the other
_BLOBS = 60  # of things
_THING_SHARE = 0.3  # of the image, about


def scene_heads(
    image_size: tuple[int, int],
    num_instances: int,
    num_classes: int,
    num_things: int,
    graph: KeypointGraph,
    radius: float,
    seed: int = 0,
    noise: float = 1.0,
) -> dict[str, np.ndarray]:
    """Blobs of thing classes on bands of stuff, as heads with a little noise.

    Scenes of one size and seed have the same semantics: only into how many instances the things are
    cut differs, so that times show the cost of instances and nothing else.

    Args:
      image_size: (H, W), sides 16k + 1.
      num_instances: number of instances.
      num_classes: number of classes; the last `num_things` are things.
      num_things: number of thing classes.
      graph: `KeypointGraph`.
      radius: R, pixels.
      seed: of the scene.
      noise: standard deviation of offsets, pixels.

    Returns:
      dict of the five heads, float32 NumPy arrays with a batch dimension of 1.
    """
    rng = np.random.default_rng(seed)
    height, width = (grid_side(side) for side in image_size)
    positions = np.mgrid[:height, :width].astype(np.float32) * HEAD_STRIDE
    num_stuff = num_classes - num_things
    label = _bands(positions, image_size[0]) % num_stuff
    is_thing = _add_blobs(label, positions, image_size, num_stuff, num_classes, rng)
    soft_logits = _soft_logits(label, num_classes)
    soft_logits = soft_logits + rng.normal(0, 0.1, soft_logits.shape)

    # Each thing cell belongs to the nearest of as many seeds as there shall be instances.
    cells = np.argwhere(is_thing)
    seeds = cells[rng.choice(len(cells), num_instances, replace=False)]
    owner = np.full([height, width], -1)
    owner[is_thing] = cKDTree(seeds).query(cells)[1]
    of_instances = [np.argwhere(owner == index) for index in range(num_instances)]
    keypoints = np.stack([_keypoints(cells, graph) for cells in of_instances])

    grid = np.stack(positions, axis=-1)
    heatmap, short, middle = _disks(grid, keypoints, graph, radius)
    long_offsets = (keypoints[owner] - grid[:, :, None]) * (owner >= 0)[..., None, None]
    heads = {
        "semantic_logits": soft_logits,
        "keypoint_logits": np.where(heatmap, 4.0, -6.0) + rng.normal(0, 0.5, heatmap.shape),
        "short_offsets": short + rng.normal(0, noise / 2, short.shape),
        "middle_offsets": middle + rng.normal(0, noise, middle.shape),
        "long_offsets": long_offsets + rng.normal(0, noise, long_offsets.shape),
    }
    return {
        name: np.reshape(head, [1, height, width, -1]).astype(np.float32)
        for name, head in heads.items()
    }


def _bands(positions, image_height):
    """Wavy bands, one below the other: int [h, w], 0 at the top."""
    rows, columns = positions
    waves = 0.3 * np.sin(columns / 40) + 0.2 * np.sin(columns / 11)
    return np.clip(rows * _BANDS / image_height + waves, 0, _BANDS).astype(int)


def _add_blobs(label, positions, image_size, num_stuff, num_classes, rng):
    """Puts ellipses of thing classes into `label`; bool [h, w], where they are."""
    rows, columns = positions
    extent = np.sqrt(_THING_SHARE * image_size[0] * image_size[1] / _BLOBS / np.pi)
    is_thing = np.zeros(label.shape, bool)
    for _ in range(_BLOBS):
        y, x = rng.uniform(0, image_size)
        half_height, half_width = extent * rng.uniform(0.6, 1.6, 2)
        inside = ((rows - y) / half_height) ** 2 + ((columns - x) / half_width) ** 2 <= 1
        is_thing |= inside
        label[inside] = num_stuff + rng.integers(num_classes - num_stuff)
    return is_thing


def _keypoints(cells, graph):
    """Corners of the box and centre of mass of cells, int [N, 2]: float32 [P, 2] pixels."""
    top, left = cells.min(axis=0)
    bottom, right = cells.max(axis=0)
    points = [(top, left), (top, right), (bottom, left), (bottom, right), cells.mean(axis=0)]
    return np.array(points[: graph.num_keypoints], np.float32) * HEAD_STRIDE


def _disks(grid, keypoints, graph, radius):
    """The heads around keypoints: what each cell predicts for the nearest ones.

    Returns:
      heatmap bool [h, w, P], short offsets [h, w, P, 2], middle offsets [h, w, E, 2].
    """
    height, width = grid.shape[:2]
    num_kinds = graph.num_keypoints
    distance = np.full([height, width, num_kinds], radius, np.float32)
    nearest = np.full(distance.shape, -1)
    for index, points in enumerate(keypoints):
        for kind, point in enumerate(points):
            low = np.maximum(((point - radius) / HEAD_STRIDE).astype(int), 0)
            high = np.maximum(((point + radius) / HEAD_STRIDE).astype(int) + 2, 0)
            window = np.s_[low[0] : high[0], low[1] : high[1]]
            here = np.linalg.norm(grid[window] - point, axis=-1)
            closer = here < distance[window][..., kind]
            distance[window][..., kind][closer] = here[closer]
            nearest[window][..., kind][closer] = index

    on_disk = nearest >= 0
    sources = [source for source, _ in graph.edges]
    short = [keypoints[nearest[..., kind], kind] - grid for kind in range(num_kinds)]
    middle = [keypoints[nearest[..., source], target] - grid for source, target in graph.edges]
    short = np.stack(short, axis=2) * on_disk[..., None]
    middle = np.stack(middle, axis=2) * on_disk[..., sources, None]
    return on_disk, short, middle


def _soft_logits(label, num_classes):
    """Logits whose boundaries are soft over about a cell: float32 [h, w, classes]."""
    logits = np.full([*label.shape, num_classes], -6.0, np.float32)
    for value in np.unique(label):
        share = cv2.GaussianBlur((label == value).astype(np.float32), (0, 0), 0.5)
        logits[..., value] = np.log(share + np.exp(-6.0))
    return logits
