import numpy as np

from deeperlab_tf.keypoints import STAR
from deeperlab_tf.visualize.errors import error_legend
from deeperlab_tf.visualize.sheets import contact_sheet, offset_sheet, prediction_sheet


def test_contact_sheet_lines_up_pictures_of_any_size(image):
    rows = [[image, image[:30]], [image[:, :20], image]]
    sheet = contact_sheet(rows, ["image", "parse"], cell_height=50, footer=error_legend)
    assert sheet.dtype == np.uint8 and sheet.shape[0] > 2 * 50


def test_a_long_contact_sheet_is_folded_into_two_columns(image):
    sheets = [contact_sheet([[image]] * count, ["image"], cell_height=60) for count in (2, 3, 9)]
    assert [sheet.shape[0] for sheet in sheets] == [28 + 2 * 66, 28 + 2 * 66, 28 + 5 * 66]
    assert sheets[0].shape[1] == 86 and sheets[2].shape[1] == 2 * 86 + 2 * 24
    # The first and the sixth.
    np.testing.assert_array_equal(sheets[2][28:88, :86], sheets[2][28:88, 110:196])


def test_offset_sheet_shows_every_field_of_every_head(image):
    maps = {
        f"{head}_offsets": np.ones((9, 13, count, 2))
        for head, count in (("short", 5), ("middle", 8), ("long", 5))
    }
    sheet = offset_sheet(maps, STAR, image, cell_height=50)
    assert sheet.shape == (3 * (50 + 28 + 6), 8 * (round(13 * 50 / 9) + 6), 3)


def test_prediction_sheet_has_every_picture_wide_ones_in_two_lines(image, parsing):
    heatmaps = np.zeros((15, 20, 5))
    sheet = prediction_sheet(image, parsing, heatmaps, cell_height=60)
    assert sheet.shape == (2 * (28 + 66), 3 * (80 + 6), 3)
    np.testing.assert_array_equal(sheet[28:88, 3:83], image)
    with_truth = prediction_sheet(image, parsing, heatmaps, truth=parsing, cell_height=60)
    assert with_truth.shape == (2 * (28 + 66), 4 * (80 + 6), 3)
