"""A served image is the image that `Predictor` reads: differences are zero, or both refuse.

Every JPEG and PNG there is: modes, bit depths, orientations, colour spaces, damage.
"""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deeperlab_tf.errors import UserError
from deeperlab_tf.export.encoded import check_headers, decode_image
from deeperlab_tf.export.headers import ORIENTATION, image_headers
from deeperlab_tf.files.images import image_file_size, read_image
from deeperlab_tf.files.orientation import orientation_of

Y, X = np.mgrid[:37, :51]
RGB = np.stack([6 * Y, 5 * X, Y * X % 256], -1).astype(np.uint8)
PICTURE = Image.fromarray(RGB)


@pytest.fixture(scope="module")
def served():
    """Function of an encoded image that gives its pixels, or raises what a client sees."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def graph(encoded):
        headers = check_headers(image_headers(encoded[tf.newaxis]), 10**6)
        return decode_image(encoded, headers[0], tf.constant(0))

    return lambda data: graph(tf.constant(data)).numpy()


@pytest.fixture(scope="module")
def headers():
    """`image_headers` as a graph."""
    return tf.function(image_headers, [tf.TensorSpec([None], tf.string)], autograph=False)


@pytest.fixture
def both(served, tmp_path):
    """Function of an encoded image that gives its pixels, the same both ways, or None."""

    def read(data):
        path = tmp_path / "picture"
        path.write_bytes(data)
        try:
            expected = read_image(path)
        except UserError:
            with pytest.raises(tf.errors.InvalidArgumentError, match="image 0 of the batch"):
                served(data)
            return None
        np.testing.assert_array_equal(served(data), expected)
        assert image_file_size(path) == expected.shape[:2]
        return expected

    return read


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(samples, color_type, bits=8, before=b"", after=b""):
    """A PNG of samples [H, W, channels], with chunks before and after its pixels."""
    height, width = samples.shape[:2]
    rows = samples.astype(">u2" if bits == 16 else "u1")
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, 0)
    parts = [chunk(b"IHDR", header), before, chunk(b"IDAT", pixels), after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def tiff_of(orientation):
    return exif_of(orientation).tobytes().replace(b"Exif\0\0", b"", 1)


def xmp_of(orientation, form='tiff:Orientation="{}"'):
    return f"<x:xmpmeta><rdf:Description {form.format(orientation)}/></x:xmpmeta>"


def turned(orientation):
    """Pixels whose file asks for that orientation, as they are to be seen: one by one."""
    ways = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
        8: lambda p: np.rot90(p),
    }
    return ways.get(orientation, lambda p: p)(RGB)


# === Colours ===


@pytest.mark.both_stacks
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_of_every_kind(both, mode, subsampling, progressive):
    image = PICTURE.convert(mode)
    options = dict(subsampling=subsampling, progressive=progressive, quality=90)
    assert both(encode(image, "JPEG", **options)) is not None


@pytest.mark.both_stacks
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_pngs_of_every_mode(both, mode):
    pixels = both(encode(PICTURE.convert(mode), "PNG"))
    np.testing.assert_array_equal(pixels, np.asarray(PICTURE.convert(mode).convert("RGB")))


@pytest.mark.both_stacks
@pytest.mark.parametrize("color_type, channels", [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_the_upper_half_of_16_bits_is_kept_and_12_bits_in_16_are_refused(
    both, color_type, channels
):
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 2**16, (7, 9, channels))
    colors = samples[..., :3] if channels > 2 else np.repeat(samples[..., :1], 3, 2)
    np.testing.assert_array_equal(both(png(samples, color_type, 16)), colors >> 8)
    samples[..., channels > 2 :] %= 4096
    samples %= 4096
    assert both(png(samples, color_type, 16)) is None


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"gAMA", struct.pack(">I", 100_000)),
        chunk(b"sBIT", bytes([5, 6, 5])),
        chunk(b"tRNS", bytes(6)),
        chunk(b"sRGB", b"\0"),
    ],
)
def test_colours_stay_as_they_are_stored(both, extra):
    np.testing.assert_array_equal(both(png(RGB, 2, before=extra)), RGB)


def test_colour_profiles_are_not_applied(both):
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    np.testing.assert_array_equal(both(encode(PICTURE, "PNG", icc_profile=profile)), RGB)
    plain, tagged = (encode(PICTURE, "JPEG", **o) for o in ({}, dict(icc_profile=profile)))
    np.testing.assert_array_equal(both(tagged), both(plain))


def test_transparency_is_dropped(both):
    samples = np.dstack([RGB, np.arange(37 * 51).reshape(37, 51) % 256])
    np.testing.assert_array_equal(both(png(samples, 6)), RGB)


# === Upright ===


@pytest.mark.both_stacks
@pytest.mark.parametrize("orientation", range(10))
def test_pictures_are_turned_as_exif_or_xmp_says(both, orientation):
    expected = turned(orientation)
    plain = turned_jpeg = both(encode(PICTURE, "JPEG"))
    exif, tiff, xmp = exif_of(orientation), tiff_of(orientation), xmp_of(orientation)
    turned_jpeg = both(encode(PICTURE, "JPEG", exif=exif))
    assert turned_jpeg.shape == expected.shape
    np.testing.assert_array_equal(both(encode(PICTURE, "JPEG", xmp=xmp.encode())), turned_jpeg)
    if orientation in (0, 1, 9):
        np.testing.assert_array_equal(turned_jpeg, plain)

    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp)
    files = [
        encode(PICTURE, "PNG", exif=exif),
        encode(PICTURE, "PNG", pnginfo=text),
        png(RGB, 2, after=chunk(b"eXIf", tiff)),
        png(RGB, 2, before=chunk(b"eXIf", b"Exif\0\0" + tiff)),
    ]
    for data in files:
        np.testing.assert_array_equal(both(data), expected)


@pytest.mark.parametrize(
    "form",
    [
        "tiff:Orientation='{}'",
        "><tiff:Orientation> {}</tiff:Orientation><x",
        'tiff:Orientation = "{}"',
    ],
)
def test_xmp_may_be_written_in_several_ways(both, form):
    data = encode(PICTURE, "JPEG", xmp=xmp_of(6, form).encode())
    assert both(data).shape == turned(6).shape


def test_exif_counts_before_xmp(both):
    data = encode(PICTURE, "JPEG", exif=exif_of(1), xmp=xmp_of(6).encode())
    assert both(data).shape == RGB.shape


@pytest.mark.parametrize("kind, options", [("TIFF", {}), ("WEBP", dict(lossless=True))])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_other_formats_are_turned_alike(tmp_path, kind, options, orientation):
    PICTURE.save(tmp_path / "x", kind, exif=exif_of(orientation), **options)
    np.testing.assert_array_equal(read_image(tmp_path / "x"), turned(orientation))
    assert image_file_size(tmp_path / "x") == turned(orientation).shape[:2]


_FIELDS = st.one_of(
    st.sampled_from([b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"\x12\x01\3\0\1\0\0\0\6\0\0\0"]),
    st.sampled_from([b"\1\x12\0\3\0\0\0\1\0\6\0\0", b"\1\0", b"\0\2", b"\xff\xff\xff\xff"]),
    st.binary(max_size=6),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(_FIELDS, max_size=8).map(b"".join))
@example(b"II*\0\xff\xff\xff\x7f")
@example(b"MM\0*\0\0\0\x08\xff\xff" + b"\1\x12\0\3\0\0\0\1\0\6\0\0")
@example(b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6")
def test_damaged_exif_means_the_same_to_both(headers, exif):
    files = png(RGB, 2, before=chunk(b"eXIf", exif)), _jpeg_with(exif)
    expected = [orientation_of(exif)] * 2
    np.testing.assert_array_equal(headers(tf.constant(files))[:, ORIENTATION], expected)


def _jpeg_with(exif):
    content = b"Exif\0\0" + exif
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    return b"\xff\xd8" + segment + encode(PICTURE, "JPEG")[2:]


# === Damage ===


@pytest.mark.parametrize("cut", [1, 4, 8, 12, 13, 30, 200, 900])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_cut_off_files_are_refused_by_both(both, kind, cut):
    assert both(encode(PICTURE, kind)[:-cut]) is None


def test_films_are_refused_by_both(both):
    frames = [Image.fromarray(np.roll(RGB, step, 0)) for step in range(3)]
    for kind in ("PNG", "GIF", "WEBP", "TIFF"):
        assert both(encode(frames[0], kind, save_all=True, append_images=frames[1:])) is None
    animation = chunk(b"acTL", struct.pack(">II", 2**31 + 5, 0))
    assert both(png(RGB, 2, before=animation)) is None
    np.testing.assert_array_equal(both(encode(frames[0], "PNG", save_all=True)), RGB)
