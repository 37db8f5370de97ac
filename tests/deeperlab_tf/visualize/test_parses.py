import numpy as np
import pytest

from deeperlab_tf.keypoints import STAR
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.visualize import parses as visualize
from deeperlab_tf.visualize.errors import error_legend


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.fixture
def parsing(toy_dataset):
    semantic = np.zeros((60, 80), np.int32)
    semantic[30:] = 1
    semantic[5:25, 5:75] = 2
    instance = np.zeros_like(semantic)
    instance[5:25, 5:40], instance[5:25, 40:75] = 1, 2
    keypoints = np.array(
        [[[5, 5], [5, 39], [24, 5], [24, 39], [15, 22]], np.zeros((5, 2))], np.float32
    )
    return Parsing.from_maps(
        semantic, instance, toy_dataset, scores=[0.9, 0.4], keypoints=keypoints
    )


@pytest.mark.both_stacks
def test_segment_colors_are_distinct_and_stuff_has_its_class_color(parsing):
    colors = visualize.segment_colors(parsing)
    assert len(set(colors.values())) == len(parsing.segments) == 4
    assert colors[1 * 1000] == parsing.dataset.colors[1]
    assert (0, 0, 0) not in colors.values()


def test_equal_class_colors_are_told_apart(toy_dataset):
    import dataclasses

    same = tuple(
        dataclasses.replace(category, color=(0, 0, 0)) for category in toy_dataset.categories
    )
    dataset = dataclasses.replace(toy_dataset, categories=same)
    parsing = Parsing.from_maps(np.arange(4).reshape(2, 2), np.zeros((2, 2), int), dataset)
    assert len(set(visualize.segment_colors(parsing).values())) == 4


@pytest.mark.both_stacks
@pytest.mark.parametrize("scale", [1, 4])
def test_overlay_colors_each_segment_and_draws_names(image, parsing, scale):
    picture = visualize.draw_parsing(image, parsing, scale=scale)
    assert picture.shape == (60 * scale, 80 * scale, 3) and picture.dtype == np.uint8
    plain = visualize.draw_parsing(
        image, parsing, {segment.id: (9, 9, 9) for segment in parsing.segments}, scale
    )
    assert (picture != plain).any(axis=-1).mean() > 0.8


def test_overlay_works_on_the_smallest_image(toy_dataset):
    one = np.zeros((1, 1), int)
    assert visualize.overlay(np.zeros((1, 1, 3), np.uint8), one, one, toy_dataset).shape == (
        1,
        1,
        3,
    )


def test_flat_maps_have_the_colors_of_their_labels(parsing):
    semantic = visualize.semantic_map(parsing.semantic, parsing.dataset)
    assert tuple(semantic[0, 0]) == parsing.dataset.colors[0]
    instances = visualize.instance_map(parsing.instance)
    assert tuple(instances[0, 0]) == (0, 0, 0) and tuple(instances[10, 10]) != tuple(
        instances[10, 60]
    )


def test_ignored_pixels_are_black(toy_dataset):
    assert not visualize.semantic_map(np.full((2, 2), 255), toy_dataset).any()


def test_boundaries_lie_where_labels_change():
    labels = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])
    expected = [[False, True, False], [True, True, True], [False, False, False]]
    np.testing.assert_array_equal(visualize.boundaries(labels), expected)


def test_heatmap_glows_at_its_peaks(image):
    probabilities = np.zeros((15, 20, 5), np.float32)
    probabilities[7, 10, 2] = 1
    picture = visualize.heatmap(probabilities, image)
    assert picture.shape == image.shape
    assert picture[30, 42].max() > picture[5, 5].max()
    assert visualize.heatmap(probabilities[..., 2], image).shape == image.shape


@pytest.mark.parametrize("kinds", [4, 5])
def test_detection_draws_detected_instances_only(image, parsing, kinds):
    import dataclasses

    dark = (image * 0.55).astype(np.uint8)
    picture = visualize.detection(
        image, dataclasses.replace(parsing, keypoints=parsing.keypoints[:, :kinds])
    )
    changed = (picture != dark).any(axis=-1)
    assert changed[5, 5] and changed[24, 39]
    assert not changed[:3, :3].any()  # the second instance has no keypoints
    assert not changed[40:].any()


def test_offset_colors_tell_direction_and_length():
    field = np.zeros((1, 4, 2))
    field[0, 1], field[0, 2], field[0, 3] = (0, 2), (0, -2), (0, 1)
    none, right, left, short = visualize.offsets(field)[0].astype(int)
    assert tuple(none) == (255, 255, 255)
    assert tuple(right) == (255, 0, 0) and tuple(left) == (0, 255, 255)
    assert short[0] == 255 and 100 < short[1] < 155
    assert visualize.offsets(np.zeros((2, 2, 2))).min() == 255


def test_contact_sheet_lines_up_pictures_of_any_size(image):
    rows = [[image, image[:30]], [image[:, :20], image]]
    sheet = visualize.contact_sheet(rows, ["image", "parse"], cell_height=50, footer=error_legend)
    assert sheet.dtype == np.uint8 and sheet.shape[0] > 2 * 50


def test_a_long_contact_sheet_is_folded_into_two_columns(image):
    sheets = [
        visualize.contact_sheet([[image]] * count, ["image"], cell_height=60) for count in (2, 3, 9)
    ]
    assert [sheet.shape[0] for sheet in sheets] == [28 + 2 * 66, 28 + 2 * 66, 28 + 5 * 66]
    assert sheets[0].shape[1] == 86 and sheets[2].shape[1] == 2 * 86 + 2 * 24
    # The first and the sixth.
    np.testing.assert_array_equal(sheets[2][28:88, :86], sheets[2][28:88, 110:196])


def test_offset_sheet_shows_every_field_of_every_head(image):
    maps = {
        f"{head}_offsets": np.ones((9, 13, count, 2))
        for head, count in (("short", 5), ("middle", 8), ("long", 5))
    }
    sheet = visualize.offset_sheet(maps, STAR, image, cell_height=50)
    assert sheet.shape == (3 * (50 + 28 + 6), 8 * (round(13 * 50 / 9) + 6), 3)


def test_the_color_wheel_is_that_of_the_offsets():
    wheel = visualize.color_wheel(101).astype(int)
    right = visualize.offsets(np.array([[[0.0, 1.0]]]))[0, 0].astype(int)
    assert abs(wheel[50, 95] - right).max() < 12
    assert tuple(wheel[50, 50]) == (255, 255, 255) and tuple(wheel[0, 0]) == (24, 24, 24)


def test_heatmap_and_its_legend_have_one_width(image):
    picture = visualize.heatmap(np.zeros((15, 20, 5)), image, scale=3)
    assert picture.shape == (180, 240, 3)
    assert visualize.heatmap_legend(STAR, 240).shape == (28, 240, 3)


def test_prediction_sheet_has_every_picture_wide_ones_in_two_lines(image, parsing):
    heatmaps = np.zeros((15, 20, 5))
    sheet = visualize.prediction_sheet(image, parsing, heatmaps, cell_height=60)
    assert sheet.shape == (2 * (28 + 66), 3 * (80 + 6), 3)
    np.testing.assert_array_equal(sheet[28:88, 3:83], image)
    with_truth = visualize.prediction_sheet(image, parsing, heatmaps, truth=parsing, cell_height=60)
    assert with_truth.shape == (2 * (28 + 66), 4 * (80 + 6), 3)
