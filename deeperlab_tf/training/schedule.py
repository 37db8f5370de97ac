"""The "poly" learning rate policy (paper Sec. 4)."""

import tensorflow as tf

from deeperlab_tf.compat import keras


@keras.utils.register_keras_serializable("deeperlab_tf")
class PolySchedule(keras.optimizers.schedules.LearningRateSchedule):
    """initial * (1 - step / steps) ** power, after a linear warm-up from zero.

    Args:
      initial: learning rate at the start of the decay.
      steps: steps of the whole training, warm-up included; the rate is 0 there.
      power: of the decay.
      warmup_steps: length of the warm-up; 0 for none.
    """

    def __init__(self, initial, steps, power, warmup_steps=0):
        self.initial, self.steps, self.power, self.warmup_steps = (
            initial,
            steps,
            power,
            warmup_steps,
        )

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        rate = self.initial * tf.maximum(1.0 - step / self.steps, 0.0) ** self.power
        return rate * tf.minimum((step + 1.0) / (self.warmup_steps + 1.0), 1.0)

    def get_config(self):
        return {
            "initial": self.initial,
            "steps": self.steps,
            "power": self.power,
            "warmup_steps": self.warmup_steps,
        }
