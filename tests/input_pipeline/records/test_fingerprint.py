"""Records know what they were made from."""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from input_pipeline import open_source
from input_pipeline.records import fingerprint, write
from input_pipeline.records.files import find_shards, shards_in
from tests.toys import toy_dataset


@pytest.fixture
def build(folder, tmp_path_factory):
    """Function that builds the records of the folder's train split; `output` is where."""
    output = str(tmp_path_factory.mktemp("records"))

    def run(num_shards=2, config=None, **options):
        config = config or folder.config
        return write.write_records(
            config, "train", output, num_shards=num_shards, processes=1, **options
        )

    run.output = output
    return run


def add_image(folder, index):
    for kind in ("semantic", "instances"):
        with Image.open(folder.path(kind, 0)) as mask:
            folder.save(kind, index, np.array(mask))
    folder.save("images", index, np.full((20, 30, 3), index, np.uint8))


def recorded(folder, build):
    """Names of the images in the records, and of those in the folder."""
    config = folder.config
    config.data.records = build.output
    raw, records = open_source(folder.config, "train"), open_source(config, "train")
    return [
        sorted(source[index]["image_id"] for index in range(len(source)))
        for source in (records, raw)
    ]


def test_building_again_from_the_same_data_changes_nothing(folder, build):
    first = build()
    times = {name: os.stat(os.path.join(build.output, name)).st_mtime_ns for name in shards(build)}
    assert build() == first
    assert times == {
        name: os.stat(os.path.join(build.output, name)).st_mtime_ns for name in shards(build)
    }


def shards(build):
    return [storage.basename(path) for path in find_shards(build.output, "train")]


def change_a_mask(folder):
    folder.save("semantic", 0, np.full((20, 30), 3, np.uint8))
    os.utime(folder.path("semantic", 0), ns=(1, 1))


def drop_an_image(folder):
    for kind in ("images", "semantic", "instances"):
        folder.path(kind, 0).unlink()


def describe_anew(folder):
    classes = folder.description["classes"] + [{"name": "sky", "type": "stuff", "id": 9}]
    folder.write(classes=classes)


@pytest.mark.parametrize(
    "change, words",
    [
        (change_a_mask, r"changed: semantic/im0\.png\)"),
        (lambda folder: add_image(folder, 6), r"new: images/im6\.png, .*semantic/im6\.png\)"),
        # All that come after it move up, into another split perhaps.
        (drop_an_image, r"new: images/im2\.png, .*; gone: images/im0\.png, .*im0\.png"),
        (describe_anew, r"the list of classes differs; changed: classes\.json\)"),
    ],
)
@pytest.mark.parametrize("interrupted", [False, True])
def test_what_changed_is_named_and_made_anew_only_when_told(
    folder, build, change, words, interrupted
):
    build()
    if interrupted:
        os.remove(os.path.join(build.output, "train.json"))
        os.remove(find_shards(build.output, "train")[1])
    change(folder)
    before = {name: read(build, name) for name in os.listdir(build.output)}
    with pytest.raises(UserError, match=words) as raised:
        build()
    assert "--rebuild" in str(raised.value) and "\n" not in str(raised.value)
    assert before == {name: read(build, name) for name in os.listdir(build.output)}

    if change is describe_anew:  # which other splits may have in common
        os.remove(os.path.join(build.output, "dataset.json"))
    build(rebuild=True)
    in_records, in_folder = recorded(folder, build)
    assert in_records == in_folder and len(set(in_records)) == len(in_records)
    assert build()["images"] == len(in_folder)


def read(build, name):
    with open(os.path.join(build.output, name), "rb") as file:
        return file.read()


def test_what_changes_while_it_is_read_is_named(folder, build, monkeypatch):
    write_shard = write.write_shard

    def write_and_change(*arguments):
        done = write_shard(*arguments)
        change_a_mask(folder)
        return done

    monkeypatch.setattr(write, "write_shard", write_and_change)
    with pytest.raises(UserError, match=r"changed while .*changed: semantic/im0\.png.*--rebuild"):
        build()
    assert not os.path.exists(os.path.join(build.output, "train.json"))
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"semantic/im0\.png"):
        build()
    assert build(rebuild=True)["images"] == 4


def test_what_annotations_mean_is_part_of_it(folder, build):
    build()
    config = folder.config
    config.data.annotations.val_every = 5
    with pytest.raises(UserError, match=r"config\.data\.annotations differs"):
        build(config=config)


def test_where_the_data_lie_is_not(folder, build, tmp_path_factory):
    folder.write(name="toy")
    build()
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    os.rename(folder.root, moved)
    config = folder.config
    config.data.root = str(moved)
    assert build(config=config)["images"] == 4


