"""The whole train step compiles with XLA, as a TPU needs it: static shapes, no fallback."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.losses import total_loss
from deeperlab_tf.model import build_model
from deeperlab_tf.training.optimizer import build_optimizer
from deeperlab_tf.training.trainer import Trainer

SIDE = 33


@pytest.fixture(autouse=True)
def _float32_afterwards():
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture
def small(tiny_config):
    tiny_config.data.crop_size = (SIDE, SIDE)
    tiny_config.train.ema = 0.9
    tiny_config.train.clip_norm = 5.0
    tiny_config.train.class_weights = (1.0, 2.0, 1.0, 1.0)
    return tiny_config


def make_trainer(config, dataset, **compile_options):
    keras.mixed_precision.set_global_policy(config.train.mixed_precision)
    keras.utils.set_random_seed(0)
    trainer = Trainer(build_model(config.model, dataset), config)
    trainer.compile(build_optimizer(config), **compile_options)
    trainer.optimizer.build(trainer.network.trainable_variables)
    return trainer


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_the_whole_step_lowers_to_one_xla_module(small, toy_dataset, noise_batches, precision):
    """`jit_compile` leaves no op outside: one that XLA does not know, or whose shape it cannot
    tell, is an error.
    """
    small.train.mixed_precision = precision
    batch = next(iter(noise_batches(small)))
    trainer = make_trainer(small, toy_dataset)
    module = tf.function(trainer.train_step, jit_compile=True).experimental_get_compiler_ir(batch)(
        stage="hlo"
    )
    assert module.startswith("HloModule") and "convolution(" in module
    assert ("bf16[" in module) == (precision == "mixed_bfloat16")
    assert " sort(" not in module  # hard pixels are found without sorting
    for dynamic in ("<=", "custom-call(", "infeed", "outfeed"):
        assert dynamic not in module.split("\n", 1)[1], dynamic


@pytest.mark.slow
def test_the_compiled_step_does_what_the_plain_graph_does(small, toy_dataset, noise_batches):
    small.model.aspp_dropout = 0.0  # XLA draws other random numbers
    batch = next(iter(noise_batches(small)))
    logs, changes = [], []
    for compiled in (False, True):
        trainer = make_trainer(small, toy_dataset)
        before = [variable.numpy() for variable in trainer.network.variables]
        step = tf.function(trainer.train_step, jit_compile=compiled)
        logs.append({name: float(value) for name, value in step(batch).items()})
        after = trainer.network.variables
        changes.append(np.concatenate([np.ravel(new - old) for new, old in zip(after, before)]))
    norms = [each.pop("gradient_norm") for each in logs]
    assert logs[1] == pytest.approx(logs[0], rel=1e-5)
    assert norms[1] == pytest.approx(norms[0], rel=1e-2)  # rounding turns ReLUs on and off
    assert np.linalg.norm(changes[1] - changes[0]) < 0.05 * np.linalg.norm(changes[0])


@pytest.mark.slow
def test_the_compiled_losses_are_those_of_the_plain_graph(small, toy_dataset, noise_batches):
    _, targets = next(iter(noise_batches(small)))
    network = build_model(small.model, toy_dataset)
    heads = network(np.random.default_rng(0).integers(0, 255, (2, SIDE, SIDE, 3), np.uint8))

    def gradients(heads, targets):
        with tf.GradientTape() as tape:
            tape.watch(heads)
            loss, parts = total_loss(heads, targets, small)
        return loss, parts, tape.gradient(loss, heads)

    plain, compiled = (
        tf.function(gradients, jit_compile=jit)(heads, targets) for jit in (False, True)
    )
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), plain, compiled
    )


def test_every_shape_of_the_step_is_static(small, toy_dataset, noise_batches):
    """But for what the fused batch norm keeps for its own gradient, and axes that XLA works out as
    it compiles.
    """
    batch = next(iter(noise_batches(small)))
    trainer = make_trainer(small, toy_dataset)
    graph = tf.function(trainer.train_step).get_concrete_function(batch).graph
    dynamic = [
        (op.name, output.shape)
        for op in graph.get_operations()
        if op.type != "BroadcastGradientArgs"
        if not any(
            each.type.startswith("FusedBatchNorm")
            for each in (op, *(value.op for value in op.inputs))
        )
        for output in op.outputs
        if output.dtype not in (tf.resource, tf.variant) and not output.shape.is_fully_defined()
    ]
    assert not dynamic


def test_fit_compiles_with_xla(small, toy_dataset, noise_batches, monkeypatch):
    """`config.train.jit_compile` reaches the step, and only the step: the input stays outside."""
    compiled = []
    original = tf.function

    def spy(*arguments, **options):
        compiled.append(options.get("jit_compile"))
        return original(*arguments, **options)

    trainer = make_trainer(small, toy_dataset, jit_compile=True)
    monkeypatch.setattr(tf, "function", spy)
    trainer.make_train_function()
    assert compiled == [True, None]


def test_the_losses_lower_for_a_tpu_without_one(small, toy_dataset, noise_batches):
    """Where the installed TensorFlow can: tensorflow-tpu, whose XLA is for TPUs alone."""
    _, targets = next(iter(noise_batches(small)))
    heads = build_model(small.model, toy_dataset)(np.zeros((2, SIDE, SIDE, 3), np.uint8))

    @tf.function(jit_compile=True, autograph=False)
    def gradient(heads, targets):
        with tf.GradientTape() as tape:
            tape.watch(heads)
            loss = total_loss(heads, targets, small)[0]
        return tape.gradient(loss, heads)

    try:
        lowered = gradient.experimental_get_compiler_ir(heads, targets)(
            stage="stablehlo", platform_name="TPU"
        )
    except (ValueError, RuntimeError, TypeError, tf.errors.OpError) as error:
        pytest.skip(f"this TensorFlow lowers nothing for a TPU: {str(error).splitlines()[0][:120]}")
    assert "stablehlo." in lowered and "stablehlo.sort" not in lowered
