"""The losses against plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deeperlab_tf.errors import UserError
from deeperlab_tf.heads import head_channels
from deeperlab_tf.keypoints import STAR
from deeperlab_tf.layers import upsample
from deeperlab_tf.losses import (
    Pixels,
    cross_entropy,
    hard_pixel_fraction_at,
    hardest_share,
    heatmap_loss,
    offset_loss,
    semantic_loss,
    total_loss,
)


def numpy_semantic_loss(logits, labels, weight, fraction):
    """Eq. 1 of one image on full-resolution logits: sort, take K, weigh, divide by K."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    valid = weight > 0
    entropy = -log_p[valid][np.arange(valid.sum()), labels[valid]]
    hardest = max(round(fraction * valid.sum()), 1)
    order = np.argsort(-entropy, kind="stable")[:hardest]
    return (entropy[order] * weight[valid][order]).sum() / hardest


@pytest.mark.both_stacks
@pytest.mark.parametrize("fraction", [0.15, 0.5, 1.0])
def test_semantic_loss_equals_eq_1(fraction):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 5, 9, 4)).astype(np.float32) * 3
    labels = rng.integers(0, 4, (2, 17, 33)).astype(np.int32)
    weight = rng.choice([0.0, 1.0, 3.0], (2, 17, 33)).astype(np.float32)
    labels[weight == 0] = 255
    result = semantic_loss(logits, Pixels(labels, weight), fraction)
    full = upsample(logits, 4).numpy()
    expected = [numpy_semantic_loss(full[i], labels[i], weight[i], fraction) for i in range(2)]
    np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_class_weights_weigh_but_do_not_choose():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(1, 3, 5, 3)).astype(np.float32) * 3
    labels = rng.integers(0, 3, (1, 9, 17)).astype(np.int32)
    weight = rng.choice([0.0, 1.0, 3.0], (1, 9, 17)).astype(np.float32)
    labels[weight == 0] = 255
    factors = (0.5, 1.0, 4.0)
    full = upsample(logits, 4).numpy()[0]
    weighed = weight[0] * np.append(factors, [0] * 253)[labels[0]]
    expected = numpy_semantic_loss(full, labels[0], weighed, 0.3)
    np.testing.assert_allclose(
        semantic_loss(logits, Pixels(labels, weight), 0.3, factors), [expected], rtol=1e-4
    )
    for wrong in ((1.0, 2.0), (1.0, 0.0, 1.0)):
        with pytest.raises(UserError, match="class_weights"):
            semantic_loss(logits, Pixels(labels, weight), 0.3, wrong)


@pytest.mark.both_stacks
def test_gradient_of_the_phases_is_that_of_the_upsampled_logits():
    rng = np.random.default_rng(2)
    logits = tf.Variable(rng.normal(size=(2, 4, 3, 5)).astype(np.float32))
    labels = rng.integers(0, 5, (2, 13, 9)).astype(np.int32)
    with tf.GradientTape(persistent=True) as tape:
        plain = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, upsample(logits, 4))
        plain = tf.reduce_mean(plain, axis=(1, 2))
        phases = semantic_loss(logits, Pixels(labels, tf.ones(labels.shape)), 1.0)
    np.testing.assert_allclose(phases, plain, rtol=1e-5)
    np.testing.assert_allclose(
        tape.gradient(phases, logits), tape.gradient(plain, logits), rtol=1e-4, atol=1e-7
    )


@pytest.mark.both_stacks
def test_cross_entropy_of_sure_and_wrong_pixels_is_bounded_and_its_gradient_is_not_touched():
    logits = tf.constant([[[[0.0, 200.0, -3.0], [60.0, 0.0, 1.0], [0.5, 0.25, 0.0]]]])
    labels = tf.constant([[[0, 1, 2]]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        plain, ours = (
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits),
            cross_entropy(logits, labels),
        )
    np.testing.assert_allclose(ours[0, 0, 1:], plain[0, 0, 1:], rtol=1e-5)
    assert 87 < ours[0, 0, 0] < 88
    np.testing.assert_allclose(tape.gradient(ours, logits), tape.gradient(plain, logits), atol=1e-6)
    # A run that diverges is stopped by its loss.
    assert np.isnan(cross_entropy(logits * np.nan, labels)).all()


def test_pixels_are_ranked_by_their_loss_before_weighting():
    # one hard pixel of weight 1, many easy ones of weight 3: the hard one is chosen all the same
    logits = np.zeros((1, 2, 2, 2), np.float32)
    logits[0, :, :, 0] = 2.0
    logits[0, 0, 0] = (0.0, 6.0)
    labels = np.zeros((1, 5, 5), np.int32)
    weight = np.full((1, 5, 5), 3.0, np.float32)
    weight[0, 0, 0] = 1.0
    result = float(semantic_loss(logits, Pixels(labels, weight), 1 / 25)[0])
    assert result == pytest.approx(np.log1p(np.exp(6.0)), rel=1e-5)


def test_image_that_is_all_ignored_has_loss_zero_and_finite_gradients():
    logits = tf.Variable(tf.random.normal([1, 3, 3, 4]))
    with tf.GradientTape() as tape:
        ignored = Pixels(tf.fill([1, 9, 9], 255), tf.zeros([1, 9, 9]))
        loss = semantic_loss(logits, ignored, 0.15)
    assert float(loss[0]) == 0.0
    assert np.all(tape.gradient(loss, logits).numpy() == 0)


@pytest.mark.both_stacks
@settings(deadline=None, max_examples=30)
@given(
    values=st.lists(st.floats(0, 100, width=32), min_size=1, max_size=40),
    skipped=st.integers(0, 5),
    share=st.floats(0.01, 1),
)
def test_hardest_share_marks_exactly_the_largest(values, skipped, share):
    row = np.array(values + [-1.0] * skipped, np.float32)
    count = max(round(share * len(values)), 1)
    marked = hardest_share(row[None], np.array([count], np.int32)).numpy()[0]
    assert marked.sum() == pytest.approx(count, rel=1e-5)
    assert (marked * row).sum() == pytest.approx(
        np.sort(row)[::-1][:count].sum(), rel=1e-4, abs=1e-6
    )
    assert np.all(marked[row < 0] == 0)


def test_mining_compiles_with_xla():
    compiled = tf.function(hardest_share, jit_compile=True)
    values = np.random.default_rng(0).random((2, 500)).astype(np.float32)
    count = np.array([75, 75], np.int32)
    np.testing.assert_array_equal(compiled(values, count), hardest_share(values, count))


@pytest.mark.both_stacks
def test_heatmap_loss_is_mean_cross_entropy_over_counted_pixels():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2, 4, 5, 3)).astype(np.float32)
    heatmap = rng.integers(0, 2, (2, 4, 5, 3)).astype(np.float32)
    mask = rng.integers(0, 2, (2, 4, 5)).astype(np.float32)
    p = 1 / (1 + np.exp(-logits))
    entropy = -(heatmap * np.log(p) + (1 - heatmap) * np.log(1 - p))
    expected = [entropy[i][mask[i] > 0].mean() for i in range(2)]
    np.testing.assert_allclose(heatmap_loss(logits, heatmap, mask), expected, rtol=1e-5)


