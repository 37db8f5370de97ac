"""A switch that changes nothing is a bug: every value that shapes model or loss does so.

The fusion's are in fusion/test_fusion_switches.py.
"""

import importlib

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import build_model
from deeperlab_tf.config import default_config
from deeperlab_tf.heads import head_channels
from deeperlab_tf.keypoints import STAR
from deeperlab_tf.losses import total_loss
from input_pipeline import make_targets

MODEL = {
    "backbone": "xception_65",
    "kernel_size": 5,
    "width": 0.5,
    "output_stride": 8,
    "batch_norm_momentum": 0.5,
    "aspp": False,
    "aspp_channels": 4,
    "aspp_rates": (2, 3),
    "aspp_dropout": 0.5,
    "low_level_channels": 8,
    "decoder": "bilinear",
    "decoder_channels": 4,
    "decoder_kernel_size": 5,
    "deep_heads": False,
    "head_kernel_size": 5,
    "semantic_head_channels": 4,
    "instance_head_channels": 4,
    "keypoint_radius": 9.0,
    "keypoint_graph": "rectangle",
}
LOSS = {
    "hard_pixel_fraction": 0.5,
    "small_instance_area": 30,
    "small_instance_weight": 2.0,
    "class_weights": (1.0, 2.0, 1.0, 3.0),
    **{f"loss_weights.{name}": 0.5 for name in ("semantic", "heatmap", "short", "middle", "long")},
}


@pytest.fixture
def short_backbones(monkeypatch):
    """Backbones of one block per stage, quick to build; every switch has something to act on."""
    mobilenet_v2, xception = (
        importlib.import_module(f"deeperlab_tf.backbones.{name}")
        for name in ("mobilenet_v2", "xception")
    )
    stages = [(t, c, 1, s) for t, c, _, s in mobilenet_v2.STAGES]
    monkeypatch.setattr(mobilenet_v2, "STAGES", stages)
    blocks, low_level = xception.VARIANTS["xception_65"]
    monkeypatch.setitem(xception.VARIANTS, "xception_65", (blocks[:3] + blocks[-1:], low_level))


def test_no_switch_is_forgotten():
    config = default_config()
    assert set(config.model.keys()) == set(MODEL)
    assert set(config.train.loss_weights.keys()) == {
        name.split(".")[1] for name in LOSS if "." in name
    }


def description(config, dataset):
    """Everything a model is made of: layers, their values and connections."""
    return str(build_model(config.model, dataset).get_config())


def test_every_value_of_the_model_changes_it(tiny_config, toy_dataset, short_backbones):
    before = description(tiny_config, toy_dataset)
    assert description(tiny_config, toy_dataset) == before
    for name, value in MODEL.items():
        kept = tiny_config.model[name]
        assert kept != value, name
        tiny_config.model[name] = value
        assert description(tiny_config, toy_dataset) != before, name
        tiny_config.model[name] = kept


@pytest.fixture(scope="module")
def example():
    """(heads, label maps) of one made-up image with a small and a large thing."""
    semantic, instance = np.zeros((33, 33), np.int32), np.zeros((33, 33), np.int32)
    for number, (y, x, side) in enumerate(((2, 2, 5), (12, 10, 18)), start=1):
        semantic[y : y + side, x : x + side] = 1 + number
        instance[y : y + side, x : x + side] = number
    rng = np.random.default_rng(0)
    heads = {
        name: tf.constant(rng.normal(size=(1, 9, 9, channels)), tf.float32)
        for name, channels in head_channels(STAR, 4).items()
    }
    return heads, (tf.constant(semantic), tf.constant(instance), tf.zeros((33, 33), tf.bool))


def loss(example, **changes):
    config = default_config()
    config.data.keypoint_radius = 8.0
    config.train.update_from_flattened_dict(changes)
    heads, labels = example
    targets = {name: value[None] for name, value in make_targets(*labels, config).items()}
    return float(total_loss(heads, targets, config)[0][0])


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", LOSS)
def test_every_value_of_the_loss_changes_it(example, name):
    assert abs(loss(example, **{name: LOSS[name]}) - loss(example)) > 1e-4
