"""One training step, on Keras' own loop (paper Sec. 4)."""

import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.losses import LOSSES, total_loss
from deeperlab_tf.training.schedule import PolySchedule


class Trainer(keras.Model):
    """Wraps the network with its losses for `fit`; the network itself stays a plain functional model.

    Args:
      network: keras.Model of `build_model`.
      config: the full config.
    """

    def __init__(self, network, config):
        super().__init__(name="trainer")
        self.network = network
        self.config = config
        self._means = {name: keras.metrics.Mean(name=name) for name in ("loss", *LOSSES, "weight_decay")}
        self._decayed = decayed_variables(network)

    @property
    def metrics(self):
        return list(self._means.values())

    def call(self, images, training=False):
        return self.network(images, training=training)

    def train_step(self, data):
        images, targets = data
        with tf.GradientTape() as tape:
            heads = self.network(images, training=True)
            per_image, parts = total_loss(heads, targets, self.config)
            loss = tf.nn.compute_average_loss(per_image, global_batch_size=self.config.train.batch_size)
            # every replica adds its share: gradients are summed over replicas
            decay = self.config.train.weight_decay * tf.add_n([tf.nn.l2_loss(v) for v in self._decayed])
            loss += tf.nn.scale_regularization_loss(decay)
            scaled = self.optimizer.get_scaled_loss(loss) if self._scales_loss else loss
        variables = self.network.trainable_variables
        gradients = tape.gradient(scaled, variables)
        if self._scales_loss:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, variables))

        self._means["loss"].update_state(per_image + decay)
        self._means["weight_decay"].update_state(decay)
        for name in LOSSES:
            self._means[name].update_state(parts[name])
        return {metric.name: metric.result() for metric in self.metrics}

    @property
    def _scales_loss(self):
        return isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)


def decayed_variables(network):
    """Kernels under L2 decay: of ordinary and pointwise convolutions, never depthwise ones or batch norm (DeepLab)."""
    return [v for v in network.trainable_variables if v.name.endswith("/kernel:0") or v.name == "kernel:0"]


def build_optimizer(config):
    """The optimizer of `config.train`.

    Raises:
      UserError: for an optimizer that is not offered.
    """
    train = config.train
    schedule = PolySchedule(train.learning_rate, train.steps, train.power, train.warmup_steps)
    clip_norm = train.clip_norm or None
    if train.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(schedule, momentum=train.momentum, global_clipnorm=clip_norm)
    elif train.optimizer == "adam":
        optimizer = keras.optimizers.Adam(schedule, global_clipnorm=clip_norm)
    else:
        raise UserError(f"config.train.optimizer is {train.optimizer!r}; known optimizers are sgd and adam.")
    if train.mixed_precision == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    return optimizer
