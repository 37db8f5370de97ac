"""Published checkpoints: filled by name, a backbone computes what TF1 slim's network computed.

The slim networks are written out here anew, in plain TensorFlow and slim's own conventions, without
Keras: they ask for weights by their published names, which makes the checkpoint, and give the
features to compare with.
"""

import os

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.backbones import build_backbone, load_slim_checkpoint
from deeperlab_tf.errors import UserError

EPSILON = 1e-3


class Slim:
    """Ops of TF1 slim that invent their weights and remember them by name."""

    def __init__(self, seed=0):
        self.weights = {}
        self._rng = np.random.default_rng(seed)

    def _weight(self, name, shape, fan_in):
        self.weights[name] = self._rng.normal(0, np.sqrt(1.3 / fan_in), shape).astype(np.float32)
        return self.weights[name]

    def batch_norm(self, x, scope):
        channels, uniform = x.shape[-1], self._rng.uniform
        values = {
            "gamma": uniform(0.8, 1.2, channels),
            "beta": uniform(-0.2, 0.2, channels),
            "moving_mean": uniform(-0.2, 0.2, channels),
            "moving_variance": uniform(0.6, 1.4, channels),
        }
        values = {name: value.astype(np.float32) for name, value in values.items()}
        self.weights.update({f"{scope}/BatchNorm/{name}": value for name, value in values.items()})
        scale = values["gamma"] / np.sqrt(values["moving_variance"] + np.float32(EPSILON))
        return (x - values["moving_mean"]) * scale + values["beta"]

    def conv2d(self, x, channels, k, stride, scope, padding="SAME", activation=tf.nn.relu):
        kernel = self._weight(
            f"{scope}/weights", [k, k, x.shape[-1], channels], k * k * x.shape[-1]
        )
        return activation(self.batch_norm(tf.nn.conv2d(x, kernel, stride, padding), scope))

    def depthwise(self, x, k, stride, rate, scope, padding="SAME", activation=tf.nn.relu):
        kernel = self._weight(f"{scope}/depthwise_weights", [k, k, x.shape[-1], 1], k * k)
        strides = [1, stride, stride, 1]
        x = tf.nn.depthwise_conv2d(x, kernel, strides, padding, dilations=[rate, rate])
        return activation(self.batch_norm(x, scope))


def fixed_padding(x, k, rate=1):
    total = k + (k - 1) * (rate - 1) - 1
    begin = total // 2
    return tf.pad(x, [[0, 0], [begin, total - begin], [begin, total - begin], [0, 0]])


def identity(x):
    return x


def slim_xception(slim, x, name, output_stride):
    """{"low_level", "features"} of `xception_71` or `xception_65`, after DeepLab's xception.py."""
    blocks = {
        "xception_71": [
            ("entry_flow/block1", 128, 2),
            ("entry_flow/block2", 256, 1),
            ("entry_flow/block3", 256, 2),
            ("entry_flow/block4", 728, 1),
            ("entry_flow/block5", 728, 2),
        ],
        "xception_65": [
            ("entry_flow/block1", 128, 2),
            ("entry_flow/block2", 256, 2),
            ("entry_flow/block3", 728, 2),
        ],
    }[name]
    units = [(f"{scope}/unit_1", [c] * 3, "conv", s, False) for scope, c, s in blocks]
    units += [(f"middle_flow/block1/unit_{i + 1}", [728] * 3, "sum", 1, False) for i in range(16)]
    units += [("exit_flow/block1/unit_1", [728, 1024, 1024], "conv", 2, False)]
    units += [("exit_flow/block2/unit_1", [1536, 1536, 2048], "none", 1, True)]
    low_level_unit = {
        "xception_71": "entry_flow/block3/unit_1",
        "xception_65": "entry_flow/block2/unit_1",
    }[name]

    x = slim.conv2d(fixed_padding(x, 3), 32, 3, 2, f"{name}/entry_flow/conv1_1", "VALID")
    x = slim.conv2d(x, 64, 3, 1, f"{name}/entry_flow/conv1_2")
    current_stride, rate = 2, 1
    for scope, depths, skip, stride, relu_inside in units:
        if current_stride == output_stride:
            unit_stride, unit_rate, rate = 1, rate, rate * stride
        else:
            unit_stride, unit_rate, current_stride = stride, 1, current_stride * stride
        prefix = f"{name}/{scope}/xception_module"
        residual = x
        for i, depth in enumerate(depths):
            activation = tf.nn.relu if relu_inside else identity
            residual = residual if relu_inside else tf.nn.relu(residual)
            conv_stride, conv, padding = (
                unit_stride if i == 2 else 1,
                f"{prefix}/separable_conv{i + 1}",
                "SAME",
            )
            if conv_stride > 1:
                residual, padding = fixed_padding(residual, 3, unit_rate), "VALID"
            residual = slim.depthwise(
                residual, 3, conv_stride, unit_rate, f"{conv}_depthwise", padding, activation
            )
            residual = slim.conv2d(
                residual, depth, 1, 1, f"{conv}_pointwise", activation=activation
            )
            if scope == low_level_unit and i == 1:
                low_level = residual
        if skip == "conv":
            x = residual + slim.conv2d(
                x, depths[-1], 1, unit_stride, f"{prefix}/shortcut", activation=identity
            )
        else:
            x = residual + x if skip == "sum" else residual
    return {"low_level": low_level, "features": x}


