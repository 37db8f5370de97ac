"""Both forms of lists say the same of the places that are listed."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.fusion import lists, ops

SIZE = 50


def both(function, *inputs):
    """What a function gives plain, and compiled for XLA."""

    @tf.function(jit_compile=True, autograph=False)
    def compiled(*inputs):
        with ops.one_form(compiled=True):
            return function(*inputs)

    inputs = [tf.constant(value) for value in inputs]
    return function(*inputs).numpy(), compiled(*inputs).numpy()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.both_stacks
def test_a_list_holds_the_flagged_places_or_nowhere(rng):
    flags = rng.random(SIZE) < 0.3
    plain, compiled = both(lists.indices, flags)
    np.testing.assert_array_equal(plain, np.flatnonzero(flags))
    np.testing.assert_array_equal(compiled, np.where(flags, np.arange(SIZE), lists.NOWHERE))


def test_what_is_taken_is_put_back_where_it_was(rng):
    def doubled(values, flags, more):
        places = lists.among(lists.indices(flags), lists.take(more, lists.indices(flags)))
        return lists.put(2 * lists.take(values, places), places, values)

    values, flags = rng.random([SIZE, 2]).astype(np.float32), rng.random(SIZE) < 0.5
    more = rng.random(SIZE) < 0.5
    expected = np.where((flags & more)[:, None], 2 * values, values)
    for found in both(doubled, values, flags, more):
        np.testing.assert_array_equal(found, expected)


def test_lists_within_lists_and_joined_flag_the_same_places(rng):
    def flagged(flags, rows, others):
        places = lists.indices(flags)
        part = lists.within(places, lists.indices(lists.take(rows, places)))
        return lists.flags_at(lists.join(part, lists.indices(others & ~flags)), SIZE)

    flags, rows, others = rng.random([3, SIZE]) < 0.5
    for found in both(flagged, flags, rows, others):
        np.testing.assert_array_equal(found, (flags & rows) | (others & ~flags))


@pytest.mark.parametrize("count", [0, 1, 20])
def test_rows_lead_from_places_to_what_a_list_holds(rng, count):
    flags = np.isin(np.arange(SIZE), rng.permutation(SIZE)[:count])

    def read_back(flags):
        places = lists.indices(flags)
        values = lists.take(10 + tf.range(SIZE), places)
        return tf.gather(tf.pad(values, [[0, 1]]), lists.rows_of(places, SIZE))

    for found in both(read_back, flags):
        np.testing.assert_array_equal(found, np.where(flags, 10 + np.arange(SIZE), 0))


@pytest.mark.parametrize("length", [3, 10, None])
def test_an_order_begins_with_the_highest_and_of_equals_with_the_first(rng, length):
    values, flags = rng.integers(0, 5, SIZE).astype(np.float32), rng.random(SIZE) < 0.4
    expected = np.flatnonzero(flags)[np.argsort(-values[flags], kind="stable")][:length]
    plain, compiled = both(lambda *given: lists.order(*given, length), values, flags)
    np.testing.assert_array_equal(plain, expected)
    np.testing.assert_array_equal(compiled[: len(expected)], expected)
    assert (compiled[len(expected) :] == lists.NOWHERE).all()


def test_flagged_rows_come_first_then_zeros(rng):
    values, flags = rng.random([SIZE, 2]).astype(np.float32), rng.random(SIZE) < 0.4
    expected = np.zeros([60, 2], np.float32)
    expected[: flags.sum()] = values[flags]
    for found in both(lambda *given: lists.padded(*given, 60), values, flags):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.6, 1.0])
def test_rows_are_replaced_chunk_by_chunk(rng, monkeypatch, share):
    monkeypatch.setattr(lists, "_CHUNK", 7)
    table, flags = rng.integers(0, 9, [SIZE, 3]), rng.random(SIZE) < share

    def replaced(table, flags):
        places = lists.indices(flags)
        return lists.replace(table, places, lambda rows: -tf.gather(table, rows) - 1)

    for found in both(replaced, table, flags):
        np.testing.assert_array_equal(found, np.where(flags[:, None], -table - 1, table))


def test_segments_of_several_parts_are_summed_and_negative_ones_dropped(rng):
    values, segments = rng.integers(0, 9, [2, SIZE]), rng.integers(-1, 4, [2, SIZE])
    expected = [values[segments == number].sum() for number in range(4)]

    def summed(values, segments):
        return lists.sum_segments([(values[0], segments[0]), (values[1], segments[1])], 4)

    for found in both(summed, values, segments):
        np.testing.assert_array_equal(found, expected)