def test_another_division_is_named_and_made_anew_when_told(build):
    build()
    with pytest.raises(UserError, match=r"another division.*--shards.*--rebuild"):
        build(num_shards=3)
    assert len(build(num_shards=3, rebuild=True)["shards"]) == 3
    assert len(shards_in(build.output, "train")) == 3


@pytest.mark.parametrize("kept", ["train.json", "train.sources.gz"])
def test_only_shards_that_were_written_here_are_removed(build, kept):
    """Those that the manifest lists or, after an interruption, that were planned."""
    build()
    described = {"train.json", "train.sources.gz"}
    for name in described - {kept}:
        os.remove(os.path.join(build.output, name))
    foreign = os.path.join(build.output, "train-00000-of-00007.tfrecord")
    with open(foreign, "w") as file:
        file.write("mine")
    before = {name: read(build, name) for name in os.listdir(build.output)}
    with pytest.raises(UserError, match=r"00000-of-00007\.tfrecord is called like a shard"):
        build(rebuild=True)
    assert before == {name: read(build, name) for name in os.listdir(build.output)}
    os.remove(foreign)
    assert build(rebuild=True)["images"] == 4


def test_where_classes_differ_nothing_is_written(folder, build):
    classes = toy_dataset().to_json()
    with open(os.path.join(build.output, "dataset.json"), "w") as file:
        file.write(classes)
    with pytest.raises(UserError, match="describes other classes"):
        build()
    assert os.listdir(build.output) == ["dataset.json"]
    assert read(build, "dataset.json").decode() == classes


def test_records_without_a_fingerprint_stay_as_they_are(build):
    build()
    os.remove(os.path.join(build.output, "train.sources.gz"))
    with pytest.raises(UserError, match=r"not known.*--rebuild"):
        build()
    assert len(find_shards(build.output, "train")) == 2


def test_a_damaged_fingerprint_is_told(build):
    build()
    path = os.path.join(build.output, "train.sources.gz")
    os.truncate(path, os.path.getsize(path) - 5)
    with pytest.raises(UserError, match=r"sources\.gz cannot be read.*--rebuild"):
        build()


def test_the_manifest_has_the_checksum_of_what_it_was_made_from(folder, build):
    manifest = build()
    description = fingerprint.describe(open_source(folder.config, "train"), folder.config, 2)
    assert manifest["sources"] == fingerprint.digest(description)
    with open(os.path.join(build.output, "train.json"), encoding="utf-8") as file:
        assert json.load(file) == manifest


def test_scenes_are_known_by_their_config(tmp_path):
    from experiments.shapes import get_config

    config = get_config()
    config.data.shapes.update({"image_size": (33, 33), "num_train": 4})
    write.write_records(config, "train", str(tmp_path), num_shards=2, processes=1)
    config.data.seed = 1
    with pytest.raises(UserError, match=r"config\.data\.seed differs"):
        write.write_records(config, "train", str(tmp_path), num_shards=2, processes=1)


def texts_of(*lines):
    """An open description of files, without a source."""
    text = "".join(f"{line}\n" for line in ["{}", *lines])
    return io.BytesIO(gzip.compress(text.encode()))


def test_what_moved_in_the_list_is_not_held():
    """Of lists in which all lines stand elsewhere, what differs is named alone."""
    lines = [f'{number} 7 "f{number:05d}"' for number in range(20_000)]
    old, new = texts_of(*lines), texts_of('1 1 "a"', *lines[:100], '5 5 "f00100"', *lines[102:])
    said = fingerprint.changes(old, new)
    assert said == "changed: f00100; new: a; gone: f00101"


def test_of_files_that_have_all_changed_the_first_are_named():
    peaks = []
    for count in (2_000, 40_000):
        lines = [[f'1 {time} "f{number:05d}"' for number in range(count)] for time in (1, 2)]
        old, new = (texts_of(*some) for some in lines)
        tracemalloc.start()
        said = fingerprint.changes(old, new)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert said == f"changed: f00000, f00001, f00002, f00003, f00004 and {count - 5} more"
    assert peaks[1] - peaks[0] < 2**19, "they are held"


@pytest.mark.parametrize("content", [b"[]\n", b"{}\n" + b"0" * 2**20 + b"\n", b"{}\n0"])
def test_a_list_that_is_none_is_told(content):
    with pytest.raises(ValueError, match=r"it (does not begin|ends within)"):
        fingerprint.changes(io.BytesIO(gzip.compress(content)), texts_of('1 1 "a"'))
