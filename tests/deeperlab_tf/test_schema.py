"""The dataset's description travels as JSON."""

import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import Category, Dataset, distinct_colors


@pytest.mark.fast
def test_json_gives_the_description_back(toy_dataset):
    assert Dataset.from_json(toy_dataset.to_json()) == toy_dataset


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
