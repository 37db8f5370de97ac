"""Optimizer, "poly" learning rate and weight decay (paper Sec. 4)."""

from __future__ import annotations

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


def build_optimizer(config: ConfigDict) -> keras.optimizers.Optimizer:
    """The optimizer of `config.train`; it does not clip.

    Clipping is the trainer's, because the norm of the gradient is logged.

    Raises:
      UserError: for an optimizer that is not offered.
    """
    train = config.train
    average = dict(use_ema=True, ema_momentum=train.ema) if train.ema else {}
    schedule = build_schedule(config)
    if train.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(schedule, momentum=train.momentum, **average)
    elif train.optimizer == "adam":
        optimizer = keras.optimizers.Adam(schedule, **average)
    else:
        raise UserError(
            f"config.train.optimizer is {train.optimizer!r}; known optimizers are sgd and adam."
        )
    if train.mixed_precision == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer


def decayed_variables(network: keras.Model) -> list[tf.Variable]:
    """Kernels under L2 decay: of ordinary and pointwise convolutions.

    Never depthwise ones or batch norm (DeepLab).
    """
    variables = network.trainable_variables
    return [variable for variable in variables if variable.name.split("/")[-1] == "kernel:0"]
