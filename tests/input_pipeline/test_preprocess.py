"""Augmentation and fitting against whole-image resizing."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from deeperlab_tf.config import default_config
from input_pipeline import preprocess


def make_config(crop=(33, 49), scale=1.0, **data):
    config = default_config()
    config.data.crop_size = crop
    config.data.min_scale = config.data.max_scale = scale
    config.data.flip = False
    config.data.update(data)
    return config


def random_sample(seed, height, width):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 4 + 2, width // 4 + 2, 3)).astype(np.uint8)
    return {
        "image": np.kron(coarse, np.ones((4, 4, 1), np.uint8))[:height, :width],
        "semantic": rng.integers(0, 60, (height, width)).astype(np.int32),
        "instance": rng.integers(0, 2**31 - 1, (height, width)).astype(np.int32),
        "crowd": rng.random((height, width)) > 0.5,
    }


def oracle_resize(sample, height, width):
    image = tf.image.resize(sample["image"], (height, width), antialias=True)
    rows = np.floor((np.arange(height) + 0.5) * sample["semantic"].shape[0] / height).astype(int)
    columns = np.floor((np.arange(width) + 0.5) * sample["semantic"].shape[1] / width).astype(int)
    resized = {name: sample[name][rows][:, columns] for name in ("semantic", "instance", "crowd")}
    return {"image": np.clip(image, 0, 255), **resized}  # not rounded


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(
    seed=st.integers(0, 10**6),
    sides=st.tuples(st.integers(5, 90), st.integers(5, 90)),
    scale=st.sampled_from([0.5, 0.75, 1.0, 1.25, 2.0]),
)
def test_the_crop_is_a_window_of_the_resized_image_padded_with_ignore(seed, sides, scale):
    sample = random_sample(seed, *sides)
    actual = preprocess.augment(sample, make_config(scale=scale).data, tf.constant([seed, 1]))
    height, width = (max(round(side * scale), 1) for side in sides)
    whole = oracle_resize(sample, height, width)
    # The ids are random: they tell where the window was taken.
    valid = actual["semantic"].numpy() != 255
    rows, columns = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
    assert len(rows) == min(height, 33) and len(columns) == min(width, 49)
    assert valid.sum() == len(rows) * len(columns)
    inside = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    matches = [
        (y, x)
        for y in range(height - len(rows) + 1)
        for x in range(width - len(columns) + 1)
        if whole["instance"][y, x] == actual["instance"][inside][0, 0]
        and np.array_equal(
            whole["instance"][y : y + len(rows), x : x + len(columns)], actual["instance"][inside]
        )
    ]
    assert matches
    y, x = matches[0]
    window = (slice(y, y + len(rows)), slice(x, x + len(columns)))
    for name in ("semantic", "instance", "crowd"):
        np.testing.assert_array_equal(actual[name][inside], whole[name][window])
    difference = actual["image"][inside].numpy() - whole["image"][window]
    # Halves may round either way, and in float32 what is next to one.
    assert np.abs(difference).max() <= 0.5 + 1e-3
    assert np.all(actual["image"].numpy()[~valid] == 127) and not np.any(
        actual["instance"].numpy()[~valid]
    )


@pytest.mark.both_stacks
def test_sizes_are_static_and_dtypes_stay():
    config = make_config()
    actual = tf.function(
        lambda s: preprocess.augment(s, config.data, tf.constant([0, 0]))
    ).get_concrete_function(
        {
            name: tf.TensorSpec([None, None, 3][: value.ndim], value.dtype)
            for name, value in random_sample(0, 9, 9).items()
        }
    )
    specs = {
        name: (value.shape.as_list(), value.dtype)
        for name, value in actual.structured_outputs.items()
    }
    assert specs == {
        "image": ([33, 49, 3], tf.uint8),
        "semantic": ([33, 49], tf.int32),
        "instance": ([33, 49], tf.int32),
        "crowd": ([33, 49], tf.bool),
    }


@pytest.mark.both_stacks
def test_flipping_mirrors_image_and_labels_together():
    sample = random_sample(0, 33, 49)
    config = make_config(flip=True)
    seen = set()
    for seed in range(20):
        actual = preprocess.augment(sample, config.data, tf.constant([seed, 0]))
        flipped = not np.array_equal(actual["semantic"], sample["semantic"])
        seen.add(flipped)
        for name, value in sample.items():
            np.testing.assert_array_equal(actual[name], value[:, ::-1] if flipped else value)
    assert seen == {False, True}


def test_equal_seeds_augment_equally_and_others_do_not():
    config = make_config(flip=True, brightness=0.2, contrast=0.2, saturation=0.2)
    config.data.max_scale = 2.0
    sample = random_sample(0, 60, 80)
    first, again, other = (
        preprocess.augment(sample, config.data, tf.constant([0, n])) for n in (1, 1, 2)
    )
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first["image"], other["image"])


def test_scales_are_the_steps_between_the_limits():
    config = make_config(scale_step=0.25)
    config.data.min_scale, config.data.max_scale = 0.5, 2.0
    scales = {float(preprocess._random_scale(config.data, tf.constant([n, 0]))) for n in range(100)}
    assert scales == {0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0}
    config.data.scale_step = 0.0
    scales = [float(preprocess._random_scale(config.data, tf.constant([n, 0]))) for n in range(100)]
    assert len(set(scales)) == 100 and 0.5 <= min(scales) < 0.6 and 1.9 < max(scales) < 2.0


def test_photometric_changes_leave_labels_and_padding_alone():
    sample = random_sample(0, 20, 20)
    plain, changed = (
        preprocess.augment(sample, make_config(**strength).data, tf.constant([0, 0]))
        for strength in ({}, {"brightness": 0.3, "contrast": 0.3, "saturation": 0.5})
    )
    for name in ("semantic", "instance", "crowd"):
        np.testing.assert_array_equal(plain[name], changed[name])
    outside = plain["semantic"].numpy() == 255
    assert np.all(changed["image"].numpy()[outside] == 127)
    assert not np.array_equal(plain["image"], changed["image"])


@pytest.mark.parametrize(
    "sides, content", [((40, 60), (40, 60)), ((130, 65), (97, 48)), ((65, 260), (32, 129))]
)
def test_fitting_shrinks_what_is_too_large_and_pads_at_the_bottom_and_right(sides, content):
    config = make_config()
    config.eval.image_size = (97, 129)
    sample = random_sample(1, *sides)
    actual = preprocess.fit(sample, config)
    assert tuple(actual["content_size"].numpy()) == content
    assert actual["image"].shape == (97, 129, 3)
    whole = oracle_resize(sample, *content)
    inside = (slice(content[0]), slice(content[1]))
    for name in ("semantic", "instance", "crowd"):
        np.testing.assert_array_equal(actual[name][inside], whole[name])
    np.testing.assert_array_equal(actual["image"][inside], np.rint(whole["image"]))
    outside = np.ones((97, 129), bool)
    outside[inside] = False
    assert np.all(actual["semantic"].numpy()[outside] == 255) and np.all(
        actual["image"].numpy()[outside] == 127
    )


def test_the_longer_side_is_set_first():
    config = make_config(longer_side=81)
    config.eval.image_size = (97, 97)
    # 40.5 to even.
    assert tuple(preprocess.fit(random_sample(1, 20, 40), config)["content_size"].numpy()) == (
        40,
        81,
    )
    augmented = preprocess.augment(random_sample(1, 20, 40), config.data, tf.constant([0, 0]))
    assert not np.any(augmented["semantic"].numpy() == 255)
