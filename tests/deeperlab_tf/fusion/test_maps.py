"""The grid, and reading maps between its cells."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.fusion.maps import Candidates, Grid, sample

HEIGHT, WIDTH, GROUPS, DEPTH = 5, 7, 3, 2


@pytest.mark.both_stacks
def test_flat_cells_are_rows_and_columns():
    grid = Grid(HEIGHT, WIDTH)
    expected = np.unravel_index(np.arange(grid.num_cells), (HEIGHT, WIDTH))
    rows, columns = grid.rows_columns(tf.range(grid.num_cells))
    np.testing.assert_array_equal([rows, columns], expected)
    np.testing.assert_array_equal(grid.flat(rows, columns), np.arange(grid.num_cells))


def test_only_cells_of_the_grid_are_on_it():
    rows, columns = np.mgrid[-2 : HEIGHT + 2, -2 : WIDTH + 2].astype(np.int32)
    expected = (rows >= 0) & (rows < HEIGHT) & (columns >= 0) & (columns < WIDTH)
    contains = Grid(HEIGHT, WIDTH).contains(tf.constant(rows), tf.constant(columns))
    np.testing.assert_array_equal(contains, expected)


def test_the_image_ends_at_the_last_cells():
    y = tf.constant([0.0, 16.0, 16.1, -0.1, 3.0, np.nan])
    x = tf.constant([24.0, 0.0, 3.0, 3.0, 24.1, 3.0])
    spans = Grid(HEIGHT, WIDTH).spans(y, x)
    np.testing.assert_array_equal(spans, [True, True, False, False, False, False])


def test_corners_beyond_the_border_repeat_it():
    corners = Grid(HEIGHT, WIDTH).corners(tf.constant([0, 6, 34]))
    np.testing.assert_array_equal(corners, [[0, 1, 7, 8], [6, 6, 13, 13], [34] * 4])


def test_candidates_are_picked_by_place_and_by_flag():
    points = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    candidates = Candidates(points, tf.constant([7, 8, 9]))
    np.testing.assert_array_equal(candidates.gather(tf.constant([2, 0])).kinds, [9, 7])
    np.testing.assert_array_equal(candidates.mask(tf.constant([False, True, False])).kinds, [8])


def queries():
    """A map, points (y, x) in and around it in pixels, and which group to read at each."""
    rng = np.random.default_rng(0)
    channels = rng.normal(size=(HEIGHT * WIDTH, GROUPS, DEPTH)).astype(np.float32)
    points = rng.uniform(-12, 36, size=(50, 2)).astype(np.float32)
    points[:4] = [[0, 0], [16, 24], [16, 0], [8, 24]]
    return channels, points, rng.integers(0, GROUPS, 50).astype(np.int32)


def bilinear_oracle(values, point):
    y, x = (np.clip(c / 4, 0, n - 1) for c, n in zip(point, values.shape))
    top, left = min(int(y), HEIGHT - 2), min(int(x), WIDTH - 2)
    below, right = y - top, x - left
    corners = values[top : top + 2, left : left + 2]
    return np.einsum("i,j,ijd->d", [1 - below, below], [1 - right, right], corners)


@pytest.mark.both_stacks
def test_sampling_is_bilinear_and_takes_the_border_outside():
    channels, points, which = queries()
    maps = channels.reshape(HEIGHT, WIDTH, GROUPS, DEPTH)
    expected = [bilinear_oracle(maps[:, :, k], point) for point, k in zip(points, which)]
    sampled = sample(tf.constant(channels), points, which, Grid(HEIGHT, WIDTH))
    np.testing.assert_allclose(sampled, expected, atol=1e-5)


def test_sampling_equals_that_of_tensorflow_addons():
    addons = pytest.importorskip(
        "tensorflow_addons", reason="tensorflow-addons is of the reference stack only"
    )
    channels, points, which = queries()
    maps = channels.reshape(1, HEIGHT, WIDTH, GROUPS * DEPTH)
    expected = addons.image.interpolate_bilinear(maps, points[None] / 4, indexing="ij")
    expected = tf.gather(tf.reshape(expected, [-1, GROUPS, DEPTH]), which, axis=1, batch_dims=1)
    sampled = sample(tf.constant(channels), points, which, Grid(HEIGHT, WIDTH))
    np.testing.assert_allclose(sampled, expected, atol=1e-5)
