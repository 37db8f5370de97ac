"""Sizes and pixels on the way into the network."""

import numpy as np
import pytest

from deeperlab_tf.config import check_side, default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.pixels.image_size import (
    content_size,
    network_size,
    pad_image,
    padded_side,
    resize_image,
    resize_labels,
)


@pytest.mark.both_stacks
def test_padded_side_is_the_next_16k_plus_1():
    for side in range(1, 200):
        result = int(padded_side(side))
        check_side(result, "side")
        assert result >= side and (result - 16 < side or result == 17)


@pytest.mark.parametrize(
    "size, longer_side, limit, expected",
    [
        ((100, 200), 0, (1441, 1441), (100, 200)),
        ((100, 200), 401, (1441, 1441), (200, 401)),
        ((3000, 4000), 0, (1441, 1441), (1081, 1441)),
        ((3000, 4000), 1441, (721, 1441), (721, 961)),
        ((1, 1), 0, (17, 17), (1, 1)),
        ((1, 4000), 0, (17, 17), (1, 17)),
    ],
)
def test_images_are_scaled_then_shrunk_to_fit(size, longer_side, limit, expected):
    config = default_config()
    config.data.longer_side = longer_side
    config.eval.image_size = limit
    assert tuple(int(side) for side in content_size(*size, config)) == expected


def test_padding_is_to_the_evaluation_size_or_the_next_that_fits():
    config = default_config()
    assert tuple(int(side) for side in network_size(100, 200, config)) == (1441, 1441)
    config.eval.pad_to_size = False
    assert tuple(int(side) for side in network_size(100, 200, config)) == (113, 209)


@pytest.mark.both_stacks
def test_same_size_leaves_the_pixels_untouched():
    image = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3)).astype(np.uint8)
    np.testing.assert_array_equal(resize_image(image, 20, 30), image)


def test_padding_is_grey_at_the_bottom_and_right():
    image = np.zeros((1, 20, 30, 3), np.uint8)
    padded = pad_image(image, 33, 49).numpy()
    assert padded.shape == (1, 33, 49, 3)
    assert (
        not padded[:, :20, :30].any()
        and (padded[:, 20:] == 127).all()
        and (padded[:, :, 30:] == 127).all()
    )


def test_labels_keep_their_ids_when_resized():
    labels = np.array([[[1, 70000], [2**31 - 1, 4]]], np.int32)
    result = resize_labels(labels, 4, 4).numpy()
    np.testing.assert_array_equal(result, labels.repeat(2, axis=1).repeat(2, axis=2))


@pytest.mark.parametrize("side", [0, 1, 16, 18, 720])
def test_sides_that_are_not_16k_plus_1_are_refused_with_a_better_one(side):
    with pytest.raises(UserError, match=r"is not 16k \+ 1; use \d+"):
        check_side(side, "config.data.crop_size")
