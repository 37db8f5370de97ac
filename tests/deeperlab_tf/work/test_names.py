"""Lists of names are those that Python sorts, whatever their number; only their files grow."""

import pickle
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeperlab_tf.work import names
from deeperlab_tf.work.names import (
    NameList,
    NameSet,
    NameTable,
    Places,
    hash_of,
    kept_names,
    repeated_places,
    sorted_names,
)

pytestmark = pytest.mark.both_stacks

_NAMES = st.lists(st.text(max_size=4))  # line feeds and halves of characters among them


@given(_NAMES, st.integers(1, 5), st.integers(2, 4))
def test_names_are_sorted_on_the_disk_as_in_memory(given_names, held, runs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "HELD", held)
        patch.setattr(names, "_RUNS", runs)
        found = sorted_names(iter(given_names))
        assert list(found) == sorted(given_names) and found == sorted(given_names)


@given(_NAMES, st.slices(10))
def test_any_part_of_a_list_is_read(given_names, part):
    found = NameList(given_names)
    assert found[part] == given_names[part] and list(found) == given_names
    for number in range(-len(given_names), len(given_names)):
        assert found[number] == given_names[number]
    with pytest.raises(IndexError):
        found[len(given_names)]


def test_a_list_longer_than_its_index():
    expected = [f"{number:05d}" for number in range(5000)]
    found = NameList(expected)
    assert found[63:130] == expected[63:130] and found[4999] == "04999" and found[::999][-1:]


@pytest.mark.parametrize("make", [NameSet, Places])
def test_hashes_do_not_leave_their_process(make):
    with pytest.raises(TypeError, match="in another process"):
        pickle.dumps(make(["a"]))


def test_a_set_knows_its_names_and_which_are_there_twice():
    found = NameSet(f"photo {number % 999}" for number in range(1000))
    assert "photo 7" in found and "photo 999" not in found and len(found) == 1000
    assert found.repeated() == {hash_of("photo 0")}
    assert "a" not in NameSet([]) and not NameSet([]).repeated()


@given(_NAMES, st.integers(1, 5))
def test_names_are_kept_and_found_by_a_key_on_the_disk_as_in_memory(given_names, held):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(names, "HELD", held)
        assert list(kept_names(iter(given_names))) == given_names
        table = NameTable(iter(given_names), key)
    for wanted in {"", "a", *map(key, given_names)}:
        assert table[wanted] == sorted(name for name in given_names if key(name) == wanted)


def key(name):
    return name[:1]


@given(_NAMES)
def test_the_first_name_that_was_there_before_is_found(given_names):
    again = [n for n, name in enumerate(given_names) if name in given_names[:n]]
    expected = (given_names.index(given_names[again[0]]), again[0]) if again else None
    assert repeated_places(given_names) == expected


def peak(count):
    """Bytes that sorting `count` names and reading them once takes at most."""
    tracemalloc.start()
    found = sorted_names(f"folder/{(number * 7919) % count:08d}.jpg" for number in range(count))
    assert sum(1 for _ in found) == count
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_memory_does_not_grow_with_the_names(monkeypatch):
    monkeypatch.setattr(names, "HELD", 1000)
    assert peak(20_000) < peak(2000) + 2**18
