"""An export gives what the network gives."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.saved_model import export_saved_model
from deeperlab_tf.inference import parse_images, prepare_images
from deeperlab_tf.model import build_model
from deeperlab_tf.predictor import Predictor


@pytest.fixture(scope="module")
def exported(small_sized_config, toy_dataset, tmp_path_factory):
    """(network, its export): random weights that give parses of many segments."""
    network = build_model(small_sized_config.model, toy_dataset)
    for name in ("semantic_logits", "keypoint_logits", "long_offsets"):
        kernel = network.get_layer(f"{name}_conv").kernel
        kernel.assign(tf.random.stateless_normal(kernel.shape, seed=[1, 2]))
    path = tmp_path_factory.mktemp("exports") / "export" / "1"
    export_saved_model(network, small_sized_config, toy_dataset, str(path))
    return network, path


@pytest.mark.fast
@pytest.mark.parametrize("size", [(65, 65), (40, 57), (100, 30)])
def test_serving_default_gives_the_evaluations_parse_for_any_size(exported, small_sized_config, toy_dataset, size):
    network, path = exported
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    expected = parse_images(network, tf.constant(images), small_sized_config, toy_dataset.thing_classes)
    result = tf.saved_model.load(str(path)).signatures["serving_default"](images=tf.constant(images))
    assert set(result) == set(expected)
    assert result["panoptic"].shape == (2, *size)
    for key in ("semantic", "instance", "panoptic"):
        assert np.mean(result[key].numpy() == expected[key].numpy()) >= 0.999


def test_heads_signature_gives_the_raw_maps(exported, small_sized_config):
    network, path = exported
    images = tf.constant(np.random.default_rng(0).integers(0, 256, (1, 40, 57, 3)).astype(np.uint8))
    result = tf.saved_model.load(str(path)).signatures["heads"](images=images)
    expected = network(prepare_images(images, small_sized_config), training=False)
    for name in expected:
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-3, atol=1e-3)


def test_predictor_reads_the_export_and_its_classes(exported, toy_dataset):
    predictor = Predictor(str(exported[1].parent))
    assert predictor.dataset == toy_dataset
    image = np.random.default_rng(0).integers(0, 256, (40, 57, 3)).astype(np.uint8)
    assert predictor(image).semantic.shape == (40, 57)


def test_config_goes_along_as_an_asset(exported, small_sized_config):
    assert (exported[1] / "assets" / "config.json").read_text() == config_to_json(small_sized_config)


def test_an_existing_export_is_not_replaced(exported, small_sized_config, toy_dataset):
    network, path = exported
    with pytest.raises(UserError, match="exists already"):
        export_saved_model(network, small_sized_config, toy_dataset, str(path))


def test_only_core_operations_are_exported(exported):
    loaded = tf.saved_model.load(str(exported[1]))
    graph = loaded.signatures["serving_default"].graph.as_graph_def()
    operations = {node.op for node in graph.node} | {n.op for f in graph.library.function for n in f.node_def}
    assert not {op for op in operations if "PyFunc" in op or op.startswith("Addons>")}
