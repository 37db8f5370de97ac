"""Runs, dense ids and counts of combinations, against loops over the pixels."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deeperlab_tf.errors import UserError
from deeperlab_tf.pixels.label_maps import (
    combine,
    count_combinations,
    dense,
    one_of_each,
    runs,
    sum_by,
)

LARGEST = (1, 2**10, 2**19, 2**40)  # of the values: small tables, large ones, sorting


def columns(seed, count, size):
    """Integer arrays [size], each with few distinct values and long runs, of several dtypes."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(count):
        values = rng.integers(0, LARGEST[(seed + index) % len(LARGEST)] + 1, 5)
        found.append(np.repeat(rng.choice(values, size), rng.integers(1, 4, size))[:size])
    return found


@pytest.mark.both_stacks
@pytest.mark.parametrize("size", [1, 2, 1000, 2**16, 2**16 + 1, 2**17 + 5])
def test_runs_are_the_groups_of_equal_neighbours(size):
    pair = [column % 3 for column in columns(size, 2, size)]
    lengths, values = runs(pair)
    groups = [(key, len(list(group))) for key, group in itertools.groupby(zip(*pair))]
    np.testing.assert_array_equal(lengths, [length for _, length in groups])
    np.testing.assert_array_equal(np.stack(values, axis=1), [key for key, _ in groups])


@pytest.mark.parametrize("largest", LARGEST)
def test_dense_ids_are_those_of_unique(largest):
    keys = np.random.default_rng(0).integers(0, largest, 500)
    for limit in (None, largest + 7):
        for actual, expected in zip(dense(keys, limit), np.unique(keys, return_inverse=True)):
            np.testing.assert_array_equal(actual, expected)


def test_nothing_has_no_dense_ids():
    distinct, index = dense(np.zeros(0, np.int64))
    assert distinct.size == index.size == 0


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 100), count=st.integers(1, 4))
def test_rows_have_the_same_id_exactly_where_they_are_equal(seed, count):
    rows = columns(seed, count, 60)
    ids = combine(rows)
    distinct = set(zip(*rows, ids))
    assert len(distinct) == len(set(zip(*rows))) == len(set(ids))
    assert set(ids) == set(range(len(distinct)))


@pytest.mark.both_stacks
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 100))
def test_combinations_are_counted_pixel_by_pixel(seed):
    first, second, third = (column.reshape(6, 10) for column in columns(seed, 3, 60))
    maps = dict(a=first, b=second.astype(np.uint64), c=third % 2 == 1)
    values, counts = count_combinations(**maps)
    expected = collections.Counter(zip(*(each.reshape(-1).tolist() for each in maps.values())))
    rows = zip(*(column.tolist() for column in values.values()))
    assert list(values) == ["a", "b", "c"]
    assert dict(zip(rows, counts.tolist())) == expected
    assert all(column.dtype == np.int64 for column in (*values.values(), counts))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(b=np.zeros((3, 3), int)), "b is 3 x 3 pixels, a 2 x 2; bring them to the same size"),
        (dict(b=np.zeros((2, 2))), r"b must be an integer map \[H, W\], not float64 \[2, 2\]"),
        (dict(b=np.zeros(4, int)), r"b must be an integer map \[H, W\], not int64 \[4\]"),
        (dict(b=np.full((2, 2), -1)), "b holds the negative id -1"),
        (dict(b=np.full((2, 2), 2**63, np.uint64)), "b holds the id 9223372036854775808"),
        (dict(a=np.zeros((0, 2), int), b=np.zeros((0, 2), int)), "a has no pixels"),
    ],
)
def test_bad_maps_are_named(change, message):
    maps = dict(a=np.zeros((2, 2), int), b=np.zeros((2, 2), int))
    with pytest.raises(UserError, match=message):
        count_combinations(**{**maps, **change})


def test_sums_and_representatives_by_id():
    ids = np.array([2, 0, 2, 2, 0])
    np.testing.assert_array_equal(sum_by(ids, np.array([1, 2, 3, 4, 5]), 4), [7, 0, 8, 0])
    positions = one_of_each(ids, 3)
    assert positions[0] in (1, 4) and positions[2] in (0, 2, 3)
