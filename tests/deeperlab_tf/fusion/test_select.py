"""Greedy selection against the queue as a plain loop."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from deeperlab_tf.fusion import select
from deeperlab_tf.fusion.maps import Candidates


def greedy_oracle(rejects, valid):
    kept = []
    for i in range(len(valid)):
        if valid[i] and not any(rejects[i, j] for j in kept):
            kept.append(i)
    return np.isin(np.arange(len(valid)), kept)


@pytest.mark.both_stacks
@settings(deadline=None, max_examples=30)
@given(st.integers(0, 40), st.floats(0, 1), st.integers(0, 2**31))
def test_greedy_selection_equals_the_queue(count, density, seed):
    rng = np.random.default_rng(seed)
    rejects = rng.random([count, count]) < density
    valid = rng.random(count) < 0.8
    kept = select.greedy(tf.constant(rejects), tf.constant(valid))
    np.testing.assert_array_equal(kept, greedy_oracle(rejects, valid))


def test_greedy_selection_follows_a_chain_to_its_end():
    count = 50
    # Each is rejected by the one before it, if that one is kept.
    rejects = np.eye(count, k=-1, dtype=bool)
    kept = select.greedy(tf.constant(rejects), tf.ones([count], tf.bool)).numpy()
    np.testing.assert_array_equal(kept, np.arange(count) % 2 == 0)


@pytest.mark.parametrize("block", [1, 7, 256])
@pytest.mark.parametrize("count", [0, 1, 7, 60])
def test_founders_block_by_block_are_those_of_the_queue(monkeypatch, block, count):
    monkeypatch.setattr(select, "_BLOCK", block)
    rng = np.random.default_rng(count)
    points = rng.uniform(0, 60, [count, 2]).astype(np.float32)
    kinds = rng.integers(0, 3, count).astype(np.int32)
    proposals = (points[:, None] + rng.normal(0, 8, [count, 3, 2])).astype(np.float32)
    radius = rng.uniform(2, 12, count).astype(np.float32)
    near = [
        [np.hypot(*(point - proposal[kind])) <= reach for proposal, reach in zip(proposals, radius)]
        for point, kind in zip(points, kinds)
    ]
    kept = greedy_oracle(np.reshape(near, [count, count]).astype(bool), np.ones(count, bool))
    found = select.founders(Candidates(points, kinds), proposals, radius)
    np.testing.assert_array_equal(found, np.flatnonzero(kept))


def test_a_candidate_is_near_proposals_by_its_own_kind():
    points = tf.constant([[0.0, 0.0], [30.0, 0.0]])
    candidates = Candidates(points, tf.constant([0, 1]))
    proposals = tf.constant([[[0.0, 0.0], [25.0, 0.0]], [[20.0, 0.0], [30.0, 0.0]]])
    near = select.near_same_keypoint(candidates, proposals, 10.0)
    np.testing.assert_array_equal(near, [[True, False], [True, True]])


def test_things_smaller_than_the_detection_radius_are_told_apart(scene):
    pair = scene().add((24, 24, 31, 31)).add((24, 32, 31, 39), label=3)
    pair.config.fusion.detection.radius_pixels = 10.0
    assert min(pair.ious(pair.fuse())) > 0.5
    pair.config.fusion.detection.reach_sizes = 0.0  # the paper's rule
    assert min(pair.ious(pair.fuse())) < 0.5
