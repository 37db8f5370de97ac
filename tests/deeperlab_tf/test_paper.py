"""The paper's networks by name."""

import pytest

from deeperlab_tf import build_model, paper
from deeperlab_tf.backbones.complexity import count_parameters
from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError


def test_the_papers_networks_come_first_and_each_has_one_line():
    names = list(paper.networks())
    assert names[:3] == ["light_wider_mobilenet_v2", "wider_mobilenet_v2", "xception_71"]
    assert all(text and "\n" not in text for text in paper.networks().values())


def test_every_network_differs_from_every_other():
    configs = [paper.network_config(name) for name in paper.networks()]
    assert len({config.to_json() for config in configs}) == len(configs)
    assert paper.network_config("wider_mobilenet_v2") == default_config().model


def test_the_papers_settings_have_the_networks_of_the_same_names():
    assert paper.light(paper.coco()).model == paper.network_config("light_wider_mobilenet_v2")
    assert paper.xception_71(paper.voc()).model == paper.network_config("xception_71")
    assert paper.ablation().model == paper.network_config("wider_mobilenet_v2")


def test_a_network_is_built_by_its_name(toy_dataset):
    named = build_model("light_mobilenet_v2", toy_dataset)
    config = paper.network_config("light_mobilenet_v2")
    assert config.kernel_size == 3 and config.decoder_channels == 128
    assert count_parameters(named) == count_parameters(build_model(config, toy_dataset))


def test_an_unknown_name_lists_the_known_ones(toy_dataset):
    with pytest.raises(
        UserError, match=r"no network 'resnet'; known are light_wider_mobilenet_v2, "
    ):
        build_model("resnet", toy_dataset)
