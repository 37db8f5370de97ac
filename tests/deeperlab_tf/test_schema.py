"""The dataset's description travels as JSON."""

import json

import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import Category, Dataset, distinct_colors, voc_color


@pytest.mark.both_stacks
def test_json_gives_the_description_back(toy_dataset):
    assert Dataset.from_json(toy_dataset.to_json()) == toy_dataset


def test_json_keeps_its_form():
    dataset = Dataset("x", (Category("a", True, (1, 2, 3), 7),))
    expected = {
        "name": "x",
        "categories": [{"name": "a", "is_thing": True, "color": [1, 2, 3], "original_id": 7}],
        "ignore_label": 255,
        "label_divisor": 1000,
    }
    assert dataset.to_json() == json.dumps(expected, indent=2)


def test_json_without_a_divisor_is_read_and_another_divisor_is_refused(toy_dataset):
    fields = json.loads(toy_dataset.to_json())
    del fields["label_divisor"]
    assert Dataset.from_json(json.dumps(fields)) == toy_dataset
    with pytest.raises(
        UserError, match=r"x\.json has label_divisor 256, .* write the records again"
    ):
        Dataset.from_json(json.dumps(dict(fields, label_divisor=256)), "x.json")


def test_things_and_stuff_are_told_apart(toy_dataset):
    assert toy_dataset.thing_classes == (2, 3)
    assert toy_dataset.stuff_classes == (0, 1)


@pytest.mark.parametrize("text", ["", "{}", '{"name": "x", "categories": [{"name": "a"}]}', "[1]"])
def test_broken_description_names_the_file(text):
    with pytest.raises(UserError, match=r"run/dataset\.json"):
        Dataset.from_json(text, "run/dataset.json")


def test_impossible_class_lists_are_refused():
    with pytest.raises(UserError, match="no classes"):
        Dataset("empty", ())
    with pytest.raises(UserError, match="twice"):
        Dataset("twins", (Category("a", True, (0, 0, 0), 0), Category("a", False, (1, 1, 1), 1)))
    with pytest.raises(UserError, match="255"):
        Dataset("many", tuple(Category(str(i), True, (0, 0, 0), i) for i in range(256)))


def test_colors_are_distinct():
    assert len(set(distinct_colors(100))) == 100


def test_voc_colors_are_those_of_its_palette():
    assert [voc_color(index) for index in (0, 1, 2, 7, 15, 255)] == [
        (0, 0, 0),
        (128, 0, 0),
        (0, 128, 0),
        (128, 128, 128),
        (192, 128, 128),
        (224, 224, 192),
    ]
