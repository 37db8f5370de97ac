"""The config: one place for every number, and errors that name the key."""

import pytest

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


@pytest.mark.parametrize(
    "section, key, value",
    [
        ("data", "crop_size", (720, 721)),
        ("data", "crop_size", (721,)),
        ("eval", "image_size", (1441, 1000)),
        ("eval", "image_size", (1, 17)),
        ("train", "steps", 0),
        ("train", "batch_size", 0),
        ("train", "hard_pixel_fraction", 0.0),
        ("data", "min_scale", 3.0),
        ("model", "keypoint_radius", 0.0),
    ],
)
def test_values_nothing_can_work_with_are_named(section, key, value):
    config = default_config()
    config[section][key] = value
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
