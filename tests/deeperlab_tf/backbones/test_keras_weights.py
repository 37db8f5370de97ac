"""ImageNet weights of Keras Applications: filled by name, a backbone computes what Keras' own
MobileNetV2 computes, in every width and under both namings.

There is no internet in tests: files are saved from Keras' networks with random weights, and the
published one comes from a server on this machine.
"""

import functools
import http.server
import os
import re
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import build_model
from deeperlab_tf.backbones import build_backbone, keras_weights
from deeperlab_tf.backbones.initial_checkpoint import find_backbone, load_initial_checkpoint
from deeperlab_tf.backbones.keras_weights import load_keras_weights
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError

# With every parity of the sides that meet a stride: the rule of padding is the same.
SIZES = {0.35: (97, 65), 0.5: (96, 64), 0.75: (70, 99), 1.0: (77, 64), 1.3: (33, 46), 1.4: (65, 81)}
LAYERS = {"low_level": "block_2_depthwise_relu", "features": "block_16_project_BN"}


def keras_network(width=0.35, include_top=False, size=(97, 65)):
    """Keras' MobileNetV2 with random weights and statistics."""
    network = keras.applications.MobileNetV2(
        (*size, 3), alpha=width, include_top=include_top, weights=None
    )
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            low = np.array([0.8, -0.2, -0.2, 0.6])[:, np.newaxis]
            high = np.array([1.2, 0.2, 0.2, 1.4])[:, np.newaxis]
            layer.set_weights(rng.uniform(low, high, (4, layer.gamma.shape[0])))
    return network


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(file, Keras' network) of the smallest width, without its classifier."""
    network = keras_network()
    path = str(tmp_path_factory.mktemp("keras") / "weights.h5")
    network.save_weights(path)
    return path, network


def assert_features_of(network, backbone):
    inputs = np.random.default_rng(1).uniform(-1, 1, (1, *network.input_shape[1:])).astype("f4")
    outputs = [network.get_layer(name).output for name in LAYERS.values()]
    expected = keras.Model(network.inputs, outputs)(inputs)
    features = backbone(inputs)
    for name, one in zip(LAYERS, expected):
        scale = np.abs(one).max()
        assert scale > 0.01
        np.testing.assert_allclose(features[name] / scale, one / scale, atol=1e-5)


def renamed(source, path):
    """The same weights under the names of the published files."""

    def published(layer):
        layer = layer.replace("expanded_conv", "block_0")
        match = re.fullmatch(r"block_(\d+)_([a-z]+)(_BN)?", layer)
        if not match:
            return layer
        index, part, norm = match.groups()
        return f"bn{index}_conv_{index}_bn_{part}" if norm else f"mobl{index}_conv_{index}_{part}"

    with h5py.File(source, "r") as old, h5py.File(path, "w") as new:

        def copy(name, node):
            if isinstance(node, h5py.Dataset):
                new[re.sub(r"[^/]+", lambda part: published(part[0]), name)] = node[()]

        old.visititems(copy)
    return path


# === The same features ===


@pytest.mark.parametrize(
    "width",
    [
        pytest.param(0.35, marks=pytest.mark.both_stacks),
        *(pytest.param(width, marks=pytest.mark.slow) for width in (0.5, 0.75, 1.0, 1.4)),
        1.3,
    ],
)
def test_features_are_keras_own_in_every_width_and_at_any_size(width, tmp_path):
    network = keras_network(width, size=SIZES[width])
    path = str(tmp_path / "weights.h5")
    network.save_weights(path)
    backbone = build_backbone("mobilenet_v2", output_stride=32, width=width)
    load_keras_weights(backbone, path)
    assert_features_of(network, backbone)


@pytest.mark.parametrize("kind", ["with classifier", "whole model", "published names"])
def test_files_of_other_kinds_hold_the_same(saved, tmp_path, kind):
    path, network = str(tmp_path / "other.h5"), saved[1]
    if kind == "with classifier":
        network = keras_network(include_top=True)
        network.save_weights(path)
    elif kind == "whole model":
        inner = keras.Input((97, 65, 3))
        keras.Sequential([inner, network, keras.layers.Flatten()]).save(path)
    else:
        renamed(saved[0], path)
    backbone = build_backbone("mobilenet_v2", output_stride=32, width=0.35)
    load_keras_weights(backbone, path)
    assert_features_of(network, backbone)


def test_a_network_for_any_size_pads_as_for_even_sides(saved):
    network = keras.applications.MobileNetV2(
        (None, None, 3), alpha=0.35, include_top=False, weights=None
    )
    network.set_weights(saved[1].get_weights())
    backbone = build_backbone("mobilenet_v2", output_stride=32, width=0.35)
    load_keras_weights(backbone, saved[0])
    inputs = np.random.default_rng(1).uniform(-1, 1, (1, 96, 64, 3)).astype("f4")
    expected = keras.Model(network.inputs, network.get_layer(LAYERS["features"]).output)(inputs)
    np.testing.assert_allclose(backbone(inputs)["features"], expected, atol=1e-5)


def test_kernels_are_embedded_on_request(tiny_config, toy_dataset, saved):
    tiny_config.model.update(width=0.35, kernel_size=5)
    tiny_config.train.initial_checkpoint = saved[0]
    network = build_model(tiny_config.model, toy_dataset)
    with pytest.raises(UserError, match=r"kernels of 3 where the model has 5 .*embed_kernels"):
        load_initial_checkpoint(network, tiny_config.train)
    tiny_config.train.embed_kernels = True
    load_initial_checkpoint(network, tiny_config.train)
    kernel = find_backbone(network).get_layer("stem").kernel.numpy()
    np.testing.assert_array_equal(kernel[1:4, 1:4], saved[1].get_layer("Conv1").kernel)
    assert not kernel[[0, 4]].any() and not kernel[:, [0, 4]].any()


# === The published file ===


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without a cache."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def published(saved, tmp_path, monkeypatch, home):
    """(name of the published file, list of what was asked of its server)."""
    folder = tmp_path / "server"
    folder.mkdir()
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    renamed(saved[0], folder / name)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(keras_weights, "_URL", f"http://127.0.0.1:{server.server_port}/")
    yield name, asked
    server.shutdown()
    server.server_close()


@pytest.mark.both_stacks
def test_imagenet_is_fetched_once_into_keras_cache(
    tiny_config, toy_dataset, saved, published, home
):
    name, asked = published
    tiny_config.model.width = 0.35
    tiny_config.train.initial_checkpoint = "imagenet"
    network = build_model(tiny_config.model, toy_dataset)
    stem = find_backbone(network).get_layer("stem").kernel
    for _ in range(2):
        stem.assign(tf.zeros_like(stem))
        load_initial_checkpoint(network, tiny_config.train)
        np.testing.assert_array_equal(stem, saved[1].get_layer("Conv1").kernel)
    assert asked == [f"/{name}"]
    assert os.listdir(home / ".keras" / "models") == [name]


def test_without_internet_it_is_said_which_file_to_put_where(monkeypatch, home):
    monkeypatch.setattr(keras_weights, "_URL", "http://127.0.0.1:9/")
    file = home / ".keras/models/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.5_224_no_top.h5"
    refused(
        build_backbone("mobilenet_v2", width=0.5),
        "imagenet",
        f"cannot fetch http://127.0.0.1:9/mobilenet.*put that file at {file}, or anywhere and give",
    )
    assert os.listdir(file.parent) == []


def test_widths_that_are_not_published_are_refused(home):
    words = r"no ImageNet weights for this config\.model\.width; published are 0\.35, 0\.5, 0\.75"
    refused(build_backbone("mobilenet_v2", width=0.1), "imagenet", words)


# === Bad input ===


def refused(backbone, path, match):
    before = [variable.numpy() for variable in backbone.variables]
    with pytest.raises(UserError, match=match) as error:
        load_keras_weights(backbone, str(path))
    assert "\n" not in str(error.value)
    for variable, value in zip(backbone.variables, before):
        np.testing.assert_array_equal(variable, value)


@pytest.fixture(scope="module")
def small_backbone():
    """One of the files' width; who is refused leaves it as it was."""
    return build_backbone("mobilenet_v2", width=0.35)


def test_another_width_is_refused(saved):
    words = r"has Conv1/kernel in shape \(3, 3, 3, 16\) where .* 32\).*use the width"
    refused(build_backbone("mobilenet_v2", width=1.0), saved[0], words)


def test_another_network_is_refused(small_backbone, tmp_path):
    path = str(tmp_path / "other.h5")
    keras.Sequential([keras.layers.Dense(2, input_shape=(3,), name="dense")]).save_weights(path)
    words = (
        r"not of this architecture: \d+ of \d+ variables are missing.*it holds variables of dense"
    )
    refused(small_backbone, path, words)


def test_another_backbone_is_refused(saved):
    xception = keras.Sequential([keras.layers.Dense(1, input_shape=(1,))], name="xception_65")
    refused(xception, saved[0], "config.model.backbone is 'xception_65'")


@pytest.mark.both_stacks
def test_a_missing_layer_is_named(small_backbone, saved, tmp_path):
    path = renamed(saved[0], str(tmp_path / "weights.h5"))
    with h5py.File(path, "a") as file:
        del file["bn7_conv_7_bn_expand"]
    refused(small_backbone, path, r"4 of \d+ variables are missing, block_7_expand_BN/gamma")


@pytest.mark.both_stacks
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_cut_off_file_is_refused(small_backbone, saved, tmp_path, keep):
    content = Path(saved[0]).read_bytes()
    path = tmp_path / "weights.h5"
    path.write_bytes(content[: int(keep * len(content))])
    refused(small_backbone, path, "weights.h5 is not a whole HDF5 file .*fetch it again")


def test_a_damaged_file_is_refused(small_backbone, saved, tmp_path):
    content = bytearray(Path(saved[0]).read_bytes())
    content[96:4096] = b"\x5a" * 4000
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    refused(small_backbone, path, "weights.h5 is not a whole HDF5 file")


def test_a_file_of_something_else_is_refused(small_backbone, tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"PK\x03\x04 no HDF5" * 100)
    refused(small_backbone, path, "not a whole HDF5 file")
    refused(small_backbone, tmp_path / "missing.h5", "there is no file .*missing.h5")
    path.unlink()
    path.mkdir()
    refused(small_backbone, path, "not a whole HDF5 file")


def test_values_kept_in_other_files_are_refused(small_backbone, saved, tmp_path):
    path = renamed(saved[0], str(tmp_path / "weights.h5"))
    outside = tmp_path / "outside"
    outside.write_bytes(bytes(4 * 16))
    with h5py.File(path, "a") as file:
        del file["bn_Conv1/bn_Conv1/gamma:0"]
        group = file["bn_Conv1/bn_Conv1"]
        group.create_dataset("gamma:0", (16,), "f4", external=[(str(outside), 0, 64)])
    refused(small_backbone, path, "gamma:0 is kept in other files")
    with h5py.File(path, "a") as file:
        del file["bn_Conv1/bn_Conv1/gamma:0"]
        file["bn_Conv1/bn_Conv1/gamma:0"] = h5py.ExternalLink(saved[0], "bn_Conv1/bn_Conv1/gamma:0")
    refused(small_backbone, path, r"1 of \d+ variables are missing, bn_Conv1/gamma")


def test_a_keras_file_is_no_whole_network(tiny_config, toy_dataset, saved):
    tiny_config.train.update(initial_checkpoint=saved[0], initial_part="all_but_classes")
    with pytest.raises(UserError, match="holds a backbone only"):
        load_initial_checkpoint(build_model(tiny_config.model, toy_dataset), tiny_config.train)
