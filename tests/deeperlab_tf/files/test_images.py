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


def chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_of(side, *chunks):
    """A PNG that claims to be a square, with chunks after its header."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def netpbm(path, magic, white, samples):
    size = samples.shape[1::-1]
    path.write_bytes(b"%s\n# a camera's\n%d %d\n%d\n" % (magic, *size, white))
    with path.open("ab") as file:
        plain = b" ".join(b"%d" % value for value in samples.ravel())
        file.write(plain if magic in (b"P2", b"P3") else samples.astype(">u2").tobytes())


@pytest.mark.parametrize("magic", [b"P2", b"P3", b"P5", b"P6"])
def test_12_bits_in_a_netpbm_file_of_16_are_refused_and_stated_ones_scaled(tmp_path, magic):
    samples = np.linspace(0, 4095, 600).astype(np.uint16).reshape(20, 30)
    grey = samples
    if magic in (b"P3", b"P6"):
        samples = np.repeat(samples[..., np.newaxis], 3, axis=2)
    netpbm(tmp_path / "dark.ppm", magic, 65535, samples)
    with pytest.raises(UserError, match="none reaches a sixteenth of white"):
        read_image(tmp_path / "dark.ppm")
    netpbm(tmp_path / "stated.ppm", magic, 4095, samples)
    assert np.abs(read_image(tmp_path / "stated.ppm")[..., 0] - grey / 16).max() < 1.5
    netpbm(tmp_path / "bright.ppm", magic, 65535, samples * 16)
    assert np.abs(read_image(tmp_path / "bright.ppm")[..., 0] - grey / 16).max() < 1.5


def test_12_bits_in_a_jpeg_2000_of_16_are_refused(tmp_path):
    samples = np.linspace(0, 4095, 12_800).astype(np.uint16).reshape(80, 160)
    Image.fromarray(samples).save(tmp_path / "dark.jp2")
    with pytest.raises(UserError, match="none reaches a sixteenth of white"):
        read_image(tmp_path / "dark.jp2")
    Image.fromarray(samples * 16).save(tmp_path / "bright.jp2")
    assert np.abs(read_image(tmp_path / "bright.jp2")[..., 0] - samples / 16).max() < 1.5
    Image.fromarray((samples // 256).astype(np.uint8)).save(tmp_path / "night.jp2")
    np.testing.assert_array_equal(read_image(tmp_path / "night.jp2")[..., 0], samples // 256)


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png_of(side, chunk(b"IDAT", b"")))
    with pytest.raises(UserError, match="refused"):
        read_image(tmp_path / "bomb.png")


def test_the_size_of_a_picture_is_told_without_decoding_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    tags = chunk(b"eXIf", exif.tobytes())
    (tmp_path / "x.png").write_bytes(png_of(11_000, tags, chunk(b"IDAT", b"no pixels")))
    assert image_file_size(tmp_path / "x.png") == (11_000, 11_000)
    with pytest.raises(UserError, match=r"x\.png cannot be read"):
        read_image(tmp_path / "x.png")


def test_cut_off_and_oddly_tagged_files_end_in_one_sentence_or_pixels(tmp_path):
    odd = dict(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    for name, options in (("x.png", {}), ("x.png", odd), ("x.jpg", odd), ("x.webp", odd)):
        Image.fromarray(GRADIENT).save(tmp_path / name, **options)
        assert read_image(tmp_path / name).shape == GRADIENT.shape
        whole = (tmp_path / name).read_bytes()
        for length in range(0, len(whole) - 1, max(len(whole) // 25, 1)):
            (tmp_path / name).write_bytes(whole[:length])
            for read in (image_file_size, read_image):
                try:
                    read(tmp_path / name)
                except UserError as error:
                    assert str(error).count("\n") == 0


def test_a_file_is_what_it_holds_not_what_its_name_says(tmp_path):
    Image.fromarray(GRADIENT).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "x.jpg"), GRADIENT)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.png does not exist"):
        read_image(tmp_path / "none.png")


def test_a_photo_with_a_second_picture_for_its_viewer_is_a_photo(tmp_path):
    """As telephones write them: a preview or a map of depths goes along."""
    for name, kind, subfile in (("x.jpg", "MPO", None), ("x.tif", "TIFF", 1), ("y.tif", "TIFF", 0)):
        photo, preview = Image.fromarray(GRADIENT), Image.fromarray(GRADIENT[::2, ::2])
        if subfile is not None:
            preview.encoderinfo = dict(tiffinfo={254: subfile})
        photo.save(tmp_path / name, kind, save_all=True, append_images=[preview])
    assert read_image(tmp_path / "x.jpg").shape == GRADIENT.shape
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif"), GRADIENT)
    with pytest.raises(UserError, match=r"y\.tif has several pages"):
        read_image(tmp_path / "y.tif")


@pytest.mark.parametrize(
    "values, kind",
    [
        (np.linspace(0, 255, 40), np.float32),
        (np.linspace(-1, 1, 40), np.float32),
        (np.full(40, np.nan), np.float32),
        (np.arange(40) * 2**24, np.int32),
    ],
)
def test_numbers_of_unknown_range_are_refused(tmp_path, values, kind):
    Image.fromarray(values.astype(kind).reshape(5, 8)).save(tmp_path / "x.tif")
    with pytest.raises(UserError, match="whose range is not known"):
        read_image(tmp_path / "x.tif")


def test_floats_of_0_to_1_are_black_to_white(tmp_path):
    grey = np.linspace(0, 1, 256).reshape(16, 16)
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "x.tif")
    pixels = read_image(tmp_path / "x.tif")
    np.testing.assert_array_equal(pixels, np.arange(256).reshape(16, 16, 1).repeat(3, 2))


def test_12_bits_in_16_are_scaled_where_the_file_says_so_and_else_refused(tmp_path):
    samples = (np.arange(256) * 16).reshape(16, 16).astype(np.uint16)
    image = Image.fromarray(samples)
    image.save(tmp_path / "x.tif")
    image.save(tmp_path / "x.png")
    for name in ("x.tif", "x.png"):
        with pytest.raises(UserError, match="none reaches a sixteenth of white"):
            read_image(tmp_path / name)
    image.save(tmp_path / "y.tif", tiffinfo={281: 4095})
    np.testing.assert_array_equal(read_image(tmp_path / "y.tif")[..., 0], samples >> 4)


def test_white_may_be_zero(tmp_path):
    samples = (np.arange(256) * 257).reshape(16, 16).astype(np.uint16)
    Image.fromarray(samples).save(tmp_path / "x.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif")[..., 0], 255 - (samples >> 8))


def test_other_programs_files_are_not_opened(tmp_path):
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(UserError, match="not an image of a known format"):
        read_image(tmp_path / "x.png")
