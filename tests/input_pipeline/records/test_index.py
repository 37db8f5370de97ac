"""Records in buckets: where they lie is known without reading them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from input_pipeline import make_dataset, open_source
from input_pipeline.records import index, write
from input_pipeline.records.files import find_shards

_numbers = itertools.count()


@pytest.fixture(params=["ram://", "memory://"])
def built(request, folder):
    """Configs that read raw files, and records in the memory of TensorFlow or of fsspec."""
    output = f"{request.param}records{next(_numbers)}"
    write.write_records(folder.config, "train", output, num_shards=2, processes=1)
    config = folder.config
    config.data.records = output
    return folder.config, config


def content(path):
    with storage.open(path, "rb") as file:
        return file.read()


def test_images_and_labels_come_back_bit_for_bit(built):
    raw, records = (open_source(config, "train") for config in built)
    assert len(raw) == len(records) == 4
    for number in range(4):
        for name, value in raw[number].items():
            np.testing.assert_array_equal(records[number][name], value)
    assert len(list(make_dataset(built[1], "train").take(3))) == 3


def test_the_manifest_says_what_the_heads_say(built, monkeypatch):
    shards = find_shards(built[1].data.records, "train")
    read = index.index_records(shards, skip_corrupt=True)
    monkeypatch.setattr(index, "record_offsets", None)  # nothing is read
    stated = index.index_records(shards)
    assert stated.counts == read.counts
    for one, other in zip(stated[2:], read[2:]):
        np.testing.assert_array_equal(one, other)


def test_without_a_manifest_the_heads_are_read(built):
    folder = built[1].data.records
    for name in ("train.json", "train.lengths"):
        storage.remove(storage.join(folder, name))
    assert len(open_source(built[1], "train")) == 4


def test_a_shard_that_is_cut_off_is_named(built):
    shard = find_shards(built[1].data.records, "train")[1]
    data = content(shard)
    storage.remove(shard)
    with storage.open(shard, "wb") as file:
        file.write(data[:-100])
    with pytest.raises(UserError, match=r"00001-of-00002\.tfrecord has \d+ bytes, .*cut off"):
        open_source(built[1], "train")


def test_a_shard_that_is_missing_is_named(built):
    storage.remove(find_shards(built[1].data.records, "train")[0])
    with pytest.raises(UserError, match="1 of the 2 shards"):
        open_source(built[1], "train")
