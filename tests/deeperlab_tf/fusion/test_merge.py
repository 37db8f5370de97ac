"""Majority classes, ids and boxes."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.fusion import merge

GRID, SIZE = tf.constant([2, 3]), tf.constant([5, 9])


def parts(cell_class, cell_slot):
    empty = tf.zeros([0, 16], tf.int32)
    return merge.Parts(tf.constant(cell_class), tf.constant(cell_slot), tf.zeros([0], tf.int32), empty, empty)


@pytest.mark.fast
def test_majority_counts_visible_pixels_only():
    # Cells show 4 x 4 pixels, in the last row and column fewer: slot 1 has 16 pixels of class 1 and 4 + 4 of class 2.
    found = merge.segments(parts([1, 0, 2, 2, 0, 0], [1, -1, 1, 1, -1, -1]), 3, 3, GRID, SIZE)
    np.testing.assert_array_equal(found.id, [0, 1, 0])
    assert found.majority[1] == 1 and found.count == 1


def test_ties_go_to_the_lowest_class_and_ids_close_ranks():
    found = merge.segments(parts([2, 1, 0, 0, 0, 0], [2, 2, -1, 0, -1, -1]), 4, 3, GRID, SIZE)
    np.testing.assert_array_equal(found.id, [1, 0, 2, 0])
    np.testing.assert_array_equal(found.slots[:2], [0, 2])
    assert found.majority[2] == 1


def test_panoptic_map_is_class_times_divisor_plus_id():
    layout = parts([2, 1, 0, 0, 0, 0], [0, 0, -1, -1, -1, -1])
    found = merge.segments(layout, 2, 3, GRID, SIZE)
    panoptic = merge.panoptic_map(layout, found, 1000, GRID, SIZE).numpy()
    assert panoptic.shape == (5, 9)
    np.testing.assert_array_equal(panoptic[:4, :8], 1001)
    np.testing.assert_array_equal(panoptic[4], 0)


def test_tight_boxes_include_the_outermost_pixels():
    ids = np.zeros([7, 9], np.int32)
    ids[2:5, 3:8] = 2
    ids[6, 0] = 1
    boxes = merge.tight_boxes(tf.constant(ids), 3)
    np.testing.assert_array_equal(boxes, [[6, 0, 6, 0], [2, 3, 4, 7], [0, 0, 0, 0]])
