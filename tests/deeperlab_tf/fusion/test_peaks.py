"""Local maxima of the score map against a maximum filter."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion.maps import Grid
from deeperlab_tf.fusion.peaks import local_maxima


@pytest.mark.parametrize("window", [1, 3, 5, 7])
def test_local_maxima_are_those_of_a_maximum_filter(window):
    config = default_config().fusion
    config.detection.peak_window_cells, config.peak_threshold = window, 0.4
    scores = np.random.default_rng(window).random([14, 11, 3]).astype(np.float32)
    highest = ndimage.maximum_filter(scores, [window, window, 1], mode="constant")
    rows, columns, kinds = np.nonzero((scores == highest) & (scores > config.peak_threshold))
    order = np.argsort(-scores[rows, columns, kinds])
    points, found = local_maxima(tf.reshape(scores, [-1, 3]), Grid(14, 11), config)
    np.testing.assert_array_equal(found, kinds[order])
    padded = np.pad(scores, [[1, 1], [1, 1], [0, 0]])
    for point, row, column, kind in zip(points, rows[order], columns[order], kinds[order]):
        weights = padded[row : row + 3, column : column + 3, kind]
        centre = [(weights * steps).sum() / weights.sum() for steps in np.mgrid[-1:2, -1:2]]
        np.testing.assert_allclose(point, 4 * (np.array([row, column]) + centre), atol=1e-4)


@pytest.mark.both_stacks
def test_local_maxima_are_found_finer_than_the_grid_best_first():
    config = default_config().fusion
    scores = np.zeros([12, 15, 2], np.float32)
    scores[3, 4:6, 1] = 0.75, 0.25  # a vote at column 4.25
    scores[8, 10, 0] = 0.5
    scores[0, 0, 0] = config.peak_threshold  # not above the threshold
    points, kinds = local_maxima(tf.reshape(scores, [-1, 2]), Grid(12, 15), config)
    np.testing.assert_allclose(points, [[12, 17], [32, 40]])
    np.testing.assert_array_equal(kinds, [1, 0])


@pytest.mark.parametrize("window, count", [(1, 3), (3, 2), (5, 1)])
def test_of_peaks_inside_a_window_only_the_highest_counts(window, count):
    config = default_config().fusion
    config.detection.peak_window_cells = window
    scores = np.zeros([12, 15], np.float32)
    scores[5, 5:8] = 0.9, 0.3, 0.8  # two peaks two cells apart
    points, _ = local_maxima(tf.reshape(scores, [-1, 1]), Grid(12, 15), config)
    assert len(points) == count
