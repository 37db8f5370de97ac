"""Encoded images in the graph: what other decoders see, clear errors for what is not an image."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeperlab_tf.export.encoded import check_headers, decode_image
from deeperlab_tf.export.headers import image_headers, upright_size
from deeperlab_tf.files.images import read_image


@pytest.fixture(scope="module")
def decode():
    """Function: list of encoded images -> (sizes, images)."""

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int32)],
        autograph=False,
    )
    def graph(encoded, index):
        headers = check_headers(image_headers(encoded), 1000 * 1000)
        size = tf.stack(upright_size(headers[index]))
        with tf.control_dependencies([headers]):  # once checked, for a batch may be empty
            image = encoded[index]
        return size, decode_image(image, headers[index], index)

    def run(encoded, indices=None):
        results = [
            graph(tf.constant(encoded, tf.string), i)
            for i in indices or range(max(len(encoded), 1))
        ]
        for size, image in results:
            np.testing.assert_array_equal(size, image.shape[:2])
        return [image.numpy() for _, image in results]

    return run


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def smooth(height=40, width=56):
    """A picture that JPEG keeps well."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([4 * y, 4 * x, 2 * (x + y)], -1).astype(np.uint8))


def png_claiming(height, width):
    """A small PNG whose header claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.both_stacks
@pytest.mark.parametrize("orientation", range(9))
def test_a_photo_is_turned_upright_as_its_exif_says(decode, tmp_path, orientation):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    (tmp_path / "photo.jpg").write_bytes(encode(smooth(), "JPEG", exif=exif, quality=95))
    (result,) = decode([(tmp_path / "photo.jpg").read_bytes()])
    np.testing.assert_array_equal(result, read_image(str(tmp_path / "photo.jpg")))


def test_big_endian_exif_is_read():
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\0\0\0\0"
    data = encode(smooth(), "JPEG", exif=b"Exif\0\0" + tiff)
    np.testing.assert_array_equal(image_headers(tf.constant([data])), [[40, 56, 6, 8, 0]])


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "I;16"])
def test_pngs_of_every_mode_decode_as_elsewhere(decode, tmp_path, mode):
    image = smooth().convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    (tmp_path / "picture.png").write_bytes(encode(image, "PNG"))
    (result,) = decode([(tmp_path / "picture.png").read_bytes()])
    np.testing.assert_array_equal(result, read_image(str(tmp_path / "picture.png")))


@pytest.mark.parametrize(
    "options", [dict(progressive=True), dict(subsampling=0), dict(comment=b"x" * 60_000)]
)
def test_jpegs_of_every_kind_decode_as_elsewhere(decode, tmp_path, options):
    for mode in ("RGB", "L"):
        (tmp_path / "photo.jpg").write_bytes(encode(smooth().convert(mode), "JPEG", **options))
        (result,) = decode([(tmp_path / "photo.jpg").read_bytes()])
        np.testing.assert_array_equal(result, read_image(str(tmp_path / "photo.jpg")))


GOOD = encode(smooth(), "JPEG")


@pytest.mark.both_stacks
@pytest.mark.parametrize(
    "bad, message",
    [
        (b"", "neither a JPEG nor a PNG"),
        (b"no image at all", "neither a JPEG nor a PNG"),
        (b"\xff\xd8", "neither a JPEG nor a PNG"),
        (b"\xff\xd8\xff", "neither a JPEG nor a PNG"),
        (encode(smooth(), "GIF"), "neither a JPEG nor a PNG"),
        (GOOD[: len(GOOD) // 2], "broken or cut off"),
        (GOOD[:20], "neither a JPEG nor a PNG"),
        (encode(smooth(), "PNG")[:-60], "broken or cut off"),
        (encode(smooth(), "PNG").replace(b"IDAT", b"IDAX"), "broken or cut off"),
        (png_claiming(40_000, 40_000), "more than 1000000 pixels"),
        (png_claiming(2**31 - 1, 2**31 - 1), "more than 1000000 pixels"),
        (png_claiming(0, 5), "neither a JPEG nor a PNG"),
    ],
)
def test_an_error_names_the_bad_image_among_good_ones(decode, bad, message):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=rf"image 2 of the batch \(the first is 0\).*{message}"
    ):
        decode([GOOD, GOOD, bad, GOOD], [2])
    assert decode([GOOD])[0].shape == (40, 56, 3)  # and the next request is served


def test_an_empty_batch_is_an_error(decode):
    with pytest.raises(tf.errors.InvalidArgumentError, match="the batch is empty"):
        decode([])


def test_one_pixel_decodes(decode):
    for kind in ("PNG", "JPEG"):
        assert decode([encode(smooth(1, 1), kind)])[0].shape == (1, 1, 3)
