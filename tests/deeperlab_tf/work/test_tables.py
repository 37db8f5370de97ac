"""What lies on the disk by its keys is what dicts and lists would hold."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeperlab_tf.work import names
from deeperlab_tf.work.names import NameList, Places, repeats
from deeperlab_tf.work.tables import Groups, Table, by_key, key_set
from deeperlab_tf.work.values import ArrayList, Mapped, Picked, ValueList

pytestmark = pytest.mark.both_stacks

_KEYS = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from([1.0, 2.5]) | st.text("7a")
_ROWS = st.lists(st.tuples(_KEYS, st.text(max_size=3)).map(list))


def on_disk(values):
    return ValueList(json.dumps(value, indent=1) for value in values)


def first(row):
    return row[0]


@given(_ROWS, st.slices(10))
def test_values_are_read_in_any_order(rows, part):
    for apart in (1, 3):
        found = ValueList(map(json.dumps, rows), apart)
        assert found == rows and list(found) == rows and found[part] == rows[part]
        assert [found[-number - 1] for number in range(len(rows))] == rows[::-1]
        assert [json.loads(text) for text in found.texts()] == rows
        with pytest.raises(IndexError, match="there is no value"):
            found[len(rows)]


def test_more_is_appended_between_reading():
    for apart in (1, 3):
        values = ValueList(apart=apart)
        for number in range(7):
            values.append(str(number))
            assert values[2 * number] == number and values[0] == 0
            values.append("[]")
            assert list(values)[::2] == list(range(number + 1))


def test_arrays_are_what_they_were():
    found = ArrayList()
    expected = [[np.arange(3)], [], [np.ones((2, 0), bool), np.float64(2.5), np.arange(4.0)]]
    for number, row in enumerate(expected):
        found.append(map(np.asarray, row))
        assert repr(found[number]) == repr([np.asarray(each) for each in row])
    assert len(found) == 3 and found[-1][1] == 2.5 and repr(found[:1]) == repr(expected[:1])
    with pytest.raises(IndexError, match="there is no row"):
        found[3]
    with pytest.raises(ValueError, match="allow_pickle"):
        found.append([np.array([None])])


def test_texts_keep_every_character_that_is_no_space():
    assert list(ValueList(['{"é":\r\n "\\ud800"}'])) == [{"é": "\ud800"}]


def test_what_is_read_is_the_readers_own():
    values = on_disk([{"a": [1]}])
    values[0]["a"].append(2)
    assert values[0] == {"a": [1]}


@given(_ROWS)
def test_a_table_is_a_dict(rows):
    keys = Mapped(rows, first)
    table, expected = by_key(keys, on_disk(rows)), by_key(keys, rows)
    assert isinstance(table, Table) and isinstance(expected, dict)
    assert list(table) == list(expected) and list(table.values()) == list(expected.values())
    assert len(table) == len(expected) and dict(table.items()) == expected
    for key in [*expected, "none of them", 99]:
        assert table.get(key) == expected.get(key) and (key in table) == (key in expected)


def test_what_is_not_a_number_is_itself():
    assert Table([float("nan")], ["a"])[float("nan")] == "a"


@given(st.lists(st.tuples(st.text("ab\0", max_size=2), st.integers()).map(list)), st.integers(1, 4))
def test_values_are_grouped_on_the_disk_as_in_memory(rows, held):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "HELD", held)
        expected = {}
        for row in rows:
            expected.setdefault(row[0], []).append(row)
        for values in (rows, on_disk(rows)):
            groups = Groups(Mapped(rows, first), values)
            assert dict(groups.items()) == expected and len(groups) == len(expected)
            assert dict(groups.counts()) == {key: len(some) for key, some in expected.items()}
            assert groups.get("none of them") is None and "none of them" not in groups


def test_sets_of_keys():
    for keys in (["a", "b"], NameList(["a", "b"])):
        assert "a" in key_set(keys) and "c" not in key_set(keys)


@given(st.lists(st.sampled_from("abc")))
def test_places_of_keys(keys):
    places = Places(keys)
    for key in "abcd":
        assert places[key] == [place for place, one in enumerate(keys) if one == key]


@given(st.lists(st.none() | st.sampled_from("abc")))
def test_names_that_were_there_before(given_names):
    expected, last = [], {}
    for place, name in enumerate(given_names):
        if name is not None and name in last:
            expected.append((last[name], place))
        last[name] = place
    assert list(repeats(given_names)) == expected


@given(st.lists(st.integers()), st.slices(5))
def test_what_is_made_of_values_or_picked_from_them(numbers, part):
    doubled = Mapped(numbers, lambda number: 2 * number)
    assert list(doubled) == [2 * number for number in numbers] == [*doubled[:]]
    assert doubled[part] == [2 * number for number in numbers[part]]
    places = range(len(numbers) - 1, -1, -1)
    picked = Picked(numbers, places)
    assert list(picked) == numbers[::-1] and picked[part] == numbers[::-1][part]
