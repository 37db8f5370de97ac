import dataclasses

import numpy as np
import pytest

from deeperlab_tf.keypoints import STAR
from deeperlab_tf.visualize.heads import color_wheel, detection, heatmap, heatmap_legend, offsets


def test_heatmap_glows_at_its_peaks(image):
    probabilities = np.zeros((15, 20, 5), np.float32)
    probabilities[7, 10, 2] = 1
    picture = heatmap(probabilities, image)
    assert picture.shape == image.shape
    assert picture[30, 42].max() > picture[5, 5].max()
    assert heatmap(probabilities[..., 2], image).shape == image.shape


@pytest.mark.parametrize("kinds", [4, 5])
def test_detection_draws_detected_instances_only(image, parsing, kinds):
    dark = (image * 0.55).astype(np.uint8)
    picture = detection(image, dataclasses.replace(parsing, keypoints=parsing.keypoints[:, :kinds]))
    changed = (picture != dark).any(axis=-1)
    assert changed[5, 5] and changed[24, 39]
    assert not changed[:3, :3].any()  # the second instance has no keypoints
    assert not changed[40:].any()


def test_offset_colors_tell_direction_and_length():
    field = np.zeros((1, 4, 2))
    field[0, 1], field[0, 2], field[0, 3] = (0, 2), (0, -2), (0, 1)
    none, right, left, short = offsets(field)[0].astype(int)
    assert tuple(none) == (255, 255, 255)
    assert tuple(right) == (255, 0, 0) and tuple(left) == (0, 255, 255)
    assert short[0] == 255 and 100 < short[1] < 155
    assert offsets(np.zeros((2, 2, 2))).min() == 255


def test_the_color_wheel_is_that_of_the_offsets():
    wheel = color_wheel(101).astype(int)
    right = offsets(np.array([[[0.0, 1.0]]]))[0, 0].astype(int)
    assert abs(wheel[50, 95] - right).max() < 12
    assert tuple(wheel[50, 50]) == (255, 255, 255) and tuple(wheel[0, 0]) == (24, 24, 24)


def test_heatmap_and_its_legend_have_one_width(image):
    picture = heatmap(np.zeros((15, 20, 5)), image, scale=3)
    assert picture.shape == (180, 240, 3)
    assert heatmap_legend(STAR, 240).shape == (28, 240, 3)
