"""Class names in any script are drawn, or written as numbers that can be looked up."""

import numpy as np
import pytest

from deeperlab_tf.visualize import fonts
from deeperlab_tf.visualize.drawing import caption, draw_label, text_size

NAMES = ("汽车", "自転車", "자동차", "車と人")


@pytest.fixture
def without_other_fonts(monkeypatch):
    monkeypatch.setattr(fonts, "_other_fonts", lambda: ())
    fonts._covering.cache_clear()
    yield
    fonts._covering.cache_clear()


@pytest.mark.both_stacks
@pytest.mark.parametrize("text", ["road", "naïve Straße", "дорога", "μ → λ"])
def test_text_that_dejavu_has_is_drawn_as_it_is(text):
    drawn, font = fonts.font_for(text, 20)
    assert drawn == text and font.getname()[0] == "DejaVu Sans"


@pytest.mark.parametrize("name", NAMES)
def test_text_without_a_font_is_written_as_numbers(name, without_other_fonts):
    drawn, font = fonts.font_for(f"a {name}", 20)
    numbers = [f"U+{ord(letter):04X}" for letter in name]
    assert drawn.split() == ["a", *numbers] and font.getname()[0] == "DejaVu Sans"


@pytest.mark.parametrize("name", NAMES)
def test_letters_of_the_far_east_differ_where_a_font_is_there(name):
    drawn, font = fonts.font_for(name, 40)
    if drawn != name:
        pytest.skip("no font with these letters; install fonts-noto-cjk")
    # Boxes would all look the same.
    pictures = {bytes(font.getmask(letter)) for letter in name}
    assert len(pictures) == len(set(name))


def test_labels_have_room_for_what_is_drawn(without_other_fonts):
    height, width = text_size("汽车", 16)
    assert width > text_size("U+6C7D", 16)[1]
    image = np.zeros((height, width, 3), np.uint8)
    draw_label(image, "汽车", (0, 0), 16, (255, 0, 0))
    assert image.any() and caption("汽车", 200).shape == (28, 200, 3)
