"""The nearest instance against the distances to all of them."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deeperlab_tf.fusion import nearest


def check(vectors, points):
    squares = ((vectors[:, None].astype(np.float64) - points[None]) ** 2).sum(2)
    index = nearest.index_of(tf.constant(points), len(points))
    label, square = nearest.find_nearest(tf.constant(vectors), index, tf.range(len(vectors)))
    chosen = np.take_along_axis(squares, label.numpy()[:, None], 1)[:, 0]
    # Float32, coordinates up to 30: ties to 0.01.
    np.testing.assert_allclose(chosen, squares.min(1), atol=1e-2)
    np.testing.assert_allclose(square, chosen, rtol=1e-3, atol=1e-2)


@pytest.mark.both_stacks
@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 60),
    st.integers(1, 300),
    st.sampled_from([0.01, 0.3, 3.0, 30.0]),
    st.integers(0, 2**31),
)
def test_the_nearest_instance_is_the_nearest_of_all(count, number, noise, seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-30, 30, [count, 10]).astype(np.float32)
    points[count // 2] = points[0]  # twins: neither can be proven
    vectors = points[rng.integers(0, count, number)] + rng.normal(0, noise, [number, 10])
    check(vectors.astype(np.float32), points)


def test_instances_that_share_their_mean_are_told_apart():
    rng = np.random.default_rng(0)
    points = np.stack(
        [size * np.array([-1, -1, -1, 1, 1, -1, 1, 1, 0, 0]) for size in range(1, 20)]
    ).astype(np.float32)
    check(
        (points[rng.integers(0, 19, 500)] + rng.normal(0, 0.4, [500, 10])).astype(np.float32),
        points,
    )


def test_hundreds_of_instances_and_several_chunks(monkeypatch):
    monkeypatch.setattr(nearest, "_CHUNK", 256)
    rng = np.random.default_rng(1)
    points = (
        (rng.uniform(-30, 30, [250, 1, 2]) + rng.normal(0, 2, [250, 4, 2]))
        .reshape(250, 8)
        .astype(np.float32)
    )
    check(
        (points[rng.integers(0, 250, 3000)] + rng.normal(0, 2, [3000, 8])).astype(np.float32),
        points,
    )


def test_what_is_not_finite_still_gets_an_instance_that_exists():
    vectors = np.array([[np.nan] * 4, [np.inf] * 4, [-np.inf, 0, 0, 0], [1e30] * 4], np.float32)
    index = nearest.index_of(tf.constant(np.eye(3, 4, dtype=np.float32)), 3)
    label, _ = nearest.find_nearest(tf.constant(vectors), index, tf.range(4))
    assert ((label.numpy() >= 0) & (label.numpy() < 3)).all()


def test_neighbours_are_the_next_instances():
    index = nearest.index_of(tf.constant([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]]), 3)
    np.testing.assert_array_equal(index.neighbours, [[1, 2], [0, 2], [1, 0]])
    np.testing.assert_allclose(index.separation, [[1, 5], [1, 4], [4, 5]])


def test_the_last_of_few_instances_has_no_neighbour_near():
    alone = nearest.index_of(tf.constant([[3.0, 4.0]]), 1)
    np.testing.assert_array_equal(alone.neighbours, [[-1, -1]])
    assert (alone.separation.numpy() > 1e4).all()
