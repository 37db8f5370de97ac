"""Records: labels come back bit for bit, DeepLab2's load, broken ones are named."""

import collections
import json
import os
import resource

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.panoptic_png import read_ids
from input_pipeline import Reading, make_dataset, open_source
from input_pipeline.datasets import cityscapes, coco
from input_pipeline.records import files as record_files
from input_pipeline.records import read, write
from input_pipeline.records.decode import decode_example
from input_pipeline.records.example import encode_example


@pytest.fixture
def built(folder, tmp_path_factory):
    """(config that reads raw files, config that reads records of them)."""
    output = tmp_path_factory.mktemp("records")
    write.write_records(folder.config, "train", str(output), num_shards=2, processes=1)
    config = folder.config
    config.data.records = str(output)
    return folder.config, config


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def identity(image):
    """Tells whole images apart wherever in the crop they are."""
    return int(image.astype(int).sum())


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
        "semantic": np.full(
            (9, 7), 11 if case == "crowd" else 255 if case == "all ignore" else 3, np.int32
        ),
        "instance": np.zeros((9, 7), np.int32),
        "crowd": np.full((9, 7), case == "crowd"),
        "image_id": "street/1",
    }
    if case == "nothing but one pixel":
        sample["semantic"][4, 4], sample["instance"][4, 4] = 18, 999
    serialized = encode_example(sample, cityscapes.DATASET)
    back = decode_example(serialized, cityscapes.DATASET)
    assert back["image_id"] == b"street/1"
    for name in ("image", "semantic", "instance", "crowd"):
        np.testing.assert_array_equal(back[name], sample[name])
        assert back[name].dtype.as_numpy_dtype == sample[name].dtype


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.repeat(a, 2, 1)[:, ::2]])
def test_labels_may_lie_in_memory_in_any_order(layout):
    labels = np.arange(63, dtype=np.int32).reshape(9, 7)
    sample = {
        "image": np.zeros((9, 7, 3), np.uint8),
        "semantic": layout(11 + labels % 8),
        "instance": layout(1 + labels),
        "crowd": np.zeros((9, 7), bool),
        "image_id": "street/1",
    }
    assert not (sample["semantic"].flags.c_contiguous or sample["instance"].flags.c_contiguous)
    back = decode_example(encode_example(sample, cityscapes.DATASET), cityscapes.DATASET)
    for name in ("semantic", "instance"):
        np.testing.assert_array_equal(back[name], sample[name])


def test_the_manifest_counts_and_sums(built):
    folder = built[1].data.records
    with open(os.path.join(folder, "train.json")) as file:
        manifest = json.load(file)
    assert manifest["images"] == 4 and [shard["images"] for shard in manifest["shards"]] == [2, 2]
    assert all(len(shard["sha256"]) == 64 for shard in manifest["shards"])
    files = {shard["file"] for shard in manifest["shards"]}
    assert [shard["bytes"] for shard in manifest["shards"]] == [
        os.path.getsize(os.path.join(folder, shard["file"])) for shard in manifest["shards"]
    ]
    beside = {"dataset.json", "train.json", "train.lengths", "train.sources.gz"}
    assert set(os.listdir(folder)) == files | beside


def test_building_again_keeps_finished_shards(built, folder):
    output = built[1].data.records
    paths = record_files.find_shards(output, "train")
    os.remove(paths[1])
    kept = os.stat(paths[0]).st_mtime_ns
    manifest = write.write_records(folder.config, "train", output, num_shards=2, processes=1)
    assert os.stat(paths[0]).st_mtime_ns == kept and manifest["images"] == 4


@pytest.mark.slow
def test_several_processes_write_what_one_writes(built, folder, tmp_path_factory):
    output = str(tmp_path_factory.mktemp("other"))
    manifest = write.write_records(folder.config, "train", output, num_shards=2, processes=2)
    with open(os.path.join(built[1].data.records, "train.json")) as file:
        assert json.load(file) == manifest


def test_a_file_of_the_users_called_as_the_manifest_stays(folder, tmp_path_factory):
    output, truth = tmp_path_factory.mktemp("records"), '{"images": [], "annotations": []}'
    (output / "train.json").write_text(truth)
    with pytest.raises(UserError, match=r"train\.json exists already"):
        write.write_records(folder.config, "train", str(output), num_shards=2, processes=1)
    assert (output / "train.json").read_text() == truth
    assert os.listdir(output) == ["train.json"]


