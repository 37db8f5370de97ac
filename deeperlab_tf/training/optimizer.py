"""Optimizer, "poly" learning rate and weight decay (paper Sec. 4)."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError


@keras.utils.register_keras_serializable("deeperlab_tf")
class PolySchedule(keras.optimizers.schedules.LearningRateSchedule):
    """initial * (1 - step / steps) ** power, after a linear warm-up from zero.

    Args:
      initial: learning rate at the start of the decay.
      steps: steps of the whole training, warm-up included; the rate is 0 there.
      power: of the decay.
      warmup_steps: length of the warm-up; 0 for none.
    """

    def __init__(self, initial: float, steps: int, power: float, warmup_steps: int = 0):
        self.initial = initial
        self.steps = steps
        self.power = power
        self.warmup_steps = warmup_steps

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rate = self.initial * tf.maximum(1.0 - step / self.steps, 0.0) ** self.power
        return rate * tf.minimum((step + 1.0) / (self.warmup_steps + 1.0), 1.0)

    def get_config(self) -> dict[str, float]:
        return {
            "initial": self.initial,
            "steps": self.steps,
            "power": self.power,
            "warmup_steps": self.warmup_steps,
        }


def build_schedule(config: ConfigDict) -> PolySchedule:
    """The rate of `config.train`, scaled to the batch where `learning_rate_batch` says so."""
    train = config.train
    rate = train.learning_rate
    if train.learning_rate_batch:
        rate *= train.batch_size / train.learning_rate_batch
    return PolySchedule(rate, train.steps, train.power, train.warmup_steps)


class _TwoRates:
    """Mixed into an optimizer of Keras: some variables learn at another rate than the others.

    Scaling their gradients would not do: Adam divides every scale out again.
    """

    _own_factor: float = 1.0
    _own_keys: frozenset[str] = frozenset()
    _factor: float = 1.0  # of the variable that is being updated

    def set_rate(self, variables: Sequence[tf.Variable], factor: float) -> None:
        """These variables learn at `factor` times the rate of the others."""
        self._own_factor = factor
        self._own_keys = frozenset(self._var_key(variable) for variable in variables)

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        is_own = self._var_key(variable) in self._own_keys
        self._factor = self._own_factor if is_own else 1.0
        super().update_step(gradient, variable)
        self._factor = 1.0

    @property
    def learning_rate(self) -> tf.Variable | tf.Tensor:
        rate = super().learning_rate
        return rate if self._factor == 1.0 else rate * self._factor


class _SGD(_TwoRates, keras.optimizers.SGD):
    pass


class _Adam(_TwoRates, keras.optimizers.Adam):
    pass


def build_optimizer(
    config: ConfigDict, backbone: Sequence[tf.Variable] = ()
) -> keras.optimizers.Optimizer:
    """The optimizer of `config.train`; it does not clip.

    Clipping is the trainer's, because the norm of the gradient is logged.

    Args:
      config: the full config; `train` counts here.
      backbone: the variables that learn at `train.backbone_rate` times the rate of the others.

    Raises:
      UserError: for an optimizer that is not offered.
    """
    train = config.train
    average = dict(use_ema=True, ema_momentum=train.ema) if train.ema else {}
    schedule = build_schedule(config)
    if train.optimizer == "sgd":
        optimizer = _SGD(schedule, momentum=train.momentum, **average)
    elif train.optimizer == "adam":
        optimizer = _Adam(schedule, **average)
    else:
        raise UserError(
            f"config.train.optimizer is {train.optimizer!r}; known optimizers are sgd and adam."
        )
    if train.backbone_rate != 1:
        optimizer.set_rate(backbone, train.backbone_rate)
    if train.mixed_precision == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer


def decayed_variables(network: keras.Model) -> list[tf.Variable]:
    """Kernels under L2 decay: of ordinary and pointwise convolutions.

    Never depthwise ones or batch norm (DeepLab).
    """
    variables = network.trainable_variables
    return [variable for variable in variables if variable.name.split("/")[-1] == "kernel:0"]
