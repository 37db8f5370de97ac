"""Targets against a slow NumPy oracle that follows Sec. 3.3.2 pixel by pixel."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from deeperlab_tf.config import default_config
from deeperlab_tf.keypoints import GRAPHS
from input_pipeline.targets import make_targets


def make_config(graph="star", radius=9.0):
    config = default_config()
    config.data.keypoint_graph = graph
    config.data.keypoint_radius = radius
    config.train.small_instance_area = 120
    return config


def oracle_instances(instance, counts, graph):
    """[(id, area, keypoints [P, 2])]."""
    found = []
    for i in np.unique(instance[counts & (instance > 0)]):
        y, x = np.nonzero((instance == i) & counts)
        corners = [(y.min(), x.min()), (y.min(), x.max()), (y.max(), x.min()), (y.max(), x.max())]
        keypoints = np.array([*corners, (y.mean(), x.mean())][: graph.num_keypoints], np.float32)
        found.append((int(i), len(y), keypoints))
    return found


def oracle(semantic, instance, crowd, config):
    graph = GRAPHS[config.data.keypoint_graph]
    radius = np.float32(config.data.keypoint_radius)
    valid = semantic != 255
    counts = valid & ~crowd
    instances = oracle_instances(instance, counts, graph)
    keypoints_of = {i: keypoints for i, _, keypoints in instances}
    h, w = (semantic.shape[0] - 1) // 4 + 1, (semantic.shape[1] - 1) // 4 + 1
    kinds, edges = graph.num_keypoints, graph.edges
    out = {
        "semantic": semantic,
        "semantic_weight": valid.astype(np.float32),
        "keypoint_heatmap": np.zeros((h, w, kinds), np.float32),
        "keypoint_mask": counts[::4, ::4].astype(np.float32),
        "short_offsets": np.zeros((h, w, kinds, 2), np.float32),
        "short_mask": np.zeros((h, w, kinds), np.float32),
        "middle_offsets": np.zeros((h, w, len(edges), 2), np.float32),
        "middle_mask": np.zeros((h, w, len(edges)), np.float32),
        "long_offsets": np.zeros((h, w, kinds, 2), np.float32),
        "long_mask": np.zeros((h, w), np.float32),
    }
    for i, area, _ in instances:
        if area < config.train.small_instance_area:
            out["semantic_weight"][(instance == i) & counts] = config.train.small_instance_weight
    for row in range(h):
        for column in range(w):
            here = np.array([4 * row, 4 * column], np.float32)
            active = counts[4 * row, 4 * column]
            own = instance[4 * row, 4 * column]
            if active and own > 0:
                out["long_mask"][row, column] = 1
                out["long_offsets"][row, column] = keypoints_of[own] - here
            for kind in range(kinds):
                near = []
                for i, area, keypoints in instances:
                    squared = np.sum((here - keypoints[kind]) ** 2, dtype=np.float32)
                    if squared <= radius * radius:
                        near.append((squared, area, i))
                if not near:
                    continue
                owner = keypoints_of[min(near)[2]]
                out["keypoint_heatmap"][row, column, kind] = 1
                if active:
                    out["short_mask"][row, column, kind] = 1
                    out["short_offsets"][row, column, kind] = owner[kind] - here
                    for e, (source, destination) in enumerate(edges):
                        if source == kind:
                            out["middle_mask"][row, column, e] = 1
                            out["middle_offsets"][row, column, e] = owner[destination] - here
    for name in ("short_offsets", "middle_offsets", "long_offsets"):
        out[name] = out[name].reshape(h, w, -1)
    return out


def random_labels(seed, shape, num_instances, largest_id=300, max_side=30):
    rng = np.random.default_rng(seed)
    semantic = rng.integers(0, 4, (1, 1)).astype(np.int32) * np.ones(shape, np.int32)
    instance = np.zeros(shape, np.int32)
    crowd = np.zeros(shape, bool)
    for i in rng.choice(largest_id, num_instances, replace=False) + 1:
        y, x = rng.integers(-5, shape[0]), rng.integers(-5, shape[1])
        side_y, side_x = rng.integers(1, max_side, 2)
        region = (slice(max(y, 0), y + side_y), slice(max(x, 0), x + side_x))
        semantic[region], instance[region] = 5, i
        instance[region] *= rng.random(instance[region].shape) > 0.1  # holes
    y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
    semantic[y : y + 9, x : x + 9] = 255
    crowd[x : x + 9, y : y + 9] = True
    return semantic, instance, crowd


def check(semantic, instance, crowd, config):
    expected = oracle(semantic, instance, crowd, config)
    actual = make_targets(tf.constant(semantic), tf.constant(instance), tf.constant(crowd), config)
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert actual[name].dtype.as_numpy_dtype == value.dtype, name
        np.testing.assert_allclose(actual[name], value, rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.both_stacks
@pytest.mark.parametrize("graph", ["star", "rectangle"])
def test_targets_equal_the_oracle(graph):
    for seed in range(6):
        check(*random_labels(seed, (65, 49), num_instances=seed * 3), make_config(graph))


@hypothesis.settings(deadline=None, max_examples=15)
@hypothesis.given(
    seed=st.integers(0, 10**6),
    sides=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    num_instances=st.integers(0, 12),
    radius=st.sampled_from([3.0, 8.0, 9.5, 25.0]),
    graph=st.sampled_from(["star", "rectangle"]),
)
def test_targets_equal_the_oracle_on_arbitrary_scenes(seed, sides, num_instances, radius, graph):
    shape = (16 * sides[0] + 1, 16 * sides[1] + 1)
    check(*random_labels(seed, shape, num_instances), make_config(graph, radius))


def test_equally_near_keypoints_belong_to_the_smaller_instance():
    semantic, instance, crowd = (
        np.zeros((33, 33), np.int32),
        np.zeros((33, 33), np.int32),
        np.zeros((33, 33), bool),
    )
    instance[8:20, 4:9] = 1  # top-left corner (8, 4)
    instance[8:12, 12:17] = 2  # top-left corner (8, 12); (8, 8) lies between the two
    check(semantic, instance, crowd, make_config())
    targets = make_targets(*map(tf.constant, (semantic, instance, crowd)), make_config())
    np.testing.assert_array_equal(targets["short_offsets"][2, 2, :2], [0, 4])


def test_of_equally_near_keypoints_of_equal_instances_the_lower_id_owns_the_pixel():
    semantic, instance, crowd = (
        np.zeros((33, 33), np.int32),
        np.zeros((33, 33), np.int32),
        np.zeros((33, 33), bool),
    )
    instance[8:12, 4:8] = 9
    instance[8:12, 12:16] = 3
    targets = make_targets(*map(tf.constant, (semantic, instance, crowd)), make_config())
    np.testing.assert_array_equal(targets["short_offsets"][2, 2, :2], [0, 4])


@pytest.mark.both_stacks
def test_instance_ids_may_be_as_large_as_int32_allows():
    semantic, instance, crowd = random_labels(3, (49, 49), 8)
    instance[instance > 100] += 2**31 - 1 - instance.max()
    assert instance.max() == 2**31 - 1
    check(semantic, instance, crowd, make_config())


@pytest.mark.parametrize("semantic_value", [0, 255])
def test_a_scene_without_instances_or_labels_has_no_active_pixel(semantic_value):
    labels = (
        np.full((33, 33), semantic_value, np.int32),
        np.zeros((33, 33), np.int32),
        np.zeros((33, 33), bool),
    )
    check(*labels, make_config())
    targets = make_targets(*map(tf.constant, labels), make_config())
    assert not any(np.any(targets[name]) for name in targets if name.endswith("offsets"))


def test_a_crowd_is_no_instance_even_if_it_has_an_id():
    semantic, instance, crowd = (
        np.zeros((33, 33), np.int32),
        np.zeros((33, 33), np.int32),
        np.zeros((33, 33), bool),
    )
    instance[4:20, 4:20] = 1
    crowd[instance > 0] = True
    targets = make_targets(*map(tf.constant, (semantic, instance, crowd)), make_config())
    assert not np.any(targets["keypoint_heatmap"]) and not np.any(targets["long_mask"])
    assert np.all(targets["semantic_weight"] == 1)


def test_shapes_are_static_in_a_graph():
    config = make_config()
    signature = [
        tf.TensorSpec([65, 33], tf.int32),
        tf.TensorSpec([65, 33], tf.int32),
        tf.TensorSpec([65, 33], tf.bool),
    ]
    graph = tf.function(lambda *labels: make_targets(*labels, config), input_signature=signature)
    for name, value in graph.get_concrete_function().structured_outputs.items():
        assert value.shape.is_fully_defined(), name


def test_a_graph_takes_labels_of_any_size():
    config = make_config()
    signature = [tf.TensorSpec([None, None], dtype) for dtype in (tf.int32, tf.int32, tf.bool)]
    graph = tf.function(lambda *labels: make_targets(*labels, config), input_signature=signature)
    for shape in ((33, 65), (17, 17)):
        labels = random_labels(1, shape, 3)
        for name, value in oracle(*labels, config).items():
            np.testing.assert_allclose(graph(*map(tf.constant, labels))[name], value, atol=1e-5)
