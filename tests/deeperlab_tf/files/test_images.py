"""Whatever image files people have."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import image_file_size, read_image, read_mask

GRADIENT = np.linspace(0, 255, 12 * 10 * 3).reshape(12, 10, 3).astype(np.uint8)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "RGB"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    image = Image.fromarray(GRADIENT).convert(mode)
    image.save(path)
    actual = read_image(path)
    assert actual.shape == (12, 10, 3) and actual.dtype == np.uint8
    np.testing.assert_array_equal(actual, np.asarray(image.convert("RGB")))


def test_16_bit_grey_keeps_its_brightness(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray((GRADIENT[..., 0].astype(np.uint16) << 8) + 13).save(path)
    np.testing.assert_array_equal(read_image(path), np.repeat(GRADIENT[..., :1], 3, axis=2))


def test_exif_orientation_turns_the_picture_upright(tmp_path):
    path = tmp_path / "x.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(GRADIENT).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), np.rot90(GRADIENT, -1))
    assert image_file_size(path) == (10, 12)


def test_palette_masks_are_read_as_indices(tmp_path):
    path = tmp_path / "x.png"
    ids = (np.arange(120).reshape(12, 10) % 21).astype(np.uint8)
    image = Image.fromarray(ids, "P")
    image.putpalette([(7 * i) % 256 for i in range(768)])
    image.save(path)
    mask = read_mask(path)
    assert mask.dtype == np.int32
    np.testing.assert_array_equal(mask, ids)


@pytest.mark.parametrize("dtype, largest", [(np.uint8, 255), (np.uint16, 65535)])
def test_masks_keep_large_ids(tmp_path, dtype, largest):
    ids = np.array([[0, 1], [300 % (largest + 1), largest]], dtype)
    Image.fromarray(ids).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "x.png"), ids)


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(UserError, match="refused"):
        read_image(path)


def test_a_file_is_what_it_holds_not_what_its_name_says(tmp_path):
    Image.fromarray(GRADIENT).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "x.jpg"), GRADIENT)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.png does not exist"):
        read_image(tmp_path / "none.png")
