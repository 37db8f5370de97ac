"""Full-resolution labels against interpolating everything."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deeperlab_tf.fusion import upsample
from deeperlab_tf.fusion.maps import Grid
from deeperlab_tf.fusion.semantics import Classes, label_pixels


def full_labels(logits, size):
    """Semantic labels [H, W] of logits [h, w, classes], by the fast path."""
    height, width, num_classes = logits.shape
    grid = Grid(height, width)
    flat_logits = tf.reshape(logits, [-1, num_classes])
    labels = label_pixels(flat_logits, Classes(num_classes, ()), grid).labels
    return upsample.fill(tf.range(num_classes), labels, grid, tf.constant(size)).numpy()


def plain_labels(logits, size):
    return tf.raw_ops.ResizeBilinear(images=logits[None], size=size, align_corners=True)[0].numpy()


@pytest.mark.both_stacks
@settings(deadline=None, max_examples=25)
@given(
    st.integers(2, 9), st.integers(2, 9), st.integers(1, 6), st.integers(0, 2**31), st.booleans()
)
def test_labels_are_the_argmax_of_interpolated_logits(height, width, classes, seed, smooth):
    logits = np.random.default_rng(seed).normal(size=[height, width, classes]).astype(np.float32)
    if smooth:
        logits = np.sort(logits, axis=0)
    size = (4 * height - 3, 4 * width - 3)
    plain = plain_labels(logits, size)
    chosen = np.take_along_axis(plain, full_labels(logits, size)[..., None], -1)[..., 0]
    # The same label, or one that ties to rounding.
    np.testing.assert_allclose(chosen, plain.max(-1), atol=1e-5)


def test_a_class_that_is_best_at_no_corner_wins_inside_a_cell():
    logits = np.zeros([2, 2, 3], np.float32)
    logits[:, 0, 0] = logits[:, 1, 1] = 10
    logits[..., 2] = 8
    labels = full_labels(logits, (5, 5))
    np.testing.assert_array_equal(labels[0], [0, 2, 2, 2, 1])


def test_output_may_be_smaller_than_the_grid_spans():
    logits = np.random.default_rng(0).normal(size=[4, 5, 3]).astype(np.float32)
    np.testing.assert_array_equal(
        full_labels(logits, (11, 14)), full_labels(logits, (13, 17))[:11, :14]
    )


def test_chunks_do_not_change_labels(monkeypatch):
    logits = np.random.default_rng(0).normal(size=[8, 9, 3]).astype(np.float32)
    expected = full_labels(logits, (29, 33))
    monkeypatch.setattr(upsample, "_CHUNK", 7)
    np.testing.assert_array_equal(full_labels(logits, (29, 33)), expected)
