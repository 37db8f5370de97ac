"""What a record claims to hold is looked at before it is unpacked: it may be a bomb."""

import io
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from input_pipeline import make_dataset, open_source
from input_pipeline.datasets import cityscapes
from input_pipeline.records import bombs, example
from input_pipeline.records.bombs import inflate, picture_size
from input_pipeline.records.corrupt import naming_corrupt_records
from input_pipeline.records.example import encode_example

pytestmark = pytest.mark.both_stacks

SIZE = (9, 7)
GIGABYTE = 2**30


def deflated(num_bytes):
    """Zeros, without ever holding them."""
    deflate, parts = zlib.compressobj(9), []
    for _ in range(num_bytes // 2**20):
        parts.append(deflate.compress(bytes(2**20)))
    return b"".join([*parts, deflate.compress(bytes(num_bytes % 2**20)), deflate.flush()])


def picture(kind, size=SIZE):
    file = io.BytesIO()
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(file, kind)
    return file.getvalue()


@pytest.fixture
def records(tmp_path):
    """Function (key -> value, changed) -> config of a record so changed."""
    sample = {
        "image": np.zeros((*SIZE, 3), np.uint8),
        "semantic": np.zeros(SIZE, np.int32),
        "instance": np.zeros(SIZE, np.int32),
        "image_id": "street/1",
    }

    def write(changed):
        one = tf.train.Example.FromString(encode_example(sample, cityscapes.DATASET))
        for key, value in changed.items():
            feature = one.features.feature[key]
            values = feature.bytes_list if isinstance(value, bytes) else feature.int64_list
            values.value[:] = [value]
        for split in ("train", "val"):
            with tf.io.TFRecordWriter(str(tmp_path / f"{split}-00000-of-00001.tfrecord")) as file:
                file.write(one.SerializeToString())
        config = default_config()
        config.data.dataset, config.data.records = "cityscapes", str(tmp_path)
        return config

    return write


@pytest.mark.parametrize(
    "changed, reason",
    [
        ({example.LABEL: deflated(GIGABYTE)}, "inflate to more or less"),
        ({example.LABEL: deflated(4 * 63 + 1)}, "inflate to more or less"),
        ({example.LABEL: deflated(4 * 62)}, "inflate to more or less"),
        ({example.LABEL: b""}, None),
        ({example.IMAGE: picture("PNG", (500, 500))}, "another size than it states"),
        ({example.IMAGE: picture("JPEG", (500, 500))}, "another size than it states"),
        ({example.IMAGE: picture("PNG")[:20]}, "neither a JPEG nor a PNG"),
        ({example.IMAGE: picture("BMP")}, "neither a JPEG nor a PNG"),
        ({example.HEIGHT: -9, example.WIDTH: -7}, "is larger than"),
        ({example.HEIGHT: 2**32, example.WIDTH: 2**32}, "another size than it states"),
        (
            {example.LABEL: picture("PNG", (500, 500)), example.LABEL_FORMAT: b"png"},
            "labels of 8 bits|another size than it states",
        ),
        ({example.IMAGE: picture("JPEG")}, None),
    ],
)
def test_a_record_that_claims_something_else_is_named(records, changed, reason):
    source = open_source(records(changed), "val")
    if reason is None:
        assert source[0]["semantic"].shape == SIZE
        return
    with pytest.raises(UserError, match=rf"record 0 of .*val-00000-of-00001.*street/1.*{reason}"):
        source[0]


def test_training_names_the_image_and_how_to_find_its_shard(records):
    config = records({example.LABEL: deflated(GIGABYTE)})
    config.data.crop_size = (33, 33)
    said = r"'street/1' has labels that inflate .*check_dataset\.py --records=.* --split=train"
    with (
        pytest.raises(UserError, match=said),
        naming_corrupt_records(config.data.records, "train"),
    ):
        next(iter(make_dataset(config, "train")))


def test_no_more_is_inflated_than_fits(monkeypatch):
    """Beyond the size there is room for one step."""
    room = 2**20
    monkeypatch.setattr(bombs, "_ROOM", room)
    bomb = deflated(100 * room)
    for size in (1, 1000, room):
        inflated = tf.strings.length(inflate(bomb, tf.constant(size, tf.int64))).numpy()
        assert size < inflated <= size + max(room, 4 * size) + 1032


@pytest.mark.parametrize("num_bytes", [1, 1000, 50_003])
@pytest.mark.parametrize("noise", [1, 256])
@pytest.mark.parametrize("compiled", [False, True])
def test_what_is_inflated_in_steps_is_whole(monkeypatch, num_bytes, noise, compiled):
    monkeypatch.setattr(bombs, "_ROOM", 2_000_000)
    monkeypatch.setattr(bombs, "_TIMES", 0)
    data = np.random.default_rng(0).integers(0, noise, num_bytes).astype(np.uint8).tobytes()
    make = tf.function(inflate) if compiled else inflate
    inflated = make(tf.constant(zlib.compress(data, 3)), tf.constant(num_bytes, tf.int64))
    assert inflated.numpy() == data


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_size_of_a_picture_is_in_its_head(kind):
    expected = [-1, -1] if kind == "WEBP" else list(SIZE)
    assert picture_size(tf.constant(picture(kind))).numpy().tolist() == expected
    assert picture_size(tf.constant(b"")).numpy().tolist() == [-1, -1]
