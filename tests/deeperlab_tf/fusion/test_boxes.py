"""Boxes of keypoints."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.fusion import boxes


@pytest.mark.both_stacks
def test_sides_are_the_means_of_their_corners():
    corners = [(1.0, 3.0), (2.0, 9.0), (7.0, 4.0), (8.0, 10.0)]
    centre = (5.0, 5.0)
    found = boxes.boxes_of(tf.constant([[*corners, centre]]))
    np.testing.assert_allclose(found, [[1.5, 3.5, 7.5, 9.5]])


def test_the_size_is_the_root_of_the_area_and_zero_for_degenerate_boxes():
    three = tf.constant([[2.0, 3.0, 2.0, 3.0], [0.0, 0.0, 3.0, 15.0], [9.0, 0.0, 3.0, 15.0]])
    np.testing.assert_allclose(boxes.scale(three), [1, 8, 0])


def test_box_iou_counts_the_outermost_pixels():
    three = tf.constant([[0.0, 0.0, 9.0, 9.0], [0.0, 5.0, 9.0, 14.0], [3.0, 3.0, 3.0, 3.0]])
    expected = [[1, 1 / 3, 0.01], [1 / 3, 1, 0], [0.01, 0, 1]]
    np.testing.assert_allclose(boxes.box_iou(three), expected, rtol=1e-5)
