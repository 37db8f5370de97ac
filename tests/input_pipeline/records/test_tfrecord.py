"""Records are written without TensorFlow, byte for byte as it writes them."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from input_pipeline.records import example
from input_pipeline.records.tfrecord import data_length, framed


@pytest.mark.parametrize("length", [0, 1, 8, 257, 150_001])
def test_records_are_those_of_tensorflow(tmp_path, length):
    data = np.random.default_rng(length).integers(0, 256, length, np.uint8).tobytes()
    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(data)
        writer.write(bytes(length))
    with open(path, "rb") as file:
        expected = file.read()
    assert framed(data) + framed(bytes(length)) == expected
    assert data_length(expected[:12]) == length


def test_a_damaged_head_has_no_length():
    head = bytearray(framed(b"abc")[:12])
    assert data_length(bytes(head[:11])) is None
    for byte in range(12):
        head[byte] ^= 1
        assert data_length(bytes(head)) is None
        head[byte] ^= 1


@pytest.mark.parametrize(
    "values",
    [
        {"image/height": 0, "image/width": 127, "a": 128, "image/channels": 2**63 - 1},
        {"image/filename": "Straße/1".encode(), "image/encoded": bytes(20_000), "empty": b""},
    ],
)
def test_examples_are_those_of_tensorflow(values):
    features = {}
    for key, value in values.items():
        if isinstance(value, bytes):
            features[key] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        else:
            features[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    expected = tf.train.Example(features=tf.train.Features(feature=features))
    assert example._serialized(values) == expected.SerializeToString(deterministic=True)


def test_they_start_without_tensorflow(repository):
    """It takes seconds, in every process."""
    lines = "import sys, deeperlab_tf.cli, input_pipeline.records.write, input_pipeline.datasets."
    for dataset in ("folder", "coco"):
        command = f"{lines}{dataset}\nassert 'tensorflow' not in sys.modules"
        subprocess.run([sys.executable, "-c", command], cwd=repository, check=True)