def slim_mobilenet(slim, x, name, output_stride):
    """{"low_level", "features"} of `MobilenetV2`, after slim's mobilenet_v2.py."""
    layers = [
        (16, 1, 1),
        (24, 6, 2),
        (24, 6, 1),
        (32, 6, 2),
        (32, 6, 1),
        (32, 6, 1),
        (64, 6, 2),
        (64, 6, 1),
    ]
    layers += [
        (64, 6, 1),
        (64, 6, 1),
        (96, 6, 1),
        (96, 6, 1),
        (96, 6, 1),
        (160, 6, 2),
        (160, 6, 1),
        (160, 6, 1),
    ]
    layers += [(320, 6, 1)]
    x = slim.conv2d(x, 32, 3, 2, "MobilenetV2/Conv", activation=tf.nn.relu6)
    current_stride, rate = 2, 1
    for i, (channels, expansion, stride) in enumerate(layers):
        scope = f"MobilenetV2/expanded_conv_{i}" if i else "MobilenetV2/expanded_conv"
        if current_stride == output_stride:
            layer_stride, layer_rate, rate = 1, rate, rate * stride
        else:
            layer_stride, layer_rate, current_stride = stride, 1, current_stride * stride
        net = x
        if expansion > 1:
            net = slim.conv2d(
                net, x.shape[-1] * expansion, 1, 1, f"{scope}/expand", activation=tf.nn.relu6
            )
        net = slim.depthwise(
            net, 3, layer_stride, layer_rate, f"{scope}/depthwise", activation=tf.nn.relu6
        )
        if i == 2:
            low_level = net
        net = slim.conv2d(net, channels, 1, 1, f"{scope}/project", activation=identity)
        x = x + net if layer_stride == 1 and x.shape[-1] == channels else net
    return {"low_level": low_level, "features": x}


def save(path, weights):
    """A checkpoint of tensors by name, as TF1's Saver writes it; returns its prefix."""
    names = sorted(weights)
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[weights[n] for n in names],
    )
    return str(path)


def published(weights, scope):
    """A checkpoint as it is found in the wild: slots, a step, a classifier, and moving averages of
    the half.
    """
    rng = np.random.default_rng(1)
    found = {
        "global_step": np.int64(500_000),
        f"{scope}/logits/weights": np.zeros((1, 1, 8, 1001), np.float32),
    }
    for index, (name, value) in enumerate(weights.items()):
        found[name] = value
        found[f"{name}/Momentum"] = rng.normal(size=value.shape).astype(np.float32)
        if index % 2:
            found[f"{name}/ExponentialMovingAverage"] = value
            found[name] = value + rng.normal(size=value.shape).astype(np.float32)
    return found


