"""Long JSON is read as `json.loads` reads it, and what is wrong is told in its words."""

import codecs
import json
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import large_json
from deeperlab_tf.files.atomic import read_json
from deeperlab_tf.files.large_json import read_large_json
from deeperlab_tf.work.values import ValueList

pytestmark = pytest.mark.both_stacks

_LISTS = ("images", "annotations")
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
_KEYS = st.sampled_from([*_LISTS, "categories"]) | st.text(max_size=3)
_INDENTS = st.sampled_from([None, 0, 2, "\r\n"])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("json") / "some.json"


def read_in_pieces(path, characters=1):
    """Of a file of any length, by the way of the long ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_json, "HELD", -1)
        patch.setattr(large_json, "_READ", characters)
        patch.setattr("deeperlab_tf.files.text._BLOCK_BYTES", characters)
        return read_large_json(str(path), "panoptic JSON", _LISTS)


def outcome(read, *arguments):
    """What comes of reading, errors included."""
    try:
        return read(*arguments)
    except UserError as error:
        return str(error)


def same(path, characters=1):
    """Whether a file is the same to both ways, which is what this gives."""
    found = outcome(read_in_pieces, path, characters)
    assert found == outcome(read_json, str(path), "panoptic JSON")
    return found


@given(
    st.dictionaries(_KEYS, _VALUES), _INDENTS, st.booleans(), st.sampled_from(["utf-8", "utf-16"])
)
def test_all_is_read_as_at_once(path, content, indent, only_ascii, encoding):
    path.write_bytes(json.dumps(content, indent=indent, ensure_ascii=only_ascii).encode(encoding))
    assert same(path) == content


_BROKEN = '{"images": [{"id": 12.5e3, "x": "a\\u00e9"},\n [tru, -Infinity]], "k": {"a": 1}} '


@given(st.integers(0, len(_BROKEN)), st.integers(0, 3), st.text('{}[]",:\\0e.-tu\n ', max_size=3))
@example(len(_BROKEN), 0, "")
def test_what_is_broken_is_told_in_the_same_words(path, place, removed, added):
    for whole in (_BROKEN, _BROKEN.replace("tru", "true")):
        path.write_text(whole[:place] + added + whole[place + removed :])
        same(path)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "[1, 2]", "3", "nul", "{", "{}", "{} x", '{"a"', '{"a" 1}', '{"a":', '{"a":1,'),
        *('{"a": 1,}', '{"a": 1,\n\n }', '{"images": [1,]}', '{"images": [1,  \n ]}', '{"images":'),
        *('{"images": [', '{"images": [1', '{"images": [1,', '{"images": [1 2]}', '{"images": 7}'),
        *('{"images": []}', '{"images": [1], "images": [2, 3]}', '{"images": [1], "images": 0}'),
        *("{,}", '{"images": [,]}', '{"images": ["a\nb"]}', '{"images": ["\\ud800"]}', '{"a": "'),
        '{"images": [' + 5000 * "1" + "]}",
        '{"images": [' + 100_000 * "[" + "]}",
    ],
)
def test_cases_of_texts(path, text):
    path.write_bytes(text.encode())
    same(path)
    same(path, 7)


def test_what_is_no_text_is_told_before_what_is_broken(path):
    path.write_bytes(b'{"images": [1 2]}' + b" " * 999 + b"\xff")
    assert same(path).endswith("is not text in UTF-8; save it as such.")
    path.write_bytes(codecs.BOM_UTF8 + b'{"images": [1]}')
    assert same(path) == {"images": [1]}


def test_files_that_are_not_there(path):
    assert "cannot read the panoptic JSON" in same(path.with_name("absent"))
    assert "cannot read the panoptic JSON" in same(path.parent)


def test_only_what_is_named_lies_on_the_disk_and_only_of_long_files(path, monkeypatch):
    path.write_text('{"images": [1], "categories": [2]}')
    content = read_in_pieces(path)
    assert isinstance(content["images"], ValueList) and content["categories"] == [2]
    assert isinstance(read_large_json(str(path), "file", _LISTS)["images"], list)


def test_a_long_file_is_not_held(path, monkeypatch):
    monkeypatch.setattr(large_json, "HELD", 0)
    monkeypatch.setattr(large_json, "_READ", 2**14)
    monkeypatch.setattr("deeperlab_tf.files.text._BLOCK_BYTES", 2**12)
    read_large_json(_written(path, 10), "file", _LISTS)  # what is imported on the way
    peaks = []
    for count in (2000, 6000):
        written = _written(path, count)
        tracemalloc.start()
        found = read_large_json(written, "file", _LISTS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(found["images"]) == count
    assert (peaks[1] - peaks[0]) / 4000 < 20  # bytes: the place of each


def _written(path, count):
    images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in range(count)]
    path.write_text(json.dumps({"images": images}))
    return str(path)
