"""Refinement by short-range offsets."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logit

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import refine

HEIGHT = WIDTH = 30
GRID = tf.constant([HEIGHT, WIDTH])
CELLS = 4.0 * np.stack(np.unravel_index(np.arange(HEIGHT * WIDTH), (HEIGHT, WIDTH)), 1).astype(
    np.float32
)


def disk(keypoint, radius=25.0):
    """Heatmap (logits) [h · w, 1] and short offsets [h · w, 1, 2] of one keypoint; garbage off its
    disk.
    """
    offsets = np.array(keypoint, np.float32) - CELLS
    on = np.linalg.norm(offsets, axis=1, keepdims=True) <= radius
    garbage = np.random.default_rng(0).uniform(-200, 200, offsets.shape).astype(np.float32)
    return logit(on.astype(np.float32)), np.where(on, offsets, garbage)[:, None]


@pytest.mark.both_stacks
@pytest.mark.parametrize("read", ["voters", "point"])
def test_points_move_onto_the_keypoint(read):
    config = default_config().fusion
    config.refinement.keypoint_read = read
    heatmap, short = disk((50.0, 61.5))
    points = tf.constant([[53.0, 57.0], [45.0, 66.0]])
    refined = refine.refine_points(points, tf.constant([0, 0]), heatmap, short, GRID, config)
    np.testing.assert_allclose(refined, [[50, 61.5]] * 2, atol=0.05)


def test_points_off_the_image_stay():
    heatmap, short = disk((2.0, 2.0))
    points = tf.constant([[-9.0, 4.0], [4.0, 500.0]])
    refined = refine.refine_points(
        points, tf.constant([0, 0]), heatmap, short, GRID, default_config().fusion
    )
    np.testing.assert_array_equal(refined, points)


def test_voters_do_not_mind_garbage_at_the_keypoint_itself():
    config = default_config().fusion
    heatmap, short = disk((50.0, 60.0))
    near = np.linalg.norm(CELLS - (50, 60), axis=1) < 6
    short[near] = 150.0
    refined = refine.refine_points(
        tf.constant([[52.0, 58.0]]), tf.constant([0]), heatmap, short, GRID, config
    )
    np.testing.assert_allclose(refined, [[50, 60]], atol=0.05)


def test_long_range_predictions_next_to_the_image_snap_and_those_farther_off_stay():
    heatmap, short = disk((1.0, 61.5))
    targets = np.array([[-1.5, 60.0], [-2.5, 60.0]], np.float32)  # nearest to row 0, and to row -1
    cells = tf.constant([31, 62])
    long_offsets = np.zeros([len(CELLS), 1, 2], np.float32)
    long_offsets[cells.numpy()] = (targets - CELLS[cells.numpy()])[:, None]
    refined = np.stack(
        refine.long_targets(long_offsets, heatmap, short, cells, GRID, default_config().fusion)
    )
    np.testing.assert_allclose(refined[..., 0].T, [[1.0, 61.5], [-2.5, 60.0]], atol=1e-4)


def test_long_range_predictions_on_a_disk_snap_to_the_keypoint_and_others_stay():
    config = default_config().fusion
    heatmap, short = disk((50.0, 61.5))
    targets = np.array([[58.0, 70.0], [50.0, 100.0], [-20.0, 60.0], [500.0, 60.0]], np.float32)
    cells = tf.constant([0, 31, 62, 400])
    long_offsets = np.full([len(CELLS), 1, 2], np.nan, np.float32)
    long_offsets[cells.numpy()] = (targets - CELLS[cells.numpy()])[:, None]
    refined = np.stack(refine.long_targets(long_offsets, heatmap, short, cells, GRID, config))
    np.testing.assert_allclose(refined[:, 0, 0], [50, 61.5], atol=1e-4)
    np.testing.assert_array_equal(refined[:, 1:, 0].T, targets[1:])
    config.refinement.long_range = False
    kept = np.stack(refine.long_targets(long_offsets, heatmap, short, cells, GRID, config))
    np.testing.assert_array_equal(kept[..., 0].T, targets)
