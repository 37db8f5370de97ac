"""Assignment against the distances themselves."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.fusion import assign


@pytest.mark.fast
@pytest.mark.parametrize("count", [1, 7, 200])
def test_vectors_go_to_the_nearest_instance_by_squared_distances(count):
    rng = np.random.default_rng(count)
    keypoints = rng.uniform(0, 1440, [256, 5, 2]).astype(np.float32)
    targets = keypoints[rng.integers(0, count, 3000)] + rng.normal(0, 40, [3000, 5, 2]).astype(np.float32)
    squares = ((targets[:, None].astype(np.float64) - keypoints[None, :count]) ** 2).sum((2, 3))
    origin = tf.constant([720.0, 720.0])
    table = assign.instance_table(keypoints, count, origin, 25.0)
    nearest = assign.nearest(assign.vectors(tf.constant(targets), origin, 25.0), table).numpy()
    chosen = np.take_along_axis(squares, nearest[:, None], 1)[:, 0]
    np.testing.assert_allclose(chosen, squares.min(1), atol=5)  # float32: ties within 5 px²


def test_chunks_do_not_change_the_assignment(monkeypatch):
    rng = np.random.default_rng(0)
    vectors, table = rng.normal(size=[100, 11]).astype(np.float32), rng.normal(size=[11, 9]).astype(np.float32)
    expected = assign.nearest(vectors, table).numpy()
    monkeypatch.setattr(assign, "_CHUNK", 7)
    np.testing.assert_array_equal(assign.nearest(vectors, table), expected)


def test_things_that_touch_are_parted_where_they_touch(scene):
    touching = scene().add((10, 8, 50, 36)).add((10, 37, 50, 70))
    parse = touching.fuse()
    left, right = parse["instance"][30, 20], parse["instance"][30, 60]
    assert left != right
    np.testing.assert_array_equal(parse["instance"][30, 12:35], left)
    np.testing.assert_array_equal(parse["instance"][30, 41:66], right)


def test_pixels_that_predict_no_instance_become_a_segment_of_their_class(scene):
    crowded = scene().add((8, 8, 30, 30)).add((40, 40, 60, 76))
    heads = crowded.heads()
    far = crowded.instance[::4, ::4] == 2
    for name in ("short_offsets", "middle_offsets"):
        heads[name][0][10:, 10:] = 1000
    heads["keypoint_logits"][0][10:] = -8
    heads["long_offsets"][0][far] = 1000
    parse = crowded.fuse(heads)
    assert parse["num_instances"] == 2
    np.testing.assert_array_equal(parse["instance_score"][:2] > 0, [True, False])
    assert min(crowded.ious(parse)) > 0.9
    crowded.config.fusion.claim_reach = 0.0  # the paper's way: everything goes to the nearest
    parse = crowded.fuse(heads)
    assert (parse["instance_score"][: parse["num_instances"]] > 0).all()
