"""An export gives what the evaluation and the Predictor give, for every signature."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.saved_model import ExportOptions, ServedModel, export_saved_model
from deeperlab_tf.prediction.inference import parse_images
from deeperlab_tf.prediction.predictor import Predictor

LABELS = ("semantic", "instance", "panoptic")


@pytest.fixture(scope="module")
def parse(run):
    """The evaluation's own path, as a graph like the exported one: image -> parse, NumPy."""
    network, config, dataset = run

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def graph(images):
        return parse_images(network, images, config, dataset.thing_classes)

    def of_image(image):
        outputs = graph(tf.constant(image[np.newaxis]))
        return {name: values[0].numpy() for name, values in outputs.items()}

    return of_image


def png(image):
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


@pytest.mark.both_stacks
@pytest.mark.parametrize("size", [(65, 65), (40, 57), (100, 30), (1, 1)])
def test_serving_default_gives_the_evaluations_parse_for_any_size(
    signatures, parse, pictures, size, assert_same_labels
):
    (image,) = pictures(size)
    outputs = signatures["serving_default"](images=tf.constant(image[np.newaxis]))
    result = {name: values[0] for name, values in outputs.items()}
    expected = parse(image)
    assert set(result) == set(expected)
    assert result["panoptic"].shape == size
    for key in LABELS:
        assert_same_labels(result[key], expected[key])
    for key in ("num_instances", "instance_class"):
        np.testing.assert_array_equal(result[key], expected[key], err_msg=key)
    for key in ("instance_score", "instance_box", "instance_keypoints"):
        np.testing.assert_allclose(result[key], expected[key], rtol=1e-5, atol=1e-5, err_msg=key)


@pytest.mark.both_stacks
def test_image_bytes_gives_each_image_its_own_parse_at_its_own_size(
    signatures, parse, pictures, assert_same_labels
):
    sizes = [(40, 57), (100, 30), (1, 1)]
    images = pictures(*sizes)
    result = signatures["image_bytes"](image_bytes=tf.constant([png(image) for image in images]))
    np.testing.assert_array_equal(result["image_size"], sizes)
    assert result["panoptic"].shape == (len(sizes), *np.max(sizes, axis=0))
    for index, (image, (height, width)) in enumerate(zip(images, sizes)):
        expected = parse(image)
        for key in LABELS:
            maps = result[key][index].numpy()
            assert_same_labels(maps[:height, :width], expected[key])
            outside = dict(semantic=255, instance=0, panoptic=255_000)[key]
            assert (maps[height:] == outside).all() and (maps[:, width:] == outside).all()
        # Of a single pixel, at most.
        assert abs(int(result["num_instances"][index]) - expected["num_instances"]) <= 1


def test_image_bytes_with_a_fixed_size_runs_one_batch(run, pictures, assert_same_labels):
    network, config, dataset = run
    config = config_from_json(config_to_json(config))
    config.eval.pad_to_size = True
    any_image = tf.TensorSpec([1, None, None, 3], tf.uint8)
    graph = tf.function(
        lambda images: parse_images(network, images, config, dataset.thing_classes),
        input_signature=[any_image],
    )
    images = pictures((40, 57), (100, 30))
    module = ServedModel(network, config, dataset)
    result = module.parse_bytes(tf.constant([png(image) for image in images]))
    for index, image in enumerate(images):
        expected = graph(tf.constant(image[np.newaxis]))
        height, width = image.shape[:2]
        inside = {name: result[name][index, :height, :width] for name in LABELS}
        assert_same_labels(inside["semantic"], expected["semantic"][0])
        # In noise, rounding may also decide whether there is one instance more.
        assert abs(int(result["num_instances"][index] - expected["num_instances"][0])) <= 1
        assert np.mean(inside["panoptic"] == expected["panoptic"][0]) >= 0.9


def test_heads_signature_gives_the_raw_maps(signatures, original, pictures):
    images = tf.constant(np.stack(pictures((40, 57))))
    expected = original._heads(images)
    result = signatures["heads"](images=images)
    assert set(result) == set(expected)
    for name in expected:
        # Of up to 20; another graph adds in another order.
        np.testing.assert_allclose(result[name], expected[name], rtol=1e-4, atol=1e-3)


def test_predictor_reads_the_export_and_its_classes(
    exported, original, pictures, assert_same_labels
):
    predictor = Predictor(str(exported.parent))
    assert predictor.dataset == original.dataset
    (image,) = pictures((40, 57))
    assert_same_labels(predictor(image).panoptic, original(image).panoptic)


def test_config_and_classes_go_along_as_assets(exported, run):
    _, config, dataset = run
    assert (exported / "assets" / "config.json").read_text() == config_to_json(config)
    assert (exported / "assets" / "dataset.json").read_text() == dataset.to_json()


def test_an_existing_export_is_not_replaced(exported, run):
    with pytest.raises(UserError, match="exists already"):
        export_saved_model(*run, str(exported))


def test_only_core_operations_are_exported(exported):
    loaded = tf.saved_model.load(str(exported))
    for signature in loaded.signatures.values():
        graph = signature.graph.as_graph_def()
        operations = {node.op for node in graph.node} | {
            n.op for f in graph.library.function for n in f.node_def
        }
        assert not {op for op in operations if "PyFunc" in op or op.startswith("Addons>")}


@pytest.mark.slow
def test_the_optimised_export_has_no_batch_norm_and_gives_the_same(
    run, original, pictures, tmp_path
):
    export_saved_model(*run, str(tmp_path / "model"), ExportOptions(optimise=True))
    module = tf.saved_model.load(str(tmp_path / "model"))
    library = module.signatures["serving_default"].graph.as_graph_def().library.function
    operations = {node.op for function in library for node in function.node_def}
    assert "Conv2D" in operations and not operations & {"FusedBatchNormV3", "ReadVariableOp"}
    images = tf.constant(np.stack(pictures((40, 57))))
    heads, expected = module.signatures["heads"](images=images), original._heads(images)
    for name in expected:
        np.testing.assert_allclose(heads[name], expected[name], rtol=1e-4, atol=1e-3)
    parse = module.signatures["serving_default"](images=images)
    assert np.mean(parse["panoptic"][0] == original(images[0].numpy()).panoptic) >= 0.999
