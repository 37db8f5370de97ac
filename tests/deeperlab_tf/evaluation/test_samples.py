"""Which images a model is tried on, and their labels in the numbers of its classes."""

import dataclasses

import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.samples import Chosen, spread, with_classes_of


class Source:
    """Three images, each of whose pixels are all labels in turn."""

    def __init__(self, dataset, length=3):
        self.dataset, self._length = dataset, length

    def __len__(self):
        return self._length

    def __getitem__(self, index):
        labels = np.array([[0, 1, 2, 3, 255]], np.int32)
        return dict(image_id=index, semantic=labels, instance=0 * labels, crowd=labels < 0)


def reordered(dataset, order, **changes):
    categories = tuple(dataset.categories[label] for label in order)
    return dataclasses.replace(dataset, categories=categories, **changes)


@pytest.mark.parametrize("count, total", [(1, 1), (2, 9), (3, 10), (7, 8), (5, 100)])
def test_so_many_numbers_are_spread_from_the_first_to_the_last(count, total):
    numbers = spread(range(10, 10 + total), count)
    assert len(set(numbers)) == count and list(numbers) == sorted(numbers)
    assert numbers[0] == 10 and (count == 1 or numbers[-1] == 9 + total)
    steps = np.diff(numbers)
    assert not len(steps) or steps.max() - steps.min() <= 1


@pytest.mark.parametrize("count", [0, 10, 11])
def test_zero_and_more_than_there_are_mean_all(count):
    assert list(spread(range(10), count)) == list(range(10))


def test_chosen_samples_come_in_the_order_that_was_asked_for(toy_dataset):
    chosen = Chosen(Source(toy_dataset), [2, 0])
    assert [chosen[0]["image_id"], chosen[1]["image_id"]] == [2, 0]
    assert len(chosen) == 2 and chosen.dataset is toy_dataset


def test_labels_of_data_that_number_classes_otherwise_become_the_models(toy_dataset):
    order = [3, 1, 0, 2]
    source = with_classes_of(toy_dataset, Source(reordered(toy_dataset, order)))
    assert source.dataset is toy_dataset and len(source) == 3
    assert source[1]["semantic"].tolist() == [[*order, 255]]
    assert source[1]["image_id"] == 1


def test_data_of_the_models_own_order_are_left_alone(toy_dataset):
    source = Source(dataclasses.replace(toy_dataset, name="mine"))
    assert with_classes_of(toy_dataset, source) is source


def test_data_of_other_classes_are_refused_with_the_first_that_differs(toy_dataset):
    fewer = reordered(toy_dataset, [0, 1, 2], name="mine")
    with pytest.raises(UserError, match=r"those of mine \(mine has no 'box'\)"):
        with_classes_of(toy_dataset, Source(fewer))
    with pytest.raises(UserError, match=r"\(mine has no 'box'\)"):
        with_classes_of(fewer, Source(toy_dataset))


def test_a_class_that_is_a_thing_here_and_stuff_there_is_refused(toy_dataset):
    disc = dataclasses.replace(toy_dataset.categories[2], is_thing=False)
    categories = (*toy_dataset.categories[:2], disc, toy_dataset.categories[3])
    other = dataclasses.replace(toy_dataset, categories=categories, name="mine")
    with pytest.raises(UserError, match="disc is a thing to the model and stuff in mine"):
        with_classes_of(toy_dataset, Source(other))


def test_a_split_without_images_is_refused(toy_dataset):
    with pytest.raises(UserError, match="no images"):
        with_classes_of(toy_dataset, Source(toy_dataset, length=0))
