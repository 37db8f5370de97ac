"""What the page takes as a photo; what it refuses, in a sentence without the server's paths."""

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from demo_page.photos import Limits, file_stem, read_photo

LIMITS = Limits()


def saved(path, height, width, **options):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return str(path)


def test_a_small_photo_comes_as_it_is(tmp_path):
    assert read_photo(saved(tmp_path / "a.png", 30, 40), LIMITS).shape == (30, 40, 3)


def test_a_large_photo_is_shrunk(tmp_path):
    path = saved(tmp_path / "a.png", 90, 120)
    assert read_photo(path, LIMITS._replace(longer_side=60)).shape == (45, 60, 3)


def test_a_photo_taken_sideways_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_photo(saved(tmp_path / "a.jpg", 30, 40, exif=exif), LIMITS).shape == (40, 30, 3)


def test_what_is_refused_is_named_without_its_folder(tmp_path):
    saved(tmp_path / "whole.png", 50, 60)
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.jpg").write_bytes(b"no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("1", (10_000, 6_000)).save(tmp_path / "huge.png")
    cases = {
        "cut.png": (LIMITS, "cut.png cannot be read as a picture"),
        "text.jpg": (LIMITS, "text.jpg cannot be read as a picture"),
        "empty.png": (LIMITS, "empty.png cannot be read as a picture"),
        "huge.png": (LIMITS, "huge.png has 10000 × 6000 pixels, more than 50 megapixels"),
        "whole.png": (LIMITS._replace(megabytes=0.001), "whole.png has more than 0.001 MB"),
    }
    cases["whole.png "] = (LIMITS._replace(megapixels=0.001), "has 60 × 50 pixels, more than")
    for name, (limits, message) in cases.items():
        with pytest.raises(UserError) as refused:
            read_photo(str(tmp_path / name.strip()), limits)
        assert message in str(refused.value)
        assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    "name, stem",
    [
        ("photo.jpg", "photo"),
        ("My dog (2).JPEG", "My_dog_2"),
        ("../../etc/passwd", "passwd"),
        ("<b>.png", "b"),
        ("straße.png", "stra_e"),
        ("...", "photo"),
        ("x" * 500 + ".png", "x" * 60),
    ],
)
def test_files_are_named_after_the_photo_with_safe_letters(name, stem):
    assert file_stem(name) == stem
