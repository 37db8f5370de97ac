"""What the page asks for: parses, the same with other settings, layers, files."""

import json
import os
import re

import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image
from deeperlab_tf.visualize.drawing import write_image
from deeperlab_tf.visualize.layers import LAYERS, offset_names
from demo_page.answers import Answers
from demo_page.photos import Limits
from demo_page.picture import describe, segments_html
from tests.scripts.demo_page.made_up import MadeUpKeeper

SIZE = (90, 120)


@pytest.fixture
def keeper():
    return MadeUpKeeper()


@pytest.fixture
def answers(keeper, tmp_path):
    return Answers(keeper, Limits(), str(tmp_path))


@pytest.fixture
def photo(tmp_path):
    path = str(tmp_path / "photo.png")
    write_image(path, np.full([*SIZE, 3], 127, np.uint8))
    return path


def names(shown):
    return sorted(describe(segment) for segment in shown.parsing.segments)


def test_other_settings_do_not_run_the_network(answers, keeper, photo):
    shown = answers.parse(photo, 0.1, 0.6)
    assert names(shown) == ["car 0.40", "car 0.90", "ground <i>", "sky"]
    again = answers.fuse_again(shown, 0.5, 0.6)
    assert names(again) == ["car 0.90", "ground <i>", "sky"]
    assert keeper.runs == 1


def test_files_are_those_of_the_parse_that_is_shown(answers, photo):
    shown = answers.parse(photo, 0.1, 0.6)
    again = answers.fuse_again(shown, 0.5, 0.6)
    for count, one in ((4, shown), (3, again)):
        if one is shown:
            assert not os.path.exists(one.files.folder)
            continue
        with open(one.files.segments, encoding="utf-8") as file:
            (annotation,) = json.load(file)["annotations"]
        assert len(annotation["segments_info"]) == count
        assert read_image(one.files.labels).shape[:2] == SIZE
        assert os.path.basename(one.files.overlay) == "photo_overlay.jpg"
    answers.forget(again)
    assert not os.path.exists(again.files.folder)


def test_every_layer_and_every_offset_field_can_be_drawn(answers, photo, keeper):
    shown = answers.parse(photo, 0.1, 0.6)
    drawn = {layer: answers.draw(shown, layer) for layer in LAYERS}
    for field in offset_names(keeper.graph):
        drawn[field] = answers.draw(shown, "offsets", field)
    layers = {
        re.search('class="layer".*?src="([^"]+)"', text, re.DOTALL)[1] for text in drawn.values()
    }
    assert len(layers) >= len(LAYERS)
    assert "bottom right" in drawn["heatmap"]
    for layer, field in (("depth", None), ("offsets", "sideways")):
        with pytest.raises(UserError):
            answers.draw(shown, layer, field)


def test_names_of_classes_are_no_html(answers, photo):
    shown = answers.parse(photo, 0.1, 0.6)
    assert "<i>" not in answers.draw(shown, "parse")
    assert "ground &lt;i&gt;" in segments_html(shown.parsing)


def test_a_photo_that_is_refused_leaves_nothing(answers, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError):
        answers.parse(str(tmp_path / "broken.png"), 0.1, 0.6)
    assert os.listdir(tmp_path) == ["broken.png"]
