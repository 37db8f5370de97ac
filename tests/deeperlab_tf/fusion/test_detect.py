"""Steps of the instance detection against plain loops."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.special import logit

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import boxes, detect, propose, rescore, select
from deeperlab_tf.keypoints import CENTER, GRAPHS


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
    rejects, valid = rng.random([count, count]) < density, rng.random(count) < 0.8
    np.testing.assert_array_equal(
        select.greedy(tf.constant(rejects), tf.constant(valid)), greedy_oracle(rejects, valid)
    )


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
    points, kinds = (
        rng.uniform(0, 60, [count, 2]).astype(np.float32),
        rng.integers(0, 3, count).astype(np.int32),
    )
    proposals = (points[:, None] + rng.normal(0, 8, [count, 3, 2])).astype(np.float32)
    radius = rng.uniform(2, 12, count).astype(np.float32)
    near = [
        [np.hypot(*(point - proposal[kind])) <= reach for proposal, reach in zip(proposals, radius)]
        for point, kind in zip(points, kinds)
    ]
    kept = greedy_oracle(np.reshape(near, [count, count]).astype(bool), np.ones(count, bool))
    np.testing.assert_array_equal(
        select.founders(points, kinds, proposals, radius), np.flatnonzero(kept)
    )


@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_hops_lead_from_every_keypoint_to_all_others(name):
    graph = GRAPHS[name]
    for start in range(graph.num_keypoints):
        reached = {start}
        for hop in propose._hops(graph, range(graph.num_keypoints)):
            source = hop.source[start]
            new = set()
            for target, edge, reaches in zip(
                hop.target[start], hop.edge[start], hop.reaches[start]
            ):
                if reaches:
                    assert graph.edges[edge] == (source, target) and source in reached
                    new.add(int(target))
            reached |= new
        assert reached == set(range(graph.num_keypoints))
    assert len(propose._hops(graph, range(graph.num_keypoints))) == 2


def test_centres_need_one_hop():
    (hop,) = propose._hops(GRAPHS["star"], [CENTER])
    assert sorted(hop.target[CENTER][hop.reaches[CENTER]]) == [0, 1, 2, 3]


@pytest.mark.parametrize("window", [1, 3, 5, 7])
def test_local_maxima_are_those_of_a_maximum_filter(window):
    config = default_config().fusion
    config.detection.peak_window_cells, config.peak_threshold = window, 0.4
    scores = np.random.default_rng(window).random([14, 11, 3]).astype(np.float32)
    highest = ndimage.maximum_filter(scores, [window, window, 1], mode="constant")
    rows, columns, kinds = np.nonzero((scores == highest) & (scores > config.peak_threshold))
    order = np.argsort(-scores[rows, columns, kinds])
    points, found = detect.local_maxima(tf.reshape(scores, [-1, 3]), tf.constant([14, 11]), config)
    np.testing.assert_array_equal(found, kinds[order])
    padded = np.pad(scores, [[1, 1], [1, 1], [0, 0]])
    for point, row, column, kind in zip(points, rows[order], columns[order], kinds[order]):
        weights = padded[row : row + 3, column : column + 3, kind]
        centre = [(weights * steps).sum() / weights.sum() for steps in np.mgrid[-1:2, -1:2]]
        np.testing.assert_allclose(point, 4 * (np.array([row, column]) + centre), atol=1e-4)


def test_local_maxima_are_found_finer_than_the_grid_best_first():
    config = default_config().fusion
    scores = np.zeros([12, 15, 2], np.float32)
    scores[3, 4:6, 1] = 0.75, 0.25  # a vote at column 4.25
    scores[8, 10, 0] = 0.5
    scores[0, 0, 0] = config.peak_threshold  # not above the threshold
    points, kinds = detect.local_maxima(tf.reshape(scores, [-1, 2]), tf.constant([12, 15]), config)
    np.testing.assert_allclose(points, [[12, 17], [32, 40]])
    np.testing.assert_array_equal(kinds, [1, 0])


@pytest.mark.parametrize("window, count", [(1, 3), (3, 2), (5, 1)])
def test_of_peaks_inside_a_window_only_the_highest_counts(window, count):
    config = default_config().fusion
    config.detection.peak_window_cells = window
    scores = np.zeros([12, 15], np.float32)
    scores[5, 5:8] = 0.9, 0.3, 0.8  # two peaks two cells apart
    points, _ = detect.local_maxima(tf.reshape(scores, [-1, 1]), tf.constant([12, 15]), config)
    assert len(points) == count


# Inside, near either border, off the image.
@pytest.mark.parametrize("row", [33.0, 1.0, 75.0, -9.0])
def test_expected_oks_equals_its_formula(row):
    config = default_config().fusion
    rng = np.random.default_rng(0)
    height, width = 20, 22
    scores, heatmap = (rng.random([height * width, 2]).astype(np.float32) for _ in range(2))
    point, kind, size = np.array([row, 50.0]), 1, 120.0
    cells = 4.0 * np.stack(np.unravel_index(np.arange(height * width), (height, width)), 1)
    squares = ((cells - point) ** 2).sum(1)
    share = scores[:, kind] * (squares <= 25**2)
    similarity = np.exp(-squares / (2 * (size * config.detection.oks_kappa) ** 2))
    above = int(np.floor(row / 4))
    corner = heatmap.reshape(height, width, 2)[
        np.clip([above, above + 1], 0, height - 1), 12:14, kind
    ]
    below = row / 4 - above
    probability = np.array([1 - below, below]) @ corner @ np.array([0.5, 0.5])
    expected = probability * (share * similarity).sum() / share.sum()
    arguments = (tf.constant([point], tf.float32), tf.constant([kind]), tf.constant([size]))
    oks = rescore.expected_oks(
        *arguments, scores, logit(heatmap), tf.constant([height, width]), config
    )
    np.testing.assert_allclose(oks, [expected], rtol=1e-4)


def test_a_candidate_is_near_proposals_by_its_own_kind():
    points, kinds = tf.constant([[0.0, 0.0], [30.0, 0.0]]), tf.constant([0, 1])
    proposals = tf.constant([[[0.0, 0.0], [25.0, 0.0]], [[20.0, 0.0], [30.0, 0.0]]])
    near = select.near_same_keypoint(points, kinds, proposals, 10.0)
    np.testing.assert_array_equal(near, [[True, False], [True, True]])


def test_things_smaller_than_the_detection_radius_are_told_apart(scene):
    pair = scene().add((24, 24, 31, 31)).add((24, 32, 31, 39), label=3)
    pair.config.fusion.detection.radius_pixels = 10.0
    assert min(pair.ious(pair.fuse())) > 0.5
    pair.config.fusion.detection.reach_sizes = 0.0  # the paper's rule
    assert min(pair.ious(pair.fuse())) < 0.5


def test_box_iou_counts_the_outermost_pixels():
    three = tf.constant([[0.0, 0.0, 9.0, 9.0], [0.0, 5.0, 9.0, 14.0], [3.0, 3.0, 3.0, 3.0]])
    np.testing.assert_allclose(
        boxes.box_iou(three), [[1, 1 / 3, 0.01], [1 / 3, 1, 0], [0.01, 0, 1]], rtol=1e-5
    )
