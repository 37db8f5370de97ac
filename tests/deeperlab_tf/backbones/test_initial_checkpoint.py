"""A training starts from a backbone's checkpoint, or from a whole network of ours; what does not
fit is refused.
"""

import os

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf import build_model
from deeperlab_tf.backbones import build_backbone, numpy_file
from deeperlab_tf.backbones.initial_checkpoint import find_backbone, load_initial_checkpoint
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import Category, Dataset
from deeperlab_tf.training.train import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory, toy_dataset, small_sized_config):
    """(checkpoint of a network with its optimizer's slots, the network)."""
    network = build_model(small_sized_config.model, toy_dataset)
    for variable in network.variables:
        variable.assign(
            np.random.default_rng(variable.shape.num_elements()).uniform(0.5, 1.5, variable.shape)
        )
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    optimizer.build(network.trainable_variables)
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    tf.train.Checkpoint(network=network, optimizer=optimizer).save(str(folder / "ckpt"))
    return str(folder.parent), network


def with_a_tree(dataset):
    """The dataset with another class."""
    return Dataset("other", (*dataset.categories, Category("tree", False, (0, 99, 0), 9)))


def equal(first, second):
    return [bool(np.all(a.numpy() == b.numpy())) for a, b in zip(first.variables, second.variables)]


@pytest.mark.both_stacks
@pytest.mark.parametrize("part", ["backbone", "network"])
def test_a_network_starts_from_a_run(tiny_config, toy_dataset, trained, part):
    path, source = trained
    tiny_config.train.initial_checkpoint, tiny_config.train.initial_part = path, part
    network = build_model(tiny_config.model, toy_dataset)
    load_initial_checkpoint(network, tiny_config.train)
    assert all(equal(find_backbone(network), find_backbone(source)))
    assert all(equal(network, source)) == (part == "network")


@pytest.mark.both_stacks
@pytest.mark.parametrize("more_classes", [False, True])
def test_everything_but_the_classes_starts_a_network_of_others(
    tiny_config, toy_dataset, trained, more_classes, caplog
):
    """Also where there are as many of them."""
    path, source = trained
    dataset = with_a_tree(toy_dataset) if more_classes else toy_dataset
    tiny_config.train.update(initial_checkpoint=path, initial_part="all_but_classes")
    network = build_model(tiny_config.model, dataset)
    before = {variable.name: variable.numpy() for variable in network.variables}
    with caplog.at_level("INFO", logger="absl"):
        load_initial_checkpoint(network, tiny_config.train)
    found = {variable.name: variable.numpy() for variable in source.variables}
    for variable in network.variables:
        is_new = variable.name.startswith("semantic_logits_conv/")
        expected = before if is_new else found
        np.testing.assert_array_equal(variable, expected[variable.name])
    assert "but new: semantic_logits_conv/kernel, semantic_logits_conv/bias\n" in caplog.text
    assert f"left out of {path}/checkpoints/ckpt-1: semantic_logits_conv\n" in caplog.text


def test_what_a_backbone_leaves_out_of_a_network_is_named(
    tiny_config, toy_dataset, trained, caplog
):
    tiny_config.train.initial_checkpoint = trained[0]
    with caplog.at_level("INFO", logger="absl"):
        load_initial_checkpoint(build_model(tiny_config.model, toy_dataset), tiny_config.train)
    left_out = caplog.text.split("left out of")[1]
    assert "aspp_1x1, aspp_1x1_bn, " in left_out and "short_offsets_conv" in left_out
    assert "block_0" not in left_out and "iteration" not in left_out


@pytest.mark.both_stacks
@pytest.mark.parametrize("way", ["folder", "name"])
def test_a_network_starts_from_a_model_that_ships(
    tiny_config, toy_dataset, trained, tmp_path, monkeypatch, way
):
    """Its kernels are in half precision."""
    folder, source = tmp_path / "toys", trained[1]
    folder.mkdir()
    halves = {v.name[:-2]: v.numpy().astype(np.float16) for v in source.variables}
    np.savez_compressed(folder / "weights.npz", **halves)
    monkeypatch.setattr(numpy_file, "_SHIPPED", str(tmp_path))
    path = {"folder": folder, "name": "toys"}[way]
    tiny_config.train.update(initial_checkpoint=str(path), initial_part="all_but_classes")
    network = build_model(tiny_config.model, with_a_tree(toy_dataset))
    load_initial_checkpoint(network, tiny_config.train)
    for variable in network.variables:
        if not variable.name.startswith("semantic_logits_conv/"):
            np.testing.assert_array_equal(variable, halves[variable.name[:-2]])


