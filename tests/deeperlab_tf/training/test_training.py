"""Training runs, resumes, and refuses folders of other runs."""

import os

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.losses import LOSSES, total_loss
from deeperlab_tf.model import build_model
from deeperlab_tf.training.batch_norm import batch_norms
from deeperlab_tf.training.loop import RunOptions, Task, fit
from deeperlab_tf.training.optimizer import (
    PolySchedule,
    build_optimizer,
    build_schedule,
    decayed_variables,
)
from deeperlab_tf.training.train import train
from deeperlab_tf.training.trainer import Trainer
from deeperlab_tf.training.workdir import load_run, prepare_workdir


@pytest.fixture
def run(noise_batches):
    """`train` on noise."""

    def train_on_noise(config, workdir, dataset, **options):
        return train(
            config,
            str(workdir),
            dataset,
            lambda step, context: noise_batches(config, step),
            RunOptions(**options),
        )

    return train_on_noise


def weights(network):
    return np.concatenate([np.ravel(v.numpy()) for v in network.variables])


@pytest.fixture(autouse=True)
def _float32_afterwards():
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.mark.both_stacks
def test_poly_schedule_decays_from_the_initial_rate_to_zero():
    schedule = PolySchedule(0.1, steps=100, power=0.9)
    rates = [float(schedule(step)) for step in (0, 50, 100, 200)]
    np.testing.assert_allclose(rates, [0.1, 0.1 * 0.5**0.9, 0.0, 0.0], rtol=1e-6)
    assert PolySchedule.from_config(schedule.get_config()).get_config() == schedule.get_config()


def test_warm_up_rises_linearly():
    schedule = PolySchedule(0.1, steps=10**9, power=0.9, warmup_steps=9)
    np.testing.assert_allclose(
        [float(schedule(step)) for step in (0, 4, 9)], [0.01, 0.05, 0.1], rtol=1e-5
    )


def test_decay_covers_convolutions_but_not_depthwise_kernels_or_batch_norm(
    tiny_config, toy_dataset
):
    network = build_model(tiny_config.model, toy_dataset)
    decayed = {v.name for v in decayed_variables(network)}
    assert "block_0_project/kernel:0" in decayed and "semantic_logits_conv/kernel:0" in decayed
    assert not [name for name in decayed if "depthwise" in name or "_bn" in name or "bias" in name]


def test_a_finished_run_is_left_alone(tiny_config, toy_dataset, tmp_path, run):
    first = weights(run(tiny_config, tmp_path, toy_dataset))
    before = sorted(os.listdir(tmp_path / "checkpoints"))
    np.testing.assert_array_equal(weights(run(tiny_config, tmp_path, toy_dataset)), first)
    assert sorted(os.listdir(tmp_path / "checkpoints")) == before


def test_loaded_network_gives_the_trained_one_back(tiny_config, toy_dataset, tmp_path, run):
    trained = run(tiny_config, tmp_path, toy_dataset)
    loaded, config, dataset = load_run(str(tmp_path))
    assert config == tiny_config and dataset == toy_dataset
    np.testing.assert_array_equal(weights(loaded), weights(trained))


