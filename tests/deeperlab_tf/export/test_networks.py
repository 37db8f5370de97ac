"""The network outside TensorFlow's graphs, ONNX Runtime and TensorFlow Lite: the same heads, the
same parses.
"""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import exported
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.onnx import export_onnx
from deeperlab_tf.export.tflite import export_tflite
from deeperlab_tf.prediction.folding import fold_network
from deeperlab_tf.prediction.predictor import Predictor

SIZES = [(65, 65), (40, 57)]


def assert_same(path, original, images, tolerance=1e-3):
    predictor = Predictor(str(path))
    for image in images:
        expected = original._heads(tf.constant(image[np.newaxis]))
        heads = predictor._heads(tf.constant(image[np.newaxis]))
        assert set(heads) == set(expected)
        for name in expected:
            np.testing.assert_allclose(heads[name], expected[name], rtol=tolerance, atol=tolerance)
    assert predictor.dataset == original.dataset
    for parse, expected in zip(predictor(images), original(images)):
        assert np.mean(parse.panoptic == expected.panoptic) >= 0.999


@pytest.mark.both_stacks
def test_folding_leaves_no_batch_norm_and_gives_the_same_heads(run, pictures):
    network, config, dataset = run
    folded = fold_network(network, config.model, dataset)
    assert not [weights.name for weights in folded.weights if "_bn" in weights.name]
    image = tf.constant(np.stack(pictures((65, 65))))
    expected, heads = network(image, training=False), folded(image, training=False)
    for name in expected:
        np.testing.assert_allclose(heads[name], expected[name], rtol=1e-4, atol=1e-3)


def test_half_precision_keeps_the_heads_in_float32(run, pictures):
    network, config, dataset = run
    folded = fold_network(network, config.model, dataset, "bfloat16")
    image = tf.constant(np.stack(pictures((65, 65))))
    expected, heads = network(image, training=False), folded(image, training=False)
    for name in expected:
        assert heads[name].dtype == tf.float32
        error = np.abs(heads[name] - expected[name]).mean() / np.abs(expected[name]).mean()
        assert 0 < error < 0.1
    assert folded.get_layer("decoder_1_pointwise").kernel.dtype == tf.bfloat16
    assert folded.get_layer("semantic_logits_conv").kernel.dtype == tf.float32
    with pytest.raises(UserError, match="precision 'int4' is not offered"):
        fold_network(network, config.model, dataset, "int4")


@pytest.mark.both_stacks
def test_onnx_gives_the_same_parses_for_any_size_and_batch(run, original, pictures, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    export_onnx(*run, str(tmp_path / "onnx"))
    operations = {
        node.op_type for node in onnx.load(str(tmp_path / "onnx" / "model.onnx")).graph.node
    }
    assert "Conv" in operations and "BatchNormalization" not in operations
    assert_same(tmp_path / "onnx", original, pictures(*SIZES, SIZES[-1]))
    with pytest.raises(UserError, match="exists already"):
        export_onnx(*run, str(tmp_path / "onnx"))


def test_int8_comes_close(run, original, pictures, tmp_path):
    for package in ("tf2onnx", "onnxruntime", "sympy"):
        pytest.importorskip(package)
    images = pictures(*[(65, 65)] * 4)
    export_onnx(*run, str(tmp_path / "int8"), calibration_images=images)
    heads, expected = (
        p._heads(tf.constant(np.stack(images)))
        for p in (Predictor(str(tmp_path / "int8")), original)
    )
    for name in expected:
        correlation = np.corrcoef(np.ravel(heads[name]), np.ravel(expected[name]))[0, 1]
        assert 0.95 < correlation < 1, name
    with pytest.raises(UserError, match="no images to calibrate"):
        export_onnx(*run, str(tmp_path / "none"), calibration_images=[])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("precision, tolerance", [("float32", 1e-3), ("float16", None)])
def test_tflite_runs_on_builtin_operations(run, original, pictures, tmp_path, precision, tolerance):
    export_tflite(*run, str(tmp_path / "tflite"), precision)
    if tolerance:
        assert_same(tmp_path / "tflite", original, pictures(SIZES[0], SIZES[0]), tolerance)
    else:
        image = tf.constant(np.stack(pictures((65, 65))))
        heads, expected = Predictor(str(tmp_path / "tflite"))._heads(image), original._heads(image)
        for name in expected:
            assert np.corrcoef(np.ravel(heads[name]), np.ravel(expected[name]))[0, 1] > 0.999


def test_a_broken_model_file_is_one_clear_sentence(tmp_path):
    pytest.importorskip("onnxruntime")
    for name in ("model.onnx", "model.tflite"):
        folder = tmp_path / name[-4:]
        folder.mkdir()
        (folder / name).write_bytes(b"no model")
        with pytest.raises(UserError, match=r"cannot load .*; export it again"):
            Predictor(str(folder))


def test_the_benchmark_times_every_form_in_turns(workdir, monkeypatch):
    monkeypatch.setattr(exported, "IMAGE_SIZE", (65, 65))
    monkeypatch.setattr(exported, "NUM_INSTANCES", 3)
    (row,) = exported._take_turns({"tensorflow": workdir}, batch_size=2, rounds=2)
    assert row["form"] == "tensorflow" and row["batch_size"] == 2
    for part in ("network", "fusion", "end_to_end"):
        assert 0 < row[f"{part}_p50"] <= row[f"{part}_p90"]
    assert row["end_to_end_p50"] > row["network_p50"] * 0.5 and row["share"] > 0
