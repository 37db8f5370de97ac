"""make_dataset: repeatable, resumable, and clear about bad input."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from input_pipeline import make_dataset, make_targets, open_source, preprocess


def shapes_config(**data):
    config = default_config()
    config.data.crop_size = config.eval.image_size = (65, 65)
    config.data.keypoint_radius = 6.0
    config.data.shapes.update(
        {"image_size": (65, 81), "num_train": 6, "num_val": 5, "max_things": 4}
    )
    config.data.update(data)
    config.train.batch_size = 4
    config.eval.batch_size = 2
    return config


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def assert_equal(first, second):
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


@pytest.mark.both_stacks
def test_a_run_resumes_exactly_at_any_step():
    config = shapes_config()
    batches = take(make_dataset(config, "train"), 4)
    assert_equal(batches[2:], take(make_dataset(config, "train", start_step=2), 2))
    assert batches[0][0].shape == (4, 65, 65, 3) and batches[0][0].dtype == np.uint8


def test_each_epoch_passes_through_every_image_in_an_order_of_its_own():
    config = shapes_config(min_scale=1.0, max_scale=1.0, flip=False, crop_size=(65, 81))
    config.train.batch_size = 6
    source = open_source(config, "train")
    names = {source[index]["image"].tobytes(): index for index in range(6)}
    epochs = [
        [names[image.tobytes()] for image in images]
        for images, _ in take(make_dataset(config, "train"), 4)
    ]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_the_seed_changes_the_run():
    first, second = (take(make_dataset(shapes_config(seed=seed), "train"), 1) for seed in (0, 1))
    assert not np.array_equal(first[0][0], second[0][0])


def test_targets_are_those_of_the_labels_in_the_batch():
    config = shapes_config()
    images, targets = take(make_dataset(config, "val"), 1)[0]
    sample = open_source(config, "val")[1]
    height, width = targets["content_size"][1]
    assert tuple(targets["original_size"][1]) == (65, 81) and (height, width) == (52, 65)
    assert targets["image_id"][1] == b"val_000001"
    assert np.all(targets["semantic"][1][height:] == 255) and np.all(images[1][height:] == 127)
    assert set(np.unique(targets["semantic"][1][:height])) <= set(np.unique(sample["semantic"]))
    same = {"image_id", "original_size", "content_size"}
    assert set(targets) - same == set(
        make_targets(*(tf.zeros([17, 17], t) for t in (tf.int32, tf.int32, tf.bool)), config)
    )


def test_evaluation_passes_once_in_order_and_keeps_the_last_small_batch():
    batches = take(make_dataset(shapes_config(), "val"), 10)
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    assert [name for _, targets in batches for name in targets["image_id"]] == [
        b"val_%06d" % i for i in range(5)
    ]


def test_images_of_several_sizes_need_a_batch_of_one():
    config = shapes_config()
    config.eval.pad_to_size = False
    with pytest.raises(UserError, match="pad_to_size"):
        make_dataset(config, "val")
    config.eval.batch_size = 1
    # 52 x 65, padded to 16k + 1.
    assert take(make_dataset(config, "val"), 1)[0][0].shape == (1, 65, 65, 3)


def test_caching_changes_nothing():
    assert_equal(
        take(make_dataset(shapes_config(cache=True), "train"), 3),
        take(make_dataset(shapes_config(), "train"), 3),
    )


def test_bad_files_are_named_while_reading(folder):
    folder.save("semantic", 0, np.full((20, 30), 42, np.uint8))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"UserError: mask .*im0.png holds the class id 42"
    ):
        take(make_dataset(folder.config, "train"), 3)


def test_a_folder_becomes_batches(folder):
    images, targets = take(make_dataset(folder.config, "train"), 1)[0]
    assert images.shape == (2, 33, 33, 3) and set(np.unique(targets["semantic"])) <= {0, 1, 255}


def test_a_large_photo_works(folder):
    """6000 x 4000, as cameras make them."""
    mask = np.full((4000, 6000), 3, np.uint8)
    mask[1000:3000, 1000:5000] = 7
    folder.save("images", 0, np.full((4000, 6000, 3), 90, np.uint8))
    folder.save("semantic", 0, mask)
    folder.save("instances", 0, (mask == 7).astype(np.uint8))
    config = folder.config
    config.data.longer_side, config.data.min_scale, config.data.max_scale = 30, 1.0, 1.0
    sample = {
        name: value for name, value in open_source(config, "train")[0].items() if name != "image_id"
    }
    crop = preprocess.augment(sample, config.data, tf.constant([0, 0]))
    assert np.sum(crop["image"] == 90) == 3 * 20 * 30 and np.sum(crop["instance"] == 1) == 200