def test_tensorboard_gets_every_loss_and_the_learning_rate(tiny_config, toy_dataset, tmp_path, run):
    run(tiny_config, tmp_path, toy_dataset)
    board = tmp_path / "tensorboard"
    tags = set()
    for name in os.listdir(board):
        for event in tf.compat.v1.train.summary_iterator(str(board / name)):
            tags |= {value.tag for value in event.summary.value}
    losses = {
        f"losses/{name}" for name in ("loss", "semantic", "heatmap", "short", "middle", "long")
    }
    assert losses | {"learning_rate", "images_per_second"} <= tags


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_heads_and_losses_in_float32(
    tiny_config, toy_dataset, tmp_path, precision, run
):
    tiny_config.train.mixed_precision = precision
    tiny_config.train.steps = 1
    network = run(tiny_config, tmp_path, toy_dataset)
    assert network.get_layer("decoder_1_pointwise").compute_dtype == precision[len("mixed_") :]
    assert all(
        output.dtype == tf.float32
        for output in network(np.zeros((1, 33, 33, 3), np.uint8)).values()
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_one_step_lowers_the_loss_of_its_batch(tiny_config, toy_dataset, optimizer, noise_batches):
    tiny_config.train.optimizer = optimizer
    tiny_config.train.learning_rate = 1e-3
    tiny_config.train.steps = 100
    tiny_config.train.clip_norm = 5.0
    trainer = Trainer(build_model(tiny_config.model, toy_dataset), tiny_config)
    trainer.compile(build_optimizer(tiny_config))
    data = noise_batches(tiny_config).take(1).repeat()
    losses = [trainer.fit(data, steps_per_epoch=1, verbose=0).history["loss"][0] for _ in range(8)]
    assert losses[-1] < losses[0]


def test_the_loss_is_told_the_step_also_after_a_resume(
    tiny_config, toy_dataset, tmp_path, noise_batches
):
    told = []

    def loss(heads, targets, config, step):
        total, parts = total_loss(heads, targets, config, step)
        return total, dict(parts, step=tf.fill(tf.shape(total), tf.cast(step, tf.float32)))

    class Steps(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            told.append(float(logs["step"]))

    task = Task(
        toy_dataset,
        lambda step, context: noise_batches(tiny_config, step),
        lambda: build_model(tiny_config.model, toy_dataset),
        loss,
        (*LOSSES, "step"),
    )
    options = RunOptions(make_callbacks=lambda run: [Steps()], accept_changes=True)
    tiny_config.train.hard_pixel_steps = 3
    for steps in (2, 4):
        tiny_config.train.steps = steps
        fit(tiny_config, str(tmp_path), task, options)
    assert told == [0.0, 1.0, 2.0, 3.0]


def one_step(config, dataset, batch, **compile_options):
    """(weights after one step, logs) of a network with fixed initial weights."""
    keras.utils.set_random_seed(1)
    trainer = Trainer(build_model(config.model, dataset), config)
    trainer.compile(build_optimizer(config), **compile_options)
    logs = trainer.train_step(batch)  # eagerly: quicker than tracing a graph for one step
    return weights(trainer.network), {name: float(value) for name, value in logs.items()}


def test_a_batch_in_parts_is_the_batch(tiny_config, toy_dataset, noise_batches):
    """With frozen batch norm nothing depends on how the batch is cut."""
    tiny_config.model.aspp_dropout = 0.0
    tiny_config.train.freeze_batch_norm = True
    tiny_config.train.batch_size = 4
    batch = next(iter(noise_batches(tiny_config)))
    whole, logs = one_step(tiny_config, toy_dataset, batch)
    tiny_config.train.accumulation_steps = 2
    parts, logs_of_parts = one_step(tiny_config, toy_dataset, batch)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(list(logs_of_parts.values()), list(logs.values()), rtol=1e-4)


def test_frozen_batch_norms_do_not_change(tiny_config, toy_dataset, noise_batches):
    tiny_config.train.freeze_batch_norm = True
    trainer = Trainer(build_model(tiny_config.model, toy_dataset), tiny_config)
    trainer.compile(build_optimizer(tiny_config))
    before = {v.name: v.numpy() for layer in batch_norms(trainer.network) for v in layer.variables}
    trainer.train_step(next(iter(noise_batches(tiny_config))))
    after = {v.name: v.numpy() for layer in batch_norms(trainer.network) for v in layer.variables}
    assert len(before) > 100 and all(np.array_equal(before[name], after[name]) for name in before)


def test_dropout_masks_are_of_the_step_alone(tiny_config, toy_dataset, noise_batches):
    tiny_config.model.aspp_dropout = 0.5
    batch = next(iter(noise_batches(tiny_config)))
    first, again = (one_step(tiny_config, toy_dataset, batch)[1] for _ in range(2))
    np.testing.assert_allclose(first["loss"], again["loss"], rtol=1e-5)
    tiny_config.train.seed = 1
    assert (
        abs(one_step(tiny_config, toy_dataset, batch)[1]["loss"] - first["loss"])
        > 1e-4 * first["loss"]
    )


def test_the_moving_average_is_what_is_loaded(tiny_config, toy_dataset, tmp_path, run):
    tiny_config.train.ema = 0.5
    tiny_config.train.steps = 1
    keras.utils.set_random_seed(tiny_config.train.seed)
    before = build_model(tiny_config.model, toy_dataset).trainable_variables[0].numpy()
    trained = run(tiny_config, tmp_path, toy_dataset)  # Keras leaves the average in the network
    loaded, *_ = load_run(str(tmp_path))
    average = loaded.trainable_variables[0].numpy()
    np.testing.assert_array_equal(trained.trainable_variables[0].numpy(), average)
    path = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
    raw = build_model(tiny_config.model, toy_dataset)
    tf.train.Checkpoint(network=raw).read(path).expect_partial()
    after = raw.trainable_variables[0].numpy()
    assert np.abs(after - before).max() > 0
    np.testing.assert_allclose(average, (before + after) / 2, rtol=1e-5, atol=1e-7)


def test_several_steps_an_execution_find_the_bad_one_too(
    tiny_config, toy_dataset, tmp_path, noise_batches
):
    """Logs are means and sums over the execution, and callbacks count its steps."""
    tiny_config.train.steps, tiny_config.train.steps_per_execution = 5, 2
    tiny_config.train.checkpoint_every = tiny_config.train.log_every = 2

    def poisoned(step, context):
        def poison(number, data):
            images, targets = data
            scale = tf.where(number == 2, np.nan, 1.0)
            return images, dict(targets, short_offsets=targets["short_offsets"] * scale)

        return noise_batches(tiny_config, step).enumerate(step).map(poison)

    with pytest.raises(UserError, match=r"not a number at step 3 \(loss nan, .*short nan"):
        train(tiny_config, str(tmp_path), toy_dataset, poisoned)
    assert [name for name in os.listdir(tmp_path / "checkpoints") if name.endswith(".index")] == [
        "ckpt-2.index"
    ]


def test_the_learning_rate_grows_with_the_batch_where_it_shall(tiny_config):
    tiny_config.train.learning_rate, tiny_config.train.batch_size = 0.1, 32
    assert build_schedule(tiny_config).initial == 0.1
    tiny_config.train.learning_rate_batch = 8
    assert build_schedule(tiny_config).initial == pytest.approx(0.4)


# === Bad input ===


def test_a_folder_of_another_config_is_refused_with_the_keys_that_differ(
    tiny_config, toy_dataset, tmp_path
):
    prepare_workdir(str(tmp_path), tiny_config, toy_dataset)
    tiny_config.train.learning_rate = 0.5
    tiny_config.model.width = 0.2
    with pytest.raises(UserError, match=r"model\.width, train\.learning_rate differ"):
        prepare_workdir(str(tmp_path), tiny_config, toy_dataset)
    prepare_workdir(str(tmp_path), tiny_config, toy_dataset, accept_changes=True)
    prepare_workdir(str(tmp_path), tiny_config, toy_dataset)


def test_a_checkpoint_of_another_network_is_refused(tiny_config, toy_dataset, tmp_path, run):
    run(tiny_config, tmp_path, toy_dataset)
    tiny_config.model.decoder_channels = 12
    with pytest.raises(UserError, match="does not fit this config's network"):
        run(tiny_config, tmp_path, toy_dataset, accept_changes=True)


def test_a_loss_that_is_no_number_stops_the_run(tiny_config, toy_dataset, tmp_path, run):
    tiny_config.train.learning_rate = 1e30
    tiny_config.train.steps = 40
    with pytest.raises(UserError, match=r"not a number at step 2 \(loss (nan|inf), semantic"):
        run(tiny_config, tmp_path, toy_dataset)


@pytest.mark.parametrize("key, value", [("optimizer", "lion"), ("mixed_precision", "int8")])
def test_unknown_training_choices_are_named(tiny_config, toy_dataset, tmp_path, key, value, run):
    tiny_config.train[key] = value
    with pytest.raises(UserError, match=f"config.train.{key} is '{value}'"):
        run(tiny_config, tmp_path, toy_dataset)


def test_a_workdir_that_cannot_be_is_named(tiny_config, toy_dataset, tmp_path, run):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/run"):
        run(tiny_config, tmp_path / "file" / "run", toy_dataset)


def test_untrained_or_foreign_folders_are_named(tiny_config, toy_dataset, tmp_path):
    with pytest.raises(UserError, match="there is no folder"):
        load_run(str(tmp_path / "missing"))
    with pytest.raises(UserError, match="not a run's folder"):
        load_run(str(tmp_path))
    prepare_workdir(str(tmp_path), tiny_config, toy_dataset)
    with pytest.raises(UserError, match="no checkpoint yet"):
        load_run(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json"):
        load_run(str(tmp_path))


@pytest.mark.parametrize("name", ["dataset.json", "run.json", "config.json"])
def test_a_folder_with_files_of_the_users_is_no_workdir(tiny_config, toy_dataset, tmp_path, name):
    (tmp_path / name).write_text('{"mine": 1}')
    with pytest.raises(UserError):
        prepare_workdir(str(tmp_path), tiny_config, toy_dataset)
    assert (tmp_path / name).read_text() == '{"mine": 1}' and os.listdir(tmp_path) == [name]
