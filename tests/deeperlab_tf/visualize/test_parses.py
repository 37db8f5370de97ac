import dataclasses

import numpy as np
import pytest

from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.visualize.parses import (
    boundaries,
    draw_parsing,
    instance_map,
    segment_colors,
    semantic_map,
)


@pytest.mark.both_stacks
def test_segment_colors_are_distinct_and_stuff_has_its_class_color(parsing):
    colors = segment_colors(parsing)
    assert len(set(colors.values())) == len(parsing.segments) == 4
    assert colors[1 * 1000] == parsing.dataset.colors[1]
    assert (0, 0, 0) not in colors.values()


def test_equal_class_colors_are_told_apart(toy_dataset):
    same = tuple(
        dataclasses.replace(category, color=(0, 0, 0)) for category in toy_dataset.categories
    )
    dataset = dataclasses.replace(toy_dataset, categories=same)
    parsing = Parsing.from_maps(np.arange(4).reshape(2, 2), np.zeros((2, 2), int), dataset)
    assert len(set(segment_colors(parsing).values())) == 4


@pytest.mark.both_stacks
@pytest.mark.parametrize("scale", [1, 4])
def test_overlay_colors_each_segment_and_draws_names(image, parsing, scale):
    picture = draw_parsing(image, parsing, scale=scale)
    assert picture.shape == (60 * scale, 80 * scale, 3) and picture.dtype == np.uint8
    plain = draw_parsing(
        image, parsing, {segment.id: (9, 9, 9) for segment in parsing.segments}, scale
    )
    assert (picture != plain).any(axis=-1).mean() > 0.8


def test_overlay_works_on_the_smallest_image(toy_dataset):
    one = np.zeros((1, 1), int)
    parsing = Parsing.from_maps(one, one, toy_dataset)
    assert draw_parsing(np.zeros((1, 1, 3), np.uint8), parsing).shape == (1, 1, 3)


def test_flat_maps_have_the_colors_of_their_labels(parsing):
    semantic = semantic_map(parsing.semantic, parsing.dataset)
    assert tuple(semantic[0, 0]) == parsing.dataset.colors[0]
    instances = instance_map(parsing.instance)
    assert tuple(instances[0, 0]) == (0, 0, 0) and tuple(instances[10, 10]) != tuple(
        instances[10, 60]
    )


def test_ignored_pixels_are_black(toy_dataset):
    assert not semantic_map(np.full((2, 2), 255), toy_dataset).any()


def test_boundaries_lie_where_labels_change():
    labels = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])
    expected = [[False, True, False], [True, True, True], [False, False, False]]
    np.testing.assert_array_equal(boundaries(labels), expected)