def image(height, width):
    return np.random.default_rng(0).uniform(-1, 1, (1, height, width, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory):
    """(checkpoint, weights, inputs, features) of slim's MobileNetV2 at output stride 16."""
    slim, inputs = Slim(), image(193, 129)
    features = slim_mobilenet(slim, inputs, "MobilenetV2", 16)
    path = save(
        tmp_path_factory.mktemp("slim") / "model.ckpt-7", published(slim.weights, "MobilenetV2")
    )
    return path, slim.weights, inputs, features


def assert_equal_features(features, expected):
    for name in ("low_level", "features"):
        scale = np.abs(expected[name]).max()
        assert 1e-3 < scale < 1e9  # numbers that say something
        np.testing.assert_allclose(features[name] / scale, expected[name] / scale, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, size, parameters",
    [("xception_71", (129, 193), 40_289_736), ("xception_65", (97, 129), 37_867_312)],
)
def test_xception_has_the_published_size_and_gives_slims_features(tmp_path, name, size, parameters):
    slim, inputs = Slim(), image(*size)
    expected = slim_xception(slim, inputs, name, output_stride=16)
    path = save(tmp_path / "model.ckpt", published(slim.weights, name))
    backbone = build_backbone(name)
    assert sum(int(np.prod(v.shape)) for v in backbone.trainable_weights) == parameters
    load_slim_checkpoint(backbone, path)
    assert len(backbone.variables) == len(slim.weights)
    assert_equal_features(backbone(inputs), expected)


@pytest.mark.both_stacks
def test_mobilenet_gives_slims_features(mobilenet):
    path, weights, inputs, expected = mobilenet
    backbone = build_backbone("mobilenet_v2")
    load_slim_checkpoint(backbone, path)
    assert len(backbone.variables) == len(weights)
    assert_equal_features(backbone(inputs), expected)


def test_mobilenet_gives_slims_features_at_output_stride_8(mobilenet):
    slim, inputs = Slim(), mobilenet[2]
    expected = slim_mobilenet(slim, inputs, "MobilenetV2", 8)
    backbone = build_backbone("mobilenet_v2", output_stride=8)
    load_slim_checkpoint(backbone, mobilenet[0])
    assert_equal_features(backbone(inputs), expected)


@pytest.mark.parametrize("kernel_size", [5, 7])
def test_embedded_kernels_give_the_same_features(mobilenet, kernel_size, caplog):
    path, _, inputs, expected = mobilenet
    backbone = build_backbone("mobilenet_v2", kernel_size=kernel_size)
    with pytest.raises(UserError, match=r"kernels of 3 where the model has .*embed_kernels"):
        load_slim_checkpoint(backbone, path)
    with caplog.at_level("WARNING", logger="absl"):
        load_slim_checkpoint(backbone, path, embed_kernels=True)
    assert "18 kernels" in caplog.text and "embedded" in caplog.text
    assert_equal_features(backbone(inputs), expected)


@pytest.mark.parametrize("way", ["prefix", "index file", "folder"])
def test_a_checkpoint_may_be_named_in_several_ways(mobilenet, way):
    path = {
        "prefix": mobilenet[0],
        "index file": f"{mobilenet[0]}.index",
        "folder": os.path.dirname(mobilenet[0]),
    }[way]
    backbone = build_backbone("mobilenet_v2")
    load_slim_checkpoint(backbone, path)
    stem = backbone.get_layer("stem").kernel.numpy()
    np.testing.assert_array_equal(stem, mobilenet[1]["MobilenetV2/Conv/weights"])


# === Bad input ===


def refused(backbone, path, match):
    before = [v.numpy() for v in backbone.variables]
    with pytest.raises(UserError, match=match) as error:
        load_slim_checkpoint(backbone, str(path))
    assert "\n" not in str(error.value)
    for variable, value in zip(backbone.variables, before):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.both_stacks
def test_missing_variables_are_listed(mobilenet, tmp_path):
    weights = dict(mobilenet[1])
    lost = [
        "MobilenetV2/Conv/BatchNorm/beta",
        "MobilenetV2/expanded_conv_9/depthwise/depthwise_weights",
    ]
    for name in lost:
        del weights[name]
    path = save(tmp_path / "model.ckpt", weights)
    refused(
        build_backbone("mobilenet_v2"),
        path,
        f"2 of 255 variables are missing, {lost[0]}, {lost[1]};",
    )


def test_another_architecture_is_refused(mobilenet, tmp_path):
    weights = {
        name.replace("MobilenetV2", "xception_65"): value for name, value in mobilenet[1].items()
    }
    path = save(tmp_path / "model.ckpt", weights)
    missing = "255 of 255 variables are missing, MobilenetV2/Conv/weights.* and 235 more"
    words = f"{missing}; it holds variables of xception_65"
    refused(build_backbone("mobilenet_v2"), path, words)


def test_another_width_is_refused(mobilenet):
    refused(build_backbone("mobilenet_v2", width=0.5), mobilenet[0], r"in shape \(3, 3, 3, 32\)")


@pytest.mark.parametrize(
    "name, keep", [("index", 0.0), ("index", 0.5), ("data-00000-of-00001", 0.5)]
)
def test_a_cut_off_file_is_refused(mobilenet, tmp_path, name, keep):
    path = save(tmp_path / "model.ckpt", mobilenet[1])
    os.truncate(f"{path}.{name}", int(keep * os.path.getsize(f"{path}.{name}")))
    refused(build_backbone("mobilenet_v2"), path, "cut off or corrupt")


@pytest.mark.parametrize("name", ["index", "data-00000-of-00001"])
def test_a_corrupt_file_is_refused(mobilenet, tmp_path, name):
    path = save(tmp_path / "model.ckpt", mobilenet[1])
    with open(f"{path}.{name}", "r+b") as file:
        file.seek(os.path.getsize(f"{path}.{name}") // 2)
        file.write(b"\x5a\xa5" * 40)
    refused(build_backbone("mobilenet_v2"), path, "cut off or corrupt")


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"PK\x03\x04 not a checkpoint" * 100)
    refused(
        build_backbone("mobilenet_v2", width=0.1), tmp_path / "model.ckpt", "cut off or corrupt"
    )


def test_a_missing_file_is_refused(tmp_path):
    refused(
        build_backbone("mobilenet_v2", width=0.1), tmp_path / "model.ckpt", "there is no checkpoint"
    )
    refused(
        build_backbone("mobilenet_v2", width=0.1), tmp_path, "there is no checkpoint in the folder"
    )