@pytest.mark.both_stacks
@pytest.mark.parametrize("per_item_mask", [True, False])
def test_offset_loss_is_mean_l1_over_active_pairs_in_units_of_the_radius(per_item_mask):
    rng = np.random.default_rng(2)
    offsets, target = rng.normal(size=(2, 2, 4, 5, 6)).astype(np.float32) * 20
    mask = rng.integers(0, 2, (2, 4, 5, 3) if per_item_mask else (2, 4, 5)).astype(np.float32)
    l1 = np.abs(offsets - target).reshape(2, 4, 5, 3, 2).sum(-1) / 8.0
    expected = [l1[i][mask[i] > 0].mean() for i in range(2)]
    np.testing.assert_allclose(offset_loss(offsets, target, mask, 8.0), expected, rtol=1e-5)


def test_offset_loss_without_active_pairs_is_zero():
    zeros = np.zeros((1, 3, 3, 4), np.float32)
    assert float(offset_loss(zeros + 5, zeros, np.zeros((1, 3, 3, 2), np.float32), 8.0)[0]) == 0.0


@pytest.fixture
def example():
    """(heads, targets) of three made-up images."""
    rng = np.random.default_rng(3)
    heads, targets = (
        {
            name: rng.normal(size=(3, 5, 5, channels)).astype(np.float32)
            for name, channels in head_channels(STAR, 4).items()
        }
        for _ in range(2)
    )
    targets |= {
        "semantic": rng.integers(0, 4, (3, 17, 17)).astype(np.int32),
        "semantic_weight": rng.choice([1.0, 3.0], (3, 17, 17)).astype(np.float32),
        "keypoint_heatmap": rng.integers(0, 2, (3, 5, 5, 5)).astype(np.float32),
        "keypoint_mask": rng.integers(0, 2, (3, 5, 5)).astype(np.float32),
        "short_mask": rng.integers(0, 2, (3, 5, 5, 5)).astype(np.float32),
        "middle_mask": rng.integers(0, 2, (3, 5, 5, 8)).astype(np.float32),
        "long_mask": rng.integers(0, 2, (3, 5, 5)).astype(np.float32),
    }
    return heads, targets


@pytest.mark.both_stacks
@pytest.mark.parametrize(
    "step, fraction", [(0, 1.0), (25, 0.8), (50, 0.6), (100, 0.2), (101, 0.2), (None, 0.2)]
)
def test_mining_sets_in_over_its_steps(tiny_config, example, step, fraction):
    heads, targets = example
    tiny_config.train.update(hard_pixel_fraction=0.2, hard_pixel_steps=100)
    pixels = Pixels(targets["semantic"], targets["semantic_weight"])
    expected = semantic_loss(heads["semantic_logits"], pixels, fraction)
    losses = tf.function(lambda step: total_loss(heads, targets, tiny_config, step)[1])
    mined = losses(step if step is None else tf.constant(step, tf.int64))["semantic"]
    np.testing.assert_allclose(mined, expected, rtol=1e-5)


@pytest.mark.parametrize("fraction, steps", [(0.2, 0), (1.0, 100)])
def test_mining_that_stays_as_it_is_does_not_depend_on_the_step(tiny_config, fraction, steps):
    tiny_config.train.update(hard_pixel_fraction=fraction, hard_pixel_steps=steps)
    assert hard_pixel_fraction_at(tf.constant(50), tiny_config.train) == fraction


def test_loss_of_an_image_does_not_depend_on_the_rest_of_the_batch(tiny_config, example):
    heads, targets = example
    together, _ = total_loss(heads, targets, tiny_config)
    for image in range(3):
        one = slice(image, image + 1)
        alone, _ = total_loss(
            {k: v[one] for k, v in heads.items()},
            {k: v[one] for k, v in targets.items()},
            tiny_config,
        )
        np.testing.assert_allclose(alone[0], together[image], rtol=1e-5)
