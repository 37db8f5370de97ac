"""Frozen layers stay as they were, and the rest of the run is read back as it was trained."""

import os

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.backbones.initial_checkpoint import find_backbone, load_initial_checkpoint
from deeperlab_tf.model import build_model
from deeperlab_tf.training.batch_norm import batch_norms
from deeperlab_tf.training.checkpoints import Store
from deeperlab_tf.training.optimizer import build_optimizer
from deeperlab_tf.training.trainer import Trainer
from deeperlab_tf.training.workdir import CHECKPOINT_DIR, load_run, prepare_workdir

LOW_LEVEL = ("stem", "block_0_", "block_1_", "block_2_expand", "block_2_depthwise")


def values(network):
    """dict from the names of the variables to their values."""
    return {variable.name: variable.numpy() for variable in network.variables}


@pytest.fixture
def make_trainer(tiny_config, toy_dataset):
    """Function () -> trainer of `tiny_config`, compiled."""

    def make():
        trainer = Trainer(build_model(tiny_config.model, toy_dataset), tiny_config)
        trainer.compile(build_optimizer(tiny_config))
        trainer.optimizer.build(trainer.network.trainable_variables)
        return trainer

    return make


def test_a_step_leaves_the_frozen_layers_and_changes_the_others(
    tiny_config, noise_batches, make_trainer
):
    tiny_config.train.update(freeze_low_level=True, weight_decay=0.1)
    trainer = make_trainer()
    before = values(trainer.network)
    trainer.train_step(next(iter(noise_batches(tiny_config))))
    after = values(trainer.network)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    frozen = {name for name in before if name.startswith(LOW_LEVEL)}
    assert len(frozen) > 30 and not changed & frozen
    # Not quite all: some gradients are lost in rounding.
    assert len(changed) > 0.8 * len(before.keys() - frozen)


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "xception_65"])
def test_batch_norms_of_frozen_layers_run_as_in_evaluation(tiny_config, make_trainer, backbone):
    tiny_config.train.freeze_low_level = True
    if backbone == "xception_65":
        tiny_config.model.update(backbone=backbone, width=0.02)
    network = find_backbone(make_trainer().network)
    for layer in batch_norms(network):
        layer.moving_mean.assign_add(tf.fill(layer.moving_mean.shape, 0.5))
    image = np.random.default_rng(0).uniform(-1, 1, (2, 65, 65, 3)).astype("f4")
    before = values(network)
    training, evaluation = network(image, training=True), network(image, training=False)
    np.testing.assert_array_equal(training["low_level"], evaluation["low_level"])
    assert np.abs(training["features"] - evaluation["features"]).max() > 0.01
    norms = batch_norms(network)
    for layer in norms:
        mean = layer.moving_mean
        assert np.array_equal(mean, before[mean.name]) == (not layer.trainable)
    assert 4 <= sum(not layer.trainable for layer in norms) < len(norms) / 2


@pytest.mark.both_stacks
@pytest.mark.parametrize(
    "ema, frozen",
    [
        (0.75, ("freeze_batch_norm",)),
        (0.75, ("freeze_low_level",)),
    ],
)
def test_a_frozen_run_is_read_back_as_it_was_trained(
    tiny_config, toy_dataset, tmp_path, noise_batches, make_trainer, frozen, ema
):
    """By `load_run`, and by a training that starts from it: averages are not mixed up."""
    tiny_config.train.update(ema=ema, learning_rate=0.1, **dict.fromkeys(frozen, True))
    trainer = make_trainer()
    initial = values(trainer.network)
    trainer.train_step(next(iter(noise_batches(tiny_config))))
    raw = values(trainer.network)
    prepare_workdir(str(tmp_path), tiny_config, toy_dataset)
    Store(str(tmp_path / CHECKPOINT_DIR), trainer.network, trainer.optimizer, keep=1).save(1)

    trained = {variable.name for variable in trainer.network.trainable_variables}
    expected = dict(raw)
    for name in trained:
        expected[name] = ema * initial[name] + (1 - ema) * raw[name]
    loaded = load_run(str(tmp_path))[0]
    tiny_config.train.update(initial_checkpoint=str(tmp_path), initial_part="network")
    started = build_model(tiny_config.model, toy_dataset)
    load_initial_checkpoint(started, tiny_config.train)
    for network in (loaded, started):
        read = values(network)
        for name, value in read.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-7, err_msg=name)
        same = [name for name in trained if np.array_equal(read[name], initial[name])]
        assert len(same) < 0.2 * len(trained)


@pytest.mark.slow
def test_a_frozen_run_with_averages_goes_on_where_it_was(tiny_config, tmp_path, train_on_noise):
    tiny_config.train.update(freeze_low_level=True, freeze_batch_norm=True, ema=0.75, steps=4)
    first = values(train_on_noise(tmp_path))
    for name in os.listdir(tmp_path / CHECKPOINT_DIR):
        if name.startswith("ckpt-4"):
            os.remove(tmp_path / CHECKPOINT_DIR / name)
    again = values(train_on_noise(tmp_path))
    assert os.path.exists(tmp_path / CHECKPOINT_DIR / "ckpt-4.index")
    for name, value in first.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-3, atol=1e-5, err_msg=name)
    loaded = values(load_run(str(tmp_path))[0])
    for name, value in again.items():
        np.testing.assert_array_equal(loaded[name], value, err_msg=name)
