"""The config: one place for every number, and errors that name the key."""

import json
from pathlib import Path

import pytest
from absl import logging

from deeperlab_tf.config import check_config, default_config
from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.keypoints import GRAPHS, keypoint_graph


@pytest.mark.both_stacks
def test_radius_and_graph_are_the_same_everywhere():
    config = default_config()
    config.model.keypoint_radius = 8.0
    config.fusion.keypoint_graph = "rectangle"
    assert config.fusion.keypoint_radius == config.data.keypoint_radius == 8.0
    assert config.model.keypoint_graph == config.data.keypoint_graph == "rectangle"


def test_unknown_key_is_refused():
    with pytest.raises(AttributeError, match="learning_rat"):
        default_config().train.learning_rat = 1.0


@pytest.mark.both_stacks
def test_json_gives_the_config_back():
    config = default_config()
    config.model.keypoint_radius = 6.5
    config.data.crop_size = (129, 257)
    config.data.shapes.num_val = 7
    assert config_from_json(config_to_json(config)) == config


@pytest.mark.parametrize("text", ['{"model": {"depth": 3}}', "{", '{"train": {"steps": "many"}}'])
def test_broken_json_names_the_file(text):
    with pytest.raises(UserError, match=r"run/config\.json does not fit"):
        config_from_json(text, "run/config.json")


# Written by version 0.1, whose fusion had no groups.
CONFIG_0_1 = Path(__file__).with_name("data") / "config_0_1.json"


@pytest.mark.both_stacks
def test_a_config_of_the_version_before_is_read_and_its_moved_keys_translated():
    config = config_from_json(CONFIG_0_1.read_text(), "config_0_1.json")
    expected = default_config()
    expected.model.keypoint_radius = 8.0
    expected.data.crop_size = (129, 257)
    expected.data.shapes.num_val = 7
    expected.train.steps = 1234
    expected.train.initial_checkpoint = "imagenet"
    expected.train.initial_part = "network"
    expected.train.embed_kernels = True
    expected.fusion.peak_threshold = 0.2
    expected.fusion.refinement.keypoint_read = "point"
    expected.fusion.refinement.middle_steps = 2
    expected.fusion.refinement.long_range = False
    expected.fusion.voting.long_weight = 0.25
    expected.fusion.detection.peak_window_cells = 3
    expected.fusion.detection.radius_pixels = 5.0
    expected.fusion.detection.return_reach_sizes = 0.25
    expected.fusion.assignment.claim_reach_sizes = 0.75
    assert config == expected
    # What it says now, it says again.
    assert config_from_json(config_to_json(config)) == config


def test_of_keys_that_mean_nothing_any_more_only_set_ones_are_mentioned(monkeypatch):
    warned = []
    monkeypatch.setattr(logging, "warning", lambda message, *values: warned.append(values))
    values = json.loads(CONFIG_0_1.read_text())
    config_from_json(json.dumps(values), "config_0_1.json")
    assert not warned
    values["fusion"]["assign_by"] = "scaled"
    config_from_json(json.dumps(values), "config_0_1.json")
    assert warned == [("config_0_1.json", "fusion.assign_by")]


@pytest.mark.parametrize(
    "key, value",
    [
        ("data.crop_size", (720, 721)),
        ("data.crop_size", (721,)),
        ("data.min_scale", 3.0),
        ("data.brightness", 1.5),
        ("data.annotations.overlaps", "largest"),
        ("eval.image_size", (1441, 1000)),
        ("eval.image_size", (1, 17)),
        ("train.steps", 0),
        ("train.batch_size", 0),
        ("train.hard_pixel_fraction", 0.0),
        ("train.hard_pixel_steps", -1),
        ("train.learning_rate", float("nan")),
        ("train.weight_decay", float("inf")),
        ("train.class_weights", (1.0, -1.0)),
        ("model.keypoint_radius", 0.0),
        ("model.aspp_rates", (6, 0)),
        ("fusion.peak_threshold", 7.0),
        ("fusion.nms_iou", -0.1),
        ("fusion.max_instances", 10**6),
        ("fusion.voting.long_every", 0),
        ("fusion.detection.rescore", "oks"),
        ("fusion.refinement.keypoint_read", "vooters"),
    ],
)
def test_values_nothing_can_work_with_are_named(key, value):
    config = default_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=rf"config\.{key} (is|has)"):
        check_config(config)


# What the parts that use them check, and what may be anything.
WITHOUT_RANGE = {
    *("model.kernel_size", "model.width", "model.output_stride"),
    *("fusion.label_divisor", "data.crop_size", "eval.image_size"),
    *("data.seed", "train.seed"),
}


def test_every_number_has_a_range():
    def numbers(section, prefix):
        for key, value in section.items():
            if hasattr(value, "items"):
                yield from numbers(value, f"{prefix}{key}.")
            elif isinstance(value, (int, float, tuple)) and not isinstance(value, bool):
                yield f"{prefix}{key}", type(value)

    found = dict(numbers(default_config(), ""))
    # The keypoint radius is one value in three places; what scenes are made of, they check.
    one_of_three = {"fusion.keypoint_radius", "data.keypoint_radius"}
    found = {key: kind for key, kind in found.items() if key not in WITHOUT_RANGE | one_of_three}
    assert len(found) > 60
    for key, kind in found.items():
        if key.startswith("data.shapes."):
            continue
        config = default_config()
        config.update_from_flattened_dict({key: (-1,) if kind is tuple else kind(-1)})
        with pytest.raises(UserError, match=key):
            check_config(config)


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", sorted(GRAPHS))
def test_flipping_twice_changes_nothing(name):
    graph = keypoint_graph(name)
    for permutation in (graph.flip_keypoints, graph.flip_edges):
        assert [permutation[i] for i in permutation] == list(range(len(permutation)))


def test_star_edges_come_in_the_documented_order():
    assert GRAPHS["star"].edges == ((4, 0), (4, 1), (4, 2), (4, 3), (0, 4), (1, 4), (2, 4), (3, 4))


def test_rectangle_joins_neighbouring_corners_both_ways():
    edges = set(GRAPHS["rectangle"].edges)
    assert edges == {(b, a) for a, b in edges} and len(edges) == 8
    assert not edges & {(0, 3), (3, 0), (1, 2), (2, 1)}
