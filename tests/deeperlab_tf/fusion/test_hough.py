"""Hough voting against a loop over votes."""

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logit

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import hough
from deeperlab_tf.fusion.maps import Grid
from deeperlab_tf.fusion.refine import LongTargets

HEIGHT, WIDTH, KINDS = 6, 7, 3
GRID = Grid(HEIGHT, WIDTH)


def votes_oracle(votes, kinds, weights):
    """Adds every vote to the four cells around it."""
    total = np.zeros([HEIGHT, WIDTH, KINDS])
    for (y, x), kind, weight in zip(votes, kinds, weights):
        for row in range(HEIGHT):
            for column in range(WIDTH):
                share = max(0, 1 - abs(y / 4 - row)) * max(0, 1 - abs(x / 4 - column))
                total[row, column, kind] += weight * share
    return total.reshape(-1, KINDS)


@pytest.mark.both_stacks
def test_votes_are_split_bilinearly_and_lost_outside():
    rng = np.random.default_rng(0)
    votes = rng.uniform(-12, 40, [200, 2]).astype(np.float32)
    kinds, weights = (
        rng.integers(0, KINDS, 200).astype(np.int32),
        rng.random(200).astype(np.float32),
    )
    cast = hough.cast_votes(hough.Votes(votes[:, 0], votes[:, 1], kinds, weights), GRID, KINDS)
    np.testing.assert_allclose(cast, votes_oracle(votes, kinds, weights), atol=1e-5)


def test_votes_to_nowhere_are_lost():
    votes = tf.constant([[np.nan, 4.0], [np.inf, 4.0], [4.0, -np.inf], [1e30, 4.0], [4.0, 4.0]])
    votes = hough.Votes(votes[:, 0], votes[:, 1], tf.zeros([5], tf.int32), tf.ones([5]))
    cast = hough.cast_votes(votes, GRID, KINDS).numpy()
    assert cast.sum() == 1 and cast.reshape(HEIGHT, WIDTH, KINDS)[1, 1, 0] == 1


@pytest.mark.parametrize("every", [1, 2, 3])
def test_score_map_is_short_range_plus_w_long_range_scores(every, make_maps):
    rng = np.random.default_rng(1)
    config = default_config().fusion
    config.voting.long_every = every
    heatmap = rng.uniform(0.02, 1, [HEIGHT * WIDTH, KINDS]).astype(np.float32)
    heatmap[0] = 0  # below lightest_vote
    short = rng.normal(0, 8, [HEIGHT * WIDTH, KINDS, 2]).astype(np.float32)
    long_targets = rng.uniform(0, 24, [30, KINDS, 2]).astype(np.float32)
    cells = 4 * np.stack(np.unravel_index(np.arange(HEIGHT * WIDTH), (HEIGHT, WIDTH)), 1)
    kinds = np.tile(np.arange(KINDS), HEIGHT * WIDTH)
    short_scores = votes_oracle((cells[:, None] + short).reshape(-1, 2), kinds, heatmap.ravel())
    things = np.sort(rng.permutation(HEIGHT * WIDTH)[:30]).astype(np.int32)
    weights = every * ((things // WIDTH + things % WIDTH) % every == 0)
    long_scores = votes_oracle(
        long_targets.reshape(-1, 2), np.tile(np.arange(KINDS), 30), np.repeat(weights, KINDS)
    )
    area = math.pi * (config.keypoint_radius / 4) ** 2
    expected = short_scores / area + 0.5 * np.minimum(long_scores / area, 1)
    maps = make_maps(HEIGHT, WIDTH, keypoint_logits=logit(heatmap), short_offsets=short)
    targets = LongTargets(things, long_targets[..., 0], long_targets[..., 1])
    scores = hough.score_map(targets, maps, config.voting)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_no_thing_cell_casts_no_long_vote():
    nobody = LongTargets(tf.zeros([0], tf.int32), *tf.zeros([2, 0, KINDS]))
    assert not hough.cast_votes(hough.long_votes(nobody, 1.0), GRID, KINDS).numpy().any()
