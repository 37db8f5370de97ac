"""What was written lies on the disk, and comes out as it would of lists and sets."""

import json
import threading
import tracemalloc

import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.panoptic_json import to_json_categories
from deeperlab_tf.files.panoptic_writer import PanopticWriter
from deeperlab_tf.files.written import Written

pytestmark = pytest.mark.both_stacks

_FEW, _MANY = 100, 300
_SEGMENTS = 20
_A_PARSE = 300  # bytes; its segments alone are 20 times as many


class Parse:
    """Of one pixel, with much to say."""

    def to_coco(self):
        segments = [dict(id=7, category_id=1, area=n, score=0.1 * n) for n in range(_SEGMENTS)]
        return np.full((1, 1), 7, np.uint32), segments


@pytest.fixture
def writer(tmp_path, toy_dataset):
    return lambda name: PanopticWriter(
        str(tmp_path / name), str(tmp_path / f"{name}.json"), toy_dataset
    )


def test_names_are_taken_once_and_told_by_parts():
    written = Written()
    assert written.take("Été", "val", "été") and not written.take("été", "train")
    assert written.take("b", "train") and written.take("\ud800", "val") and written.take("a", "val")
    written.describe("a", is_first=True)
    written.describe("été", is_first=False)
    assert written.parts() == ["val", "train"]
    assert list(written.names("val")) == ["Été", "\ud800", "a"]
    assert list(written.descriptions("val")) == [{"is_first": False}, {"is_first": True}]
    assert list(written.descriptions("train")) == list(written.names("none")) == []


def test_several_threads_write_into_one():
    written, found = Written(), []
    threads = [threading.Thread(target=lambda: found.append(written.take("a"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False, False, False, True]


@pytest.mark.parametrize("names", [(), ("a",), ("b/c", "a", "12")])
def test_the_json_is_what_it_would_be_of_lists(names, writer, toy_dataset, tmp_path):
    parses = writer("parses")
    images, annotations = [], []
    for name in names:
        parses.add(Parse(), name, name, photo_name=f"{name}.é.jpg")
        key = int(name) if name.isdigit() else name
        images.append(dict(id=key, file_name=f"{name}.é.jpg", height=1, width=1))
        _, segments = Parse().to_coco()
        annotations.append(dict(image_id=key, file_name=f"{name}.png", segments_info=segments))
    parses.close()
    categories = to_json_categories(toy_dataset)
    content = dict(images=images, annotations=annotations, categories=categories)
    assert (tmp_path / "parses.json").read_text() == json.dumps(content)


def test_a_parse_that_was_not_written_is_not_in_the_json(writer, tmp_path):
    parses = writer("parses")
    (tmp_path / "parses").mkdir()
    (tmp_path / "parses" / "a.png").touch()
    with pytest.raises(UserError, match="exists already"):
        parses.add(Parse(), "a", "a")
    parses.add(Parse(), "b", "b")
    parses.close()
    content = json.loads((tmp_path / "parses.json").read_text())
    assert [image["id"] for image in content["images"]] == ["b"]


def test_little_is_held_of_each_parse(writer):
    peaks = []
    for count in (_FEW, _FEW, _MANY):  # the first for what is imported on the way
        parses = writer(f"parses {len(peaks)}")
        tracemalloc.start()
        for number in range(count):
            parses.add(Parse(), f"{number:06d}", f"{number:06d}")
        parses.close()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[2] - peaks[1]) / (_MANY - _FEW) < _A_PARSE
