"""A training that is killed, or finds a broken checkpoint or a full disk, goes on as if nothing had
happened.
"""

import os
import resource
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from deeperlab_tf.backbones.checkpoint_file import CheckpointFile, find_prefix
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.training.checkpoints import Store, checkpoint_paths
from deeperlab_tf.training.workdir import load_run


@pytest.fixture
def store(tmp_path):
    """Two checkpoints, of weights 1 and 2, at steps 1 and 2."""
    return make_store(tmp_path)


def make_store(folder):
    network = keras.Sequential([keras.layers.Dense(300, input_shape=(300,))])
    optimizer = keras.optimizers.SGD(momentum=0.9)
    optimizer.build(network.trainable_variables)
    store = Store(str(folder), network, optimizer, keep=3)
    store.network = network
    for step in (1, 2):
        set_weights(store, step)
        assert store.save(step)
    set_weights(store, 0)
    return store


def set_weights(store, value):
    for variable in store.network.variables:
        variable.assign(tf.fill(variable.shape, float(value)))


def weights_are(store, value):
    return all(np.all(variable.numpy() == value) for variable in store.network.variables)


@pytest.mark.both_stacks
def test_the_newest_checkpoint_is_restored(store):
    assert store.restore_newest() == os.path.join(store.folder, "ckpt-2")
    assert weights_are(store, 2)


def halve(path):
    os.truncate(path, os.path.getsize(path) // 2)


def flip(path):
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 255]))


@pytest.mark.both_stacks
@pytest.mark.parametrize("damage", [halve, flip, os.remove, lambda path: os.truncate(path, 0)])
@pytest.mark.parametrize("name", ["ckpt-2.data-00000-of-00001", "ckpt-2.index"])
def test_a_broken_checkpoint_falls_back_to_the_one_before(store, monkeypatch, damage, name):
    warnings = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: warnings.append(text % values))
    damage(os.path.join(store.folder, name))
    assert store.restore_newest() == os.path.join(store.folder, "ckpt-1")
    assert weights_are(store, 1)
    # Without it there is no checkpoint to speak of.
    if os.path.exists(os.path.join(store.folder, "ckpt-2.index")):
        assert len(warnings) == 1 and "ckpt-2 is broken" in warnings[0]


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", ["run [1]", "a*b?", "run[!x]", "back\\slash"])
def test_a_folder_is_never_a_pattern(tmp_path, name):
    os.makedirs(tmp_path / "run 1")
    folder = tmp_path / name / "checkpoints"
    store = make_store(folder)
    for step in (3, 4, 5):
        set_weights(store, step)
        assert store.save(step)
    # Old ones go, and what a save that was cut off has left.
    assert [os.path.basename(path) for path in checkpoint_paths(str(folder))] == [
        "ckpt-5",
        "ckpt-4",
        "ckpt-3",
    ]
    assert len(os.listdir(folder)) == 2 * 3 + 1
    os.makedirs(folder / "ckpt-6_temp")
    again = make_store_again(store)
    assert not (folder / "ckpt-6_temp").exists()
    set_weights(store, 0)
    assert again.restore_newest() == str(folder / "ckpt-5") and weights_are(store, 5)
    assert find_prefix(str(tmp_path / name)) == str(folder / "ckpt-5")
    assert CheckpointFile(str(folder / "ckpt-4")).shapes


def make_store_again(store):
    again = Store(store.folder, store.network, store._checkpoint.optimizer, keep=3)
    again.network = store.network
    return again


def test_a_broken_list_of_checkpoints_does_not_matter(store):
    for damage in (halve, os.remove):
        damage(os.path.join(store.folder, "checkpoint"))
        assert store.restore_newest().endswith("ckpt-2")


def test_nothing_but_broken_checkpoints_is_an_error(store):
    for step in (1, 2):
        os.truncate(os.path.join(store.folder, f"ckpt-{step}.index"), 10)
    with pytest.raises(UserError, match="none of the checkpoints"):
        store.restore_newest()