def test_bad_data_leaves_no_broken_shard(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("records")
    folder.save("semantic", 4, np.full((20, 30), 42, np.uint8))
    with pytest.raises(UserError, match="class id 42"):
        write.write_records(folder.config, "train", str(output), num_shards=2, processes=1)
    assert not os.path.exists(output / "train.json")
    assert {path.name for path in output.iterdir()} <= {
        "dataset.json",
        "train.sources.gz",
        "train-00000-of-00002.tfrecord",
    }


def test_a_full_disk_leaves_no_broken_shard(folder, tmp_path_factory):
    """The largest size of a file is limited for a moment: the real writer then fails as on a full
    disk.
    """
    folder.save("images", 0, np.random.default_rng(0).integers(0, 256, (600, 900, 3), np.uint8))
    folder.save("semantic", 0, np.full((600, 900), 3, np.uint8))
    folder.save("instances", 0, np.zeros((600, 900), np.uint8))
    output = tmp_path_factory.mktemp("out")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*tfrecord"):
            write.write_records(folder.config, "train", str(output), num_shards=2, processes=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(output.glob("train-00000*")) and not (output / "train.json").exists()
    assert not [path for path in output.iterdir() if path.name.startswith(".")]
    assert (
        write.write_records(folder.config, "train", str(output), num_shards=2, processes=1)[
            "images"
        ]
        == 4
    )


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
    epochs = [
        {identity(image) for image in images}
        for images, _ in take(make_dataset(config, "train"), 3)
    ]
    assert all(len(epoch) == 4 for epoch in epochs)


@pytest.mark.parametrize("use_records", [False, True])
def test_hosts_make_different_parts_of_a_batch(built, use_records):
    config = built[use_records]
    batches = []
    for pipeline in range(2):
        context = tf.distribute.InputContext(2, pipeline, 2)
        batches.append(take(make_dataset(config, "train", input_context=context), 2))
    assert batches[0][0][0].shape[0] == 1
    assert not {b[0].tobytes() for b in batches[0]} & {b[0].tobytes() for b in batches[1]}
    if not use_records:
        whole = take(make_dataset(config, "train"), 2)
        for step in range(2):
            for host in range(2):
                np.testing.assert_array_equal(batches[host][step][0][0], whole[step][0][host])


def test_each_host_reads_shards_of_its_own(built):
    config = built[1]
    config.data.min_scale = config.data.max_scale = 1.0
    config.data.flip = False
    seen = []
    for pipeline in range(2):
        context = tf.distribute.InputContext(2, pipeline, 2)
        seen.append(
            {
                identity(i)
                for images, _ in take(make_dataset(config, "train", 0, context), 6)
                for i in images
            }
        )
    assert len(seen[0]) == len(seen[1]) == 2 and not seen[0] & seen[1]


def test_hosts_share_an_evaluation(built):
    config = built[1]
    config.data.records = ""
    names = []
    for pipeline in range(2):
        batches = take(
            make_dataset(config, "val", input_context=tf.distribute.InputContext(2, pipeline, 2)), 9
        )
        names += [name for _, targets in batches for name in targets["image_id"]]
    assert sorted(names) == [b"im2", b"im5"]


def test_empty_shards_do_no_harm(built):
    """DeepLab2 writes COCO in 1000 shards, the last of which are empty."""
    config = built[1]
    folder = config.data.records
    for number, path in enumerate(record_files.find_shards(folder, "train")):
        os.rename(path, os.path.join(folder, f"train-{2 * number:05d}-of-00004.tfrecord"))
        open(os.path.join(folder, f"train-{2 * number + 1:05d}-of-00004.tfrecord"), "wb").close()
    assert len(open_source(config, "train")) == 4
    assert take(make_dataset(config, "train"), 3)[-1][0].shape == (2, 33, 33, 3)
    with pytest.raises(UserError, match="empty"):
        make_dataset(config, "train", input_context=tf.distribute.InputContext(2, 1, 2))


# === DeepLab2's records: no manifest, no dataset.json, instances of each class counted anew ===


def write_deeplab2(folder, name, label, label_format="raw"):
    """One record as deeplab2/data/data_utils.py makes it; `label` is an int array, or None as in a
    test split.
    """
    height, width = (9, 7) if label is None else label.shape
    strings = {
        "image/encoded": tf.io.encode_jpeg(np.full((height, width, 3), 90, np.uint8)).numpy(),
        "image/filename": name.encode(),
        "image/format": b"jpeg",
    }
    if label is not None:
        encoded = label.astype("<i4").tobytes()
        if label_format == "png":
            encoded = tf.io.encode_png(label[..., np.newaxis]).numpy()
        strings["image/segmentation/class/encoded"] = encoded
        strings["image/segmentation/class/format"] = label_format.encode()
    feature = {
        k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in strings.items()
    }
    for key, value in (("height", height), ("width", width), ("channels", 3)):
        feature[f"image/{key}"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    with tf.io.TFRecordWriter(str(folder / "val-00000-of-00001.tfrecord")) as writer:
        writer.write(
            tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
        )


@pytest.mark.parametrize("label_format", ["raw", "png"])
def test_deeplab2_records_of_cityscapes_load(tmp_path, label_format):
    label = np.zeros((9, 7), np.int32)
    label[:3], label[3:5], label[5:7], label[7:] = 11 * 1000 + 1, 13 * 1000 + 1, 13 * 1000, 7 * 1000
    if label_format == "raw":
        label[8] = 255 * 1000
    write_deeplab2(
        tmp_path, "x", label if label_format == "raw" else label.astype(np.uint16), label_format
    )
    sample = read.RecordSource(str(tmp_path), "val", cityscapes.DATASET)[0]
    last = 255 if label_format == "raw" else 7
    np.testing.assert_array_equal(sample["semantic"][:, 0], [11, 11, 11, 13, 13, 13, 13, 7, last])
    np.testing.assert_array_equal(sample["crowd"], label == 13_000)
    assert len(np.unique(sample["instance"])) == 3 and not sample["instance"][5:].any()


@pytest.mark.parametrize("crowd_is_ignored", [True, False])
def test_deeplab2_records_of_coco_load(data_dir, tmp_path, crowd_is_ignored):
    """Genuine labels, as build_coco_data.py encodes them: classes 1-133 in the order of their ids,
    0 = void, times 256; crowds are void (the default there) or have the instance number 0."""
    sample = data_dir / "coco_panoptic" / "sample_data"
    annotation = json.loads((sample / "panoptic_examples.json").read_text())["annotations"][0]
    ids = read_ids(sample / "panoptic_examples" / annotation["file_name"])
    contiguous = {category.original_id: n + 1 for n, category in enumerate(coco.DATASET.categories)}
    label, numbers = np.zeros(ids.shape, np.int32), collections.Counter()
    for segment in annotation["segments_info"]:
        label_class = contiguous[segment["category_id"]]
        numbers[label_class] += label_class <= 80 and not segment["iscrowd"]
        if not segment["iscrowd"]:
            label[ids == segment["id"]] = 256 * label_class + numbers[label_class]
        elif not crowd_is_ignored:
            label[ids == segment["id"]] = 256 * label_class
    write_deeplab2(tmp_path, "x", label)
    config = default_config()
    config.data.dataset, config.data.records = "coco", str(tmp_path)
    back = open_source(config, "val")[0]
    semantic, instance, crowd = coco.labels_of_segments(ids, annotation["segments_info"], "x.png")
    assert crowd.any()
    np.testing.assert_array_equal(
        back["semantic"], np.where(crowd & crowd_is_ignored, 255, semantic)
    )
    np.testing.assert_array_equal(back["crowd"], crowd & (not crowd_is_ignored))
    pairs = np.unique(np.stack([back["instance"].ravel(), instance.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(instance)) == len(np.unique(back["instance"]))


def test_deeplab2_records_without_labels_are_all_ignored(tmp_path):
    write_deeplab2(tmp_path, "x", None)
    sample = read.RecordSource(str(tmp_path), "val", coco.DATASET)[0]
    assert (
        np.all(sample["semantic"] == 255)
        and not sample["instance"].any()
        and not sample["crowd"].any()
    )


def test_labels_of_8_bits_are_refused(tmp_path):
    write_deeplab2(tmp_path, "street", np.zeros((9, 7), np.uint8), "png")
    with pytest.raises(UserError, match=r"record 0 of .* labels of 8 bits"):
        read.RecordSource(str(tmp_path), "val", cityscapes.DATASET)[0]


# === Bad input ===


def test_missing_shards_are_named(built):
    folder = built[1].data.records
    with pytest.raises(UserError, match="no val-"):
        open_source(built[1], "val")
    os.remove(record_files.find_shards(folder, "train")[0])
    with pytest.raises(UserError, match="1 of the 2 shards"):
        open_source(built[1], "train")


def test_a_cut_off_shard_is_named(built):
    path = record_files.find_shards(built[1].data.records, "train")[0]
    os.truncate(path, os.path.getsize(path) - 100)
    with pytest.raises(
        UserError,
        match=r"train-00000-of-00002.tfrecord is cut off or corrupt at byte \d+, record 1",
    ):
        open_source(built[1], "train")


def test_a_shard_cut_off_in_a_bucket_is_named(built):
    config, place = built[1].copy_and_resolve_references(), "ram://cut_off_records"
    for name in os.listdir(config.data.records):
        with open(os.path.join(config.data.records, name), "rb") as file:
            content = file.read()
        is_cut = name.startswith("train-00001")
        with tf.io.gfile.GFile(f"{place}/{name}", "wb") as file:
            file.write(content[:-100] if is_cut else content)
    config.data.records = place
    with pytest.raises(UserError, match=r"ram://cut_off_records/train-00001-of-00002\.tfrecord "):
        open_source(config, "train")


@pytest.mark.both_stacks
def test_a_corrupt_record_stops_training_or_is_left_out_alone(folder, tmp_path_factory):
    config = folder.config
    config.data.records = str(tmp_path_factory.mktemp("records"))
    write.write_records(folder.config, "train", config.data.records, num_shards=1, processes=1)
    (shard,) = record_files.find_shards(config.data.records, "train")
    config.data.min_scale = config.data.max_scale = 1.0
    config.data.flip, config.train.batch_size = False, 1
    whole = {identity(images) for images, _ in take(make_dataset(config, "train"), 4)}
    with open(shard, "r+b") as file:
        file.seek(record_files.record_offsets(shard)[1][0] + 50)
        file.write(b"\xff\xff\xff")
    with pytest.raises(tf.errors.DataLossError):
        take(make_dataset(config, "train"), 5)
    with pytest.raises(UserError, match=f"record 1 of {shard} is corrupt"):
        open_source(config, "train")[1]
    skipping = make_dataset(config, "train", reading=Reading(skip_corrupt=True))
    left = {identity(images) for images, _ in take(skipping, 9)}
    assert len(whole) == 4 and len(left) == 3
    assert f"record 1 of {shard}" in record_files.skipped_records()


def test_what_follows_a_damaged_head_is_left_out(built):
    config = built[1]
    shard = record_files.find_shards(config.data.records, "train")[0]
    with open(shard, "r+b") as file:
        file.seek(record_files.record_offsets(shard)[1][0] - 12)  # the length
        file.write(b"\x05")
    with pytest.raises(UserError, match="record 1"):
        open_source(config, "train")
    skip = Reading(skip_corrupt=True)
    assert len(open_source(config, "train", skip)) == 3
    assert len(take(make_dataset(config, "train", reading=skip), 3)) == 3
    assert f"record 1 of {shard}" in record_files.skipped_records()


def test_a_class_outside_the_list_is_named(built):
    path = os.path.join(built[1].data.records, "dataset.json")
    with open(path) as file:
        content = json.load(file)
    content["categories"].pop()
    with open(path, "w") as file:
        json.dump(content, file)
    with pytest.raises(UserError, match="outside its 1 classes"):
        open_source(built[1], "train")[0]


def test_a_data_service_needs_records_and_an_address(folder, built):
    config = folder.config
    nobody = Reading(data_service="grpc://localhost:1")
    with pytest.raises(UserError, match="data_service needs"):
        make_dataset(config, "train", reading=nobody)
    config.data.records = built[1].data.records
    with pytest.raises(UserError, match=r"no tf\.data service answers"):
        make_dataset(config, "train", reading=nobody)
    with pytest.raises(UserError, match="grpc://host:port"):
        make_dataset(config, "train", reading=Reading(data_service="localhost"))


def test_a_data_service_with_two_workers_prepares_the_batches(built):
    """Each image is seen as often as it would be without the service."""
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    workers = [
        service.WorkerServer(service.WorkerConfig(dispatcher_address=address)) for _ in range(2)
    ]
    config = built[1]
    reading = Reading(data_service=dispatcher.target)
    config.data.min_scale = config.data.max_scale = 1.0
    config.data.flip = False
    batches = take(make_dataset(config, "train", reading=reading), 40)
    images, targets = batches[-1]
    assert images.shape == (2, 33, 33, 3) and targets["semantic"].shape == (2, 33, 33)
    counts = collections.Counter(identity(image) for images, _ in batches for image in images)
    assert len(counts) == 4 and max(counts.values()) - min(counts.values()) <= 8
    del workers
