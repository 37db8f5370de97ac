"""Records: labels come back bit for bit, DeepLab2's load, broken ones are named."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.errors import UserError
from input_pipeline import make_dataset, open_source, records
from input_pipeline.datasets import cityscapes


@pytest.fixture
def built(folder, tmp_path_factory):
    """(config that reads raw files, config that reads records of them)."""
    output = tmp_path_factory.mktemp("records")
    records.write_records(folder.config, "train", str(output), num_shards=2, processes=1)
    config = folder.config
    config.data.records = str(output)
    return folder.config, config


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def assert_equal(first, second):
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


def test_images_and_labels_come_back_bit_for_bit(built):
    raw, config = (open_source(config, "train") for config in built)
    assert len(raw) == len(config) == 4 and raw.dataset == config.dataset
    for index in range(4):
        for name, value in raw[index].items():
            np.testing.assert_array_equal(config[index][name], value)


@pytest.mark.parametrize("case", ["crowd", "no instance", "all ignore", "nothing but one pixel"])
def test_rare_labels_come_back_bit_for_bit(case):
    sample = {
        "image": np.arange(9 * 7 * 3, dtype=np.uint8).reshape(9, 7, 3),
        "semantic": np.full((9, 7), 11 if case == "crowd" else 255 if case == "all ignore" else 3, np.int32),
        "instance": np.zeros((9, 7), np.int32),
        "crowd": np.full((9, 7), case == "crowd"),
        "image_id": "street/1",
    }
    if case == "nothing but one pixel":
        sample["semantic"][4, 4], sample["instance"][4, 4] = 18, 999
    back = records.decode_example(records.encode_example(sample, cityscapes.DATASET), cityscapes.DATASET)
    assert back["image_id"] == b"street/1"
    for name in ("image", "semantic", "instance", "crowd"):
        np.testing.assert_array_equal(back[name], sample[name])
        assert back[name].dtype.as_numpy_dtype == sample[name].dtype


def test_the_manifest_counts_and_sums(built):
    folder = built[1].data.records
    with open(os.path.join(folder, "train.json")) as file:
        manifest = json.load(file)
    assert manifest["images"] == 4 and [shard["images"] for shard in manifest["shards"]] == [2, 2]
    assert all(len(shard["sha256"]) == 64 for shard in manifest["shards"])
    files = {shard["file"] for shard in manifest["shards"]}
    assert set(os.listdir(folder)) == files | {"dataset.json", "train.json"}


def test_building_again_keeps_finished_shards(built, folder):
    output = built[1].data.records
    paths = records.find_shards(output, "train")
    os.remove(paths[1])
    kept = os.stat(paths[0]).st_mtime_ns
    manifest = records.write_records(folder.config, "train", output, num_shards=2, processes=1)
    assert os.stat(paths[0]).st_mtime_ns == kept and manifest["images"] == 4


@pytest.mark.slow
def test_several_processes_write_what_one_writes(built, folder, tmp_path_factory):
    output = str(tmp_path_factory.mktemp("other"))
    manifest = records.write_records(folder.config, "train", output, num_shards=2, processes=2)
    with open(os.path.join(built[1].data.records, "train.json")) as file:
        assert json.load(file) == manifest


def test_bad_data_leaves_no_broken_shard(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("records")
    folder.save("semantic", 4, np.full((20, 30), 42, np.uint8))
    with pytest.raises(UserError, match="class id 42"):
        records.write_records(folder.config, "train", str(output), num_shards=2, processes=1)
    assert not os.path.exists(output / "train.json")
    assert {path.name for path in output.iterdir()} <= {"dataset.json", "train-00000-of-00002.tfrecord"}


def test_a_full_disk_leaves_no_broken_shard(folder, tmp_path, monkeypatch):
    class FullDisk:
        def __init__(self, path):
            open(path, "wb").close()

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.io, "TFRecordWriter", FullDisk)
    from deeperlab_tf.config import config_to_json

    with pytest.raises(UserError, match="No space left"):
        records._write_shard(config_to_json(folder.config), "train", str(tmp_path / "out" / "x.tfrecord"), 0, 1)
    assert list((tmp_path / "out").iterdir()) == []


def test_training_on_records_resumes_exactly(built):
    config = built[1]
    batches = take(make_dataset(config, "train"), 5)
    assert_equal(batches[3:], take(make_dataset(config, "train", start_step=3), 2))
    assert batches[0][0].shape == (2, 33, 33, 3)


def test_an_epoch_of_records_holds_every_image_once(built):
    config = built[1]
    config.data.min_scale = config.data.max_scale = 1.0
    config.data.flip = False
    config.train.batch_size = 4
    epochs = [{image.tobytes() for image in images} for images, _ in take(make_dataset(config, "train"), 3)]
    assert all(len(epoch) == 4 for epoch in epochs)


@pytest.mark.parametrize("use_records", [False, True])
def test_hosts_make_different_parts_of_a_batch(built, use_records):
    config = built[use_records]
    batches = []
    for pipeline in range(2):
        context = tf.distribute.InputContext(2, pipeline, 2)
        batches.append(take(make_dataset(config, "train", input_context=context), 2))
    assert batches[0][0][0].shape[0] == 1
    if not use_records:
        whole = take(make_dataset(config, "train"), 2)
        for step in range(2):
            for host in range(2):
                np.testing.assert_array_equal(batches[host][step][0][0], whole[step][0][host])


def test_deeplab2_records_load(tmp_path):
    """Same keys, no manifest, instances of each class counted anew; labels raw or as 16-bit PNG."""
    label = np.zeros((9, 7), np.int32)
    label[:3], label[3:5], label[5:7], label[7:] = 11 * 1000 + 1, 13 * 1000 + 1, 13 * 1000, 7
    label[8] = 255 * 1000
    encoded = {
        "raw": label.astype("<i4").tobytes(),
        "png": tf.io.encode_png(np.minimum(label, 18_999)[..., None].astype(np.uint16)).numpy(),
    }
    with tf.io.TFRecordWriter(str(tmp_path / "val-00000-of-00001.tfrecord")) as writer:
        for label_format, data in encoded.items():
            strings = {
                "image/encoded": tf.io.encode_png(np.zeros((9, 7, 3), np.uint8)).numpy(),
                "image/filename": label_format.encode(),
                "image/format": b"png",
                "image/segmentation/class/encoded": data,
                "image/segmentation/class/format": label_format.encode(),
            }
            feature = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in strings.items()}
            for key, value in (("height", 9), ("width", 7), ("channels", 3)):
                feature[f"image/{key}"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    source = records.RecordSource(str(tmp_path), "val", cityscapes.DATASET)
    raw, png = source[0], source[1]
    np.testing.assert_array_equal(raw["semantic"][:, 0], [11, 11, 11, 13, 13, 13, 13, 0, 255])
    assert len(np.unique(raw["instance"])) == 3 and np.all(raw["crowd"] == (label == 13_000))
    np.testing.assert_array_equal(png["instance"][:8], raw["instance"][:8])


# === Bad input ===


def test_missing_shards_are_named(built):
    folder = built[1].data.records
    with pytest.raises(UserError, match="no val-"):
        open_source(built[1], "val")
    os.remove(records.find_shards(folder, "train")[0])
    with pytest.raises(UserError, match="1 of the 2 shards"):
        open_source(built[1], "train")


def test_a_cut_off_shard_is_named(built):
    path = records.find_shards(built[1].data.records, "train")[0]
    os.truncate(path, os.path.getsize(path) - 100)
    with pytest.raises(UserError, match=r"train-00000-of-00002.tfrecord is cut off or corrupt at byte \d+, record 1"):
        open_source(built[1], "train")


def test_a_corrupt_record_stops_training_or_is_skipped(built):
    config = built[1]
    shard = records.find_shards(config.data.records, "train")[0]
    with open(shard, "r+b") as file:
        file.seek(records.record_offsets(shard)[0][0] + 50)
        file.write(b"\xff\xff\xff")
    with pytest.raises(tf.errors.DataLossError):
        take(make_dataset(config, "train"), 3)
    config.data.skip_corrupt = True
    assert len(take(make_dataset(config, "train"), 3)) == 3


def test_a_class_outside_the_list_is_named(built):
    path = os.path.join(built[1].data.records, "dataset.json")
    with open(path) as file:
        content = json.load(file)
    content["categories"].pop()
    with open(path, "w") as file:
        json.dump(content, file)
    with pytest.raises(UserError, match="outside its 1 classes"):
        open_source(built[1], "train")[0]


def test_a_data_service_needs_records(folder):
    config = folder.config
    config.data.data_service = "grpc://localhost:1"
    with pytest.raises(UserError, match="data_service needs"):
        make_dataset(config, "train")


def test_a_data_service_with_two_workers_prepares_the_batches(built):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    workers = [service.WorkerServer(service.WorkerConfig(dispatcher_address=address)) for _ in range(2)]
    config = built[1]
    config.data.data_service = dispatcher.target
    images, targets = take(make_dataset(config, "train"), 3)[-1]
    assert images.shape == (2, 33, 33, 3) and targets["semantic"].shape == (2, 33, 33)
    del workers