def test_leftovers_of_a_save_that_was_cut_off_are_removed(store):
    os.makedirs(os.path.join(store.folder, "ckpt-3_temp", "part-00000-of-00001"))
    open(os.path.join(store.folder, "ckpt-3.index.tempstate1"), "w").close()
    Store(store.folder, store.network, keras.optimizers.SGD(), keep=3)
    assert not [name for name in os.listdir(store.folder) if "temp" in name]
    assert store.restore_newest().endswith("ckpt-2")


def test_a_full_disk_leaves_the_checkpoints_before(store, monkeypatch):
    errors = []
    monkeypatch.setattr(logging, "error", lambda text, *values: errors.append(text % values))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    set_weights(store, 3)
    # As a disk with room for less than a checkpoint.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        assert not store.save(3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(errors) == 1 and "no checkpoint of step 3" in errors[0]
    assert checkpoint_paths(store.folder)[0].endswith("ckpt-2")
    assert not [name for name in os.listdir(store.folder) if "ckpt-3" in name]
    assert store.restore_newest().endswith("ckpt-2")
    set_weights(store, 4)
    assert store.save(4) and store.restore_newest().endswith("ckpt-4") and weights_are(store, 4)


def test_other_hosts_leave_no_files(store):
    other = Store(store.folder, store.network, keras.optimizers.SGD(), keep=3, chief=False)
    before = sorted(os.listdir(store.folder))
    assert other.save(5)
    assert sorted(os.listdir(store.folder)) == before
    other.close()


# === Whole trainings ===


@pytest.fixture
def deterministic():
    """Determinism for this test only."""
    from tensorflow.python.framework import config

    yield
    config.disable_op_determinism()


def test_killed_and_resumed_is_straight_through_bit_for_bit(
    tiny_config, toy_dataset, tmp_path, deterministic, train_on_noise, noise_batches
):
    """Dropout, moving average, momentum, schedule and input included; step 3 of the killed run is
    lost.
    """
    tiny_config.train.ema = 0.9
    tiny_config.train.warmup_steps = 2
    straight = train_on_noise(tmp_path / "straight", deterministic=True)

    def killed(start, context):
        data = noise_batches(tiny_config, start)
        return data.take(3) if start == 0 else data

    # Keras ends where the data ends.
    train_on_noise(tmp_path / "killed", killed, deterministic=True)
    assert checkpoint_paths(str(tmp_path / "killed" / "checkpoints"))[0].endswith("ckpt-2")
    resumed = train_on_noise(tmp_path / "killed", killed, deterministic=True)
    for mine, other in zip(resumed.variables, straight.variables):
        np.testing.assert_array_equal(mine.numpy(), other.numpy(), err_msg=mine.name)
    loaded, *_ = load_run(str(tmp_path / "killed"))
    np.testing.assert_array_equal(loaded.variables[0].numpy(), straight.variables[0].numpy())


def test_sigterm_saves_and_ends(tiny_config, toy_dataset, tmp_path, train_on_noise):
    tiny_config.train.checkpoint_every = 1000

    class Terminator(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit) as raised:
        train_on_noise(tmp_path, make_callbacks=lambda run: [Terminator()])
    assert raised.value.code == 143
    assert checkpoint_paths(str(tmp_path / "checkpoints"))[0].endswith("ckpt-3")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    train_on_noise(tmp_path)
    assert checkpoint_paths(str(tmp_path / "checkpoints"))[0].endswith("ckpt-4")


def test_the_best_checkpoint_is_kept(tiny_config, tmp_path, train_on_noise):
    tiny_config.train.evaluate_every = 1
    seen = []

    def evaluate(network):
        seen.append(network.trainable_variables[0].numpy())
        return {"pq": (0.2, 0.5, 0.3, 0.4)[len(seen) - 1]}

    train_on_noise(tmp_path, evaluate=evaluate)
    best, *_ = load_run(str(tmp_path), best=True)
    assert checkpoint_paths(str(tmp_path / "best")) == [str(tmp_path / "best" / "ckpt-2")]
    np.testing.assert_array_equal(best.trainable_variables[0].numpy(), seen[1])
    shutil.rmtree(tmp_path / "best")
    with pytest.raises(UserError, match="evaluate_every"):
        load_run(str(tmp_path), best=True)
