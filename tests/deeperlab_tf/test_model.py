"""The network's shapes, variants and serialisation."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import build_model
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.heads import head_channels
from deeperlab_tf.keypoints import STAR


def image_batch(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)


@pytest.mark.both_stacks
@pytest.mark.parametrize("size", [(1, 33, 33), (2, 49, 81)])
def test_heads_have_stride_4_and_the_papers_channels(tiny_config, toy_dataset, size):
    heads = build_model(tiny_config.model, toy_dataset)(image_batch(*size))
    batch, height, width = size
    grid = (batch, (height - 1) // 4 + 1, (width - 1) // 4 + 1)
    channels = {name: head.shape[-1] for name, head in heads.items()}
    assert channels == head_channels(STAR, 4)
    assert all(head.shape[:3] == grid and head.dtype == tf.float32 for head in heads.values())


@pytest.mark.parametrize(
    "variant",
    [
        {"decoder": "bilinear"},
        {"decoder": "none"},
        {"deep_heads": False},
        {"aspp": False},
        {"output_stride": 8},
    ],
)
def test_every_variant_ends_on_the_same_grid(tiny_config, toy_dataset, variant):
    tiny_config.model.update(variant)
    assert build_model(tiny_config.model, toy_dataset)(image_batch(1, 33, 49))[
        "long_offsets"
    ].shape == (1, 9, 13, 10)


def test_rectangle_graph_has_no_center_keypoint(tiny_config, toy_dataset):
    tiny_config.model.keypoint_graph = "rectangle"
    heads = build_model(tiny_config.model, toy_dataset)(image_batch(1, 33, 33))
    assert heads["keypoint_logits"].shape[-1] == 4
    assert heads["middle_offsets"].shape[-1] == 16


def test_light_decoder_is_smaller_in_every_way_the_paper_says(toy_dataset):
    full = build_model("wider_mobilenet_v2", toy_dataset)
    light = build_model("light_wider_mobilenet_v2", toy_dataset)
    assert light.get_layer("decoder_1_depthwise").kernel_size == (3, 3)
    assert light.get_layer("decoder_1_pointwise").weights[0].shape == (1, 1, 768, 2048)
    assert light.count_params() < full.count_params() / 2


def test_offset_heads_answer_in_pixels(tiny_config, toy_dataset):
    network = build_model(tiny_config.model, toy_dataset)
    scale = network.get_layer("long_offsets")
    assert scale.factor == tiny_config.model.keypoint_radius


@pytest.mark.both_stacks
def test_saves_and_loads_in_safe_mode_with_equal_outputs(tiny_config, toy_dataset, tmp_path):
    network = build_model(tiny_config.model, toy_dataset)
    network.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    images = image_batch(1, 33, 49)
    expected, result = network(images), loaded(images)
    for name in expected:
        np.testing.assert_array_equal(result[name], expected[name])


def test_uint8_and_float_images_give_the_same(tiny_config, toy_dataset):
    network = build_model(tiny_config.model, toy_dataset)
    images = image_batch(1, 33, 33)
    np.testing.assert_allclose(
        network(images)["semantic_logits"],
        network(images.astype(np.float32))["semantic_logits"],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "key, value",
    [("backbone", "resnet"), ("kernel_size", 4), ("decoder", "fpn"), ("keypoint_graph", "line")],
)
def test_unknown_choices_are_named(tiny_config, toy_dataset, key, value):
    tiny_config.model[key] = value
    with pytest.raises(UserError, match=f"config.model.{key} is .*{value}"):
        build_model(tiny_config.model, toy_dataset)