@pytest.mark.parametrize("damage", ["cut off", "flipped", "pickled"])
def test_damaged_weights_of_a_model_are_refused(tiny_config, toy_dataset, tmp_path, damage):
    path = tmp_path / "weights.npz"
    values = [{}] if damage == "pickled" else np.arange(9999)
    np.savez_compressed(path, **{"stem/kernel": values})
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 255
    path.write_bytes(content[: len(content) // 2] if damage == "cut off" else content)
    tiny_config.train.initial_checkpoint = str(tmp_path)
    with pytest.raises(UserError, match=r"weights\.npz are missing, cut off or corrupt"):
        load_initial_checkpoint(build_model(tiny_config.model, toy_dataset), tiny_config.train)


def test_a_network_starts_from_a_backbone_saved_alone(tiny_config, toy_dataset, trained, tmp_path):
    backbone = find_backbone(trained[1])
    tiny_config.train.initial_checkpoint = tf.train.Checkpoint(backbone).save(
        str(tmp_path / "backbone")
    )
    network = build_model(tiny_config.model, toy_dataset)
    load_initial_checkpoint(network, tiny_config.train)
    assert all(equal(find_backbone(network), backbone))


def test_own_kernels_are_embedded_on_request(tiny_config, toy_dataset, trained):
    tiny_config.train.update(initial_checkpoint=trained[0], embed_kernels=True)
    tiny_config.model.kernel_size = 5
    network = build_model(tiny_config.model, toy_dataset)
    load_initial_checkpoint(network, tiny_config.train)
    small, large = (
        find_backbone(n).get_layer("block_3_depthwise").depthwise_kernel
        for n in (trained[1], network)
    )
    np.testing.assert_array_equal(large[1:4, 1:4], small)
    assert float(tf.reduce_sum(large)) == pytest.approx(float(tf.reduce_sum(small)))


def test_backbone_serves_networks_of_other_classes_but_the_whole_is_refused(
    tiny_config, toy_dataset, trained
):
    tiny_config.train.initial_checkpoint = trained[0]
    network = build_model(tiny_config.model, with_a_tree(toy_dataset))
    load_initial_checkpoint(network, tiny_config.train)
    tiny_config.train.initial_part = "network"
    words = r"has semantic_logits_conv/kernel in shape \(1, 1, 8, 4\).*=all_but_classes takes every"
    with pytest.raises(UserError, match=words):
        load_initial_checkpoint(network, tiny_config.train)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"backbone": "xception_65", "width": 0.02}, "not of this architecture"),
        ({"width": 0.5}, "in shape"),
        ({"kernel_size": 5}, "embed_kernels"),
        ({"initial_checkpoint": "/no/such"}, "there is no checkpoint /no/such"),
        ({"initial_part": "head"}, "initial_part is 'head'"),
        (
            {"initial_part": "all_but_classes", "keypoint_graph": "rectangle"},
            r"has long_offsets_conv/kernel in shape \(1, 1, 8, 10\).*model\.keypoint_graph",
        ),
    ],
)
def test_a_mistake_is_named_before_anything_is_written(
    tiny_config, toy_dataset, trained, tmp_path, changes, words
):
    tiny_config.train.initial_checkpoint = trained[0]
    for name, value in changes.items():
        section = tiny_config.train if name.startswith("initial") else tiny_config.model
        section[name] = value
    with pytest.raises(UserError, match=words):
        train(tiny_config, str(tmp_path / "run"), toy_dataset, None)
    assert not os.listdir(tmp_path)


def test_a_published_backbone_is_no_whole_network(tiny_config, toy_dataset, tmp_path):
    path = str(tmp_path / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=["MobilenetV2/Conv/weights"],
        shape_and_slices=[""],
        tensors=[[1.0]],
    )
    tiny_config.train.update(initial_checkpoint=path, initial_part="network")
    with pytest.raises(UserError, match="holds a backbone only"):
        load_initial_checkpoint(build_model(tiny_config.model, toy_dataset), tiny_config.train)


def test_an_embedded_backbone_computes_the_same(trained):
    small = build_backbone("mobilenet_v2", width=0.1)
    large = build_backbone("mobilenet_v2", width=0.1, kernel_size=7)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 80, 3))
    for backbone in (small, large):
        network = keras.Model(backbone.input, backbone(backbone.input))
        config = dict(initial_checkpoint=trained[0], initial_part="backbone", embed_kernels=True)
        load_initial_checkpoint(network, type("Config", (), config))
    np.testing.assert_allclose(small(image)["features"], large(image)["features"], rtol=1e-4)
