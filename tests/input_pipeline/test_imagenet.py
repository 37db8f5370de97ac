"""ImageNet from folders of classes and from TFRecords: every image once an epoch, the right label,
the right part.
"""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from input_pipeline import imagenet

CLASSES = ("n01440764", "n01443537", "n02105855")
PER_CLASS = 4


def encoded(label, index):
    """A picture whose red tells the class and whose green tells the image; one is a PNG, as in
    ImageNet.
    """
    image = np.full((40 + 8 * index, 60, 3), (80 * label, 60 * index, 128), np.uint8)
    if (label, index) == (2, 1):
        return tf.io.encode_png(image).numpy()
    return tf.io.encode_jpeg(image, quality=100).numpy()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("imagenet")
    for split in ("train", "val"):
        for label, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for index in range(PER_CLASS):
                (root / split / name / f"{name}_{index}.JPEG").write_bytes(encoded(label, index))
    return root


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """The usual records: labels from 1, splits called train and validation."""
    root = tmp_path_factory.mktemp("records")
    for split in ("train", "validation"):
        for shard in range(2):
            with tf.io.TFRecordWriter(str(root / f"{split}-{shard:05d}-of-00002")) as writer:
                for label in range(len(CLASSES)):
                    for index in range(shard, PER_CLASS, 2):
                        writer.write(example(encoded(label, index), label + 1))
    return root


def example(image, label):
    feature = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


@pytest.fixture(params=["folders", "records"])
def config(request, folders, shards):
    config = default_config()
    config.data.crop_size = config.eval.image_size = (33, 33)
    config.pretrain.num_classes = len(CLASSES)
    config.train.batch_size, config.eval.batch_size = 4, 5
    if request.param == "folders":
        config.data.root = str(folders)
    else:
        config.data.records = str(shards)
    return config


def seen(batches):
    """(label, image) of every picture, told from its colours."""
    found = []
    for images, targets in batches:
        colors = images.numpy()[:, 16, 16].astype(int)
        np.testing.assert_array_equal(np.round(colors[:, 0] / 80), targets["label"])
        found += [
            (int(label), round(green / 60)) for label, green in zip(targets["label"], colors[:, 1])
        ]
    return found


@pytest.mark.both_stacks
def test_an_epoch_holds_every_image_once_with_its_label(config):
    dataset = imagenet.make_dataset(config, "train")
    assert (
        dataset.element_spec[0].shape == (4, 33, 33, 3)
        and dataset.element_spec[0].dtype == tf.uint8
    )
    everything = {(label, index) for label in range(len(CLASSES)) for index in range(PER_CLASS)}
    epochs = seen(dataset.take(6))
    assert set(epochs[:12]) == set(epochs[12:]) == everything and epochs[:12] != epochs[12:]


def test_training_resumes_exactly(config):
    straight = list(imagenet.make_dataset(config, "train").take(5))
    resumed = list(imagenet.make_dataset(config, "train", start_step=3).take(2))
    tf.nest.map_structure(np.testing.assert_array_equal, straight[3:], resumed)


def test_hosts_make_different_parts_of_a_batch(config):
    parts = []
    for pipeline in range(2):
        context = tf.distribute.InputContext(2, pipeline, 2)
        parts.append(seen(imagenet.make_dataset(config, "train", input_context=context).take(3)))
    assert [len(part) for part in parts] == [6, 6] and not set(parts[0]) & set(parts[1])


def test_evaluation_passes_through_all_images_once(config):
    batches = list(imagenet.make_dataset(config, "val"))
    assert [len(images) for images, _ in batches] == [5, 5, 2]
    assert len(set(seen(batches))) == 12


def test_the_middle_is_evaluated_and_random_parts_are_trained_on(tmp_path):
    """Each pixel's colours tell where it comes from."""
    rows, columns = np.mgrid[:100, :200]
    image = np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8)
    for split in ("train", "val"):
        (tmp_path / split / "only").mkdir(parents=True)
        (tmp_path / split / "only" / "0.png").write_bytes(tf.io.encode_png(image).numpy())
    config = default_config()
    config.data.root = str(tmp_path)
    config.data.crop_size = config.eval.image_size = (65, 65)
    config.pretrain.num_classes, config.train.batch_size = 1, 64
    ((middle, _),) = imagenet.make_dataset(config, "val")
    top, left = middle[0, 0, 0, :2].numpy().astype(int)
    bottom, right = middle[0, -1, -1, :2].numpy().astype(int)
    assert (top + bottom) / 2 == pytest.approx(49.5, abs=1) and (left + right) / 2 == pytest.approx(
        99.5, abs=1
    )
    # 87.5 % of 100.
    assert bottom - top == pytest.approx(86, abs=2) and right - left == pytest.approx(86, abs=2)

    ((crops, _),) = imagenet.make_dataset(config, "train").take(1)
    crops = crops.numpy().astype(int)
    heights = np.abs(crops[:, -1, 0, 0] - crops[:, 0, 0, 0]) + 1
    widths = np.abs(crops[:, 0, -1, 1] - crops[:, 0, 0, 1]) + 1
    area, ratio = heights * widths / image[..., 0].size, widths / heights
    assert area.min() > 0.07 and area.max() <= 1 and area.std() > 0.1
    assert ratio.min() > 0.7 and ratio.max() < 1.4
    flipped = crops[:, 0, -1, 1] < crops[:, 0, 0, 1]
    assert 0.2 < flipped.mean() < 0.8


# === Bad input ===


def test_another_number_of_classes_is_named(folders, shards):
    config = default_config()
    config.data.root = str(folders)
    with pytest.raises(UserError, match="has 3 folders of classes"):
        imagenet.make_dataset(config, "train")
    config.data.records, config.pretrain.num_classes = str(shards), 2
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="UserError: a record has a label outside 1"
    ):
        list(imagenet.make_dataset(config, "val"))


def test_pictures_that_cannot_be_decoded_are_named_and_hidden_files_passed_over(folders, tmp_path):
    for label, name in enumerate(CLASSES[:2]):
        for split in ("train", "val"):
            (tmp_path / split / name).mkdir(parents=True)
            for index, ending in enumerate(("JPEG", "jpe", "jfif")):
                (tmp_path / split / name / f"{index}.{ending}").write_bytes(encoded(label, index))
            (tmp_path / split / name / "._0.JPEG").write_bytes(b"no image")
    config = default_config()
    config.data.root, config.pretrain.num_classes = str(tmp_path), 2
    paths = imagenet.open_source(config, "train").paths
    assert [path.rpartition("/")[2] for path in paths] == ["0.JPEG", "1.jpe", "2.jfif"] * 2
    (tmp_path / "train" / CLASSES[0] / "3.webp").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"3\.webp is neither a JPEG nor a PNG"):
        imagenet.open_source(config, "train")


def test_missing_data_is_named(folders, tmp_path):
    config = default_config()
    config.data.root = str(tmp_path)
    with pytest.raises(UserError, match="there is no split of ImageNet in"):
        imagenet.make_dataset(config, "train")
    config.data.records = str(tmp_path)
    with pytest.raises(UserError, match="there is no train-"):
        imagenet.make_dataset(config, "train")
    (tmp_path / "train-00000-of-00003").write_bytes(b"")
    with pytest.raises(UserError, match="has 1 of 3 shards"):
        imagenet.make_dataset(config, "train")
    with pytest.raises(UserError, match="no split 'test'"):
        imagenet.make_dataset(config, "test")
