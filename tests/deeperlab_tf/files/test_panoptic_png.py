"""Segment ids as colours."""

import cv2
import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.panoptic_png import color_to_id, read_ids, write_ids


@pytest.mark.both_stacks
def test_ids_survive_the_png(tmp_path):
    ids = np.random.default_rng(0).integers(0, 2**24, (13, 17))
    write_ids(str(tmp_path / "ids.png"), ids)
    np.testing.assert_array_equal(read_ids(str(tmp_path / "ids.png")), ids)
    red, green, blue = cv2.imread(str(tmp_path / "ids.png"))[0, 0, ::-1]
    assert color_to_id((red, green, blue)) == ids[0, 0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_ids_are_read_from_every_kind_of_colour_png(tmp_path, mode):
    colors = np.array([[[1, 2, 3], [255, 255, 255], [0, 0, 0]]], np.uint8)
    Image.fromarray(colors).convert(mode, palette=Image.Palette.ADAPTIVE).save(tmp_path / "x.png")
    ids = read_ids(tmp_path / "x.png")
    assert ids.dtype == np.uint32
    np.testing.assert_array_equal(ids, [[1 + 512 + 3 * 65536, 2**24 - 1, 0]])


def test_missing_broken_and_grey_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no file .*x\.png"):
        read_ids(tmp_path / "x.png")
    write_ids(tmp_path / "x.png", np.random.default_rng(0).integers(0, 2**24, (60, 60)))
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:3000])
    with pytest.raises(UserError, match=r"x\.png cannot be read"):
        read_ids(tmp_path / "x.png")
    Image.new("L", (3, 3)).save(tmp_path / "x.png")
    with pytest.raises(UserError, match=r"x\.png is not a panoptic PNG.* not L"):
        read_ids(tmp_path / "x.png")


def test_colours_of_16_bits_are_refused_not_cut(tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), np.full((3, 3, 3), 300, np.uint16))
    with pytest.raises(UserError, match=r"x\.png has colours of 16 bits"):
        read_ids(tmp_path / "x.png")
