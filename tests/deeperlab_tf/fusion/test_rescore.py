"""Expected-OKS against its formula."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logit

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion.maps import Candidates
from deeperlab_tf.fusion.rescore import keypoint_scores

HEIGHT, WIDTH, KIND, SIZE = 20, 22, 1, 120.0


def random_maps():
    """A score map and a heatmap, float32 [h · w, 2] each."""
    rng = np.random.default_rng(0)
    return (rng.random([HEIGHT * WIDTH, 2]).astype(np.float32) for _ in range(2))


def bilinear(values, row):
    """Values [h · w] at a row, pixels, and column 50."""
    above = int(np.floor(row / 4))
    rows = np.clip([above, above + 1], 0, HEIGHT - 1)
    below = row / 4 - above
    corners = values.reshape(HEIGHT, WIDTH)[rows, 12:14]
    return np.array([1 - below, below]) @ corners @ np.array([0.5, 0.5])


def score(row, scores, heatmap, make_maps, detection):
    keypoint = Candidates(tf.constant([[row, 50.0]]), tf.constant([KIND]))
    maps = make_maps(HEIGHT, WIDTH, keypoint_logits=logit(heatmap))
    return keypoint_scores(keypoint, tf.constant([SIZE]), tf.constant(scores), maps, detection)


# Inside, near either border, off the image.
@pytest.mark.both_stacks
@pytest.mark.parametrize("row", [33.0, 1.0, 75.0, -9.0])
def test_expected_oks_equals_its_formula(row, make_maps):
    detection = default_config().fusion.detection
    scores, heatmap = random_maps()
    cells = 4.0 * np.stack(np.unravel_index(np.arange(HEIGHT * WIDTH), (HEIGHT, WIDTH)), 1)
    squares = ((cells - (row, 50.0)) ** 2).sum(1)
    share = scores[:, KIND] * (squares <= 25**2)
    similarity = np.exp(-squares / (2 * (SIZE * detection.oks_kappa) ** 2))
    expected = bilinear(heatmap[:, KIND], row) * (share * similarity).sum() / share.sum()
    oks = score(row, scores, heatmap, make_maps, detection)
    np.testing.assert_allclose(oks, [expected], rtol=1e-4)


def test_without_rescoring_the_score_map_counts(make_maps):
    detection = default_config().fusion.detection
    detection.rescore = "none"
    scores, heatmap = random_maps()
    plain = score(33.0, scores, heatmap, make_maps, detection)
    np.testing.assert_allclose(plain, [bilinear(scores[:, KIND], 33.0)], rtol=1e-5)
