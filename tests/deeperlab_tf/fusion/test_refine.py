"""Refinement by short-range offsets."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logit

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion.maps import Candidates
from deeperlab_tf.fusion.refine import refine_long_range, refine_points

HEIGHT = WIDTH = 30
CELLS = np.stack(np.unravel_index(np.arange(HEIGHT * WIDTH), (HEIGHT, WIDTH)), 1)
CELLS = 4.0 * CELLS.astype(np.float32)


def disk(keypoint, radius=25.0):
    """Heatmap (logits) [h · w, 1] and short offsets [h · w, 1, 2] of one keypoint; garbage off its
    disk.
    """
    offsets = np.array(keypoint, np.float32) - CELLS
    on = np.linalg.norm(offsets, axis=1, keepdims=True) <= radius
    garbage = np.random.default_rng(0).uniform(-200, 200, offsets.shape).astype(np.float32)
    return logit(on.astype(np.float32)), np.where(on, offsets, garbage)[:, None]


@pytest.fixture
def refined(make_maps):
    """Function (points, heatmap, short offsets, **refinement) -> the points, refined."""

    def refine(points, heatmap, short, **changes):
        refinement = default_config().fusion.refinement
        refinement.update(changes)
        maps = make_maps(HEIGHT, WIDTH, keypoint_logits=heatmap, short_offsets=short)
        keypoints = Candidates(tf.constant(points), tf.zeros([len(points)], tf.int32))
        return refine_points(keypoints, maps, refinement)

    return refine


@pytest.fixture
def snapped(make_maps):
    """Function (targets, cells, keypoint, **refinement) -> what the cells predict, refined: [N, 2].

    Only at these cells are long-range offsets finite, and lead to `targets`.
    """

    def snap(targets, cells, keypoint, **changes):
        refinement = default_config().fusion.refinement
        refinement.update(changes)
        heatmap, short = disk(keypoint)
        long_offsets = np.full([len(CELLS), 1, 2], np.nan, np.float32)
        long_offsets[cells] = (targets - CELLS[cells])[:, None]
        maps = make_maps(
            HEIGHT,
            WIDTH,
            keypoint_logits=heatmap,
            short_offsets=short,
            long_offsets=long_offsets,
        )
        found = refine_long_range(tf.constant(cells), maps, refinement)
        np.testing.assert_array_equal(found.cells, cells)
        return np.stack([found.y[:, 0], found.x[:, 0]], axis=1)

    return snap


@pytest.mark.both_stacks
@pytest.mark.parametrize("read", ["voters", "point"])
def test_points_move_onto_the_keypoint(read, refined):
    points = refined([[53.0, 57.0], [45.0, 66.0]], *disk((50.0, 61.5)), keypoint_read=read)
    np.testing.assert_allclose(points, [[50, 61.5]] * 2, atol=0.05)


def test_points_off_the_image_stay(refined):
    points = [[-9.0, 4.0], [4.0, 500.0]]
    np.testing.assert_array_equal(refined(points, *disk((2.0, 2.0))), points)


def test_voters_do_not_mind_garbage_at_the_keypoint_itself(refined):
    heatmap, short = disk((50.0, 60.0))
    near = np.linalg.norm(CELLS - (50, 60), axis=1) < 6
    short[near] = 150.0
    np.testing.assert_allclose(refined([[52.0, 58.0]], heatmap, short), [[50, 60]], atol=0.05)


def test_long_range_predictions_next_to_the_image_snap_and_those_farther_off_stay(snapped):
    # Nearest to row 0, and to row -1.
    targets = np.array([[-1.5, 60.0], [-2.5, 60.0]], np.float32)
    found = snapped(targets, [31, 62], (1.0, 61.5))
    np.testing.assert_allclose(found, [[1.0, 61.5], [-2.5, 60.0]], atol=1e-4)


def test_long_range_predictions_on_a_disk_snap_to_the_keypoint_and_others_stay(snapped):
    targets = np.array([[58.0, 70.0], [50.0, 100.0], [-20.0, 60.0], [500.0, 60.0]], np.float32)
    found = snapped(targets, [0, 31, 62, 400], (50.0, 61.5))
    np.testing.assert_allclose(found[0], [50, 61.5], atol=1e-4)
    np.testing.assert_array_equal(found[1:], targets[1:])
    kept = snapped(targets, [0, 31, 62, 400], (50.0, 61.5), long_range=False)
    np.testing.assert_array_equal(kept, targets)
