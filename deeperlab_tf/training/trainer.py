"""One training step, on Keras' own loop (paper Sec. 4)."""

import tensorflow as tf

from deeperlab_tf.compat import keras
from deeperlab_tf.layers import Dropout
from deeperlab_tf.losses import LOSSES, total_loss
from deeperlab_tf.training import batch_norm
from deeperlab_tf.training.optimizer import decayed_variables

# What the logs of an execution hold beside losses and `gradient_norm`: how long it waited for its
# data, and how many steps went by until a loss was not a number.
INPUT_SECONDS, FINITE_STEPS = "input_seconds", "finite_steps"
SUMS = (INPUT_SECONDS, FINITE_STEPS)


class Trainer(keras.Model):
    """Wraps a network with its losses for `fit`; the network itself stays a plain functional model.

    Make it, and the optimizer, inside the scope of the strategy.

    Args:
      network: keras.Model.
      config: the full config; `train` counts here.
      loss: function (outputs, targets, config) -> (total [b], dict of its parts [b]), each a value
        per image.
      loss_names: keys of the parts.

    Attributes:
      times_input: False: do not measure how long steps wait for their data.
    """

    times_input = True

    def __init__(self, network, config, loss=total_loss, loss_names=LOSSES):
        super().__init__(name="trainer")
        self.network = network
        self.config = config
        self._loss = loss
        self.value_names = ("loss", *loss_names, "weight_decay")
        self._part = 0  # of the batch that is being traced
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if config.train.freeze_batch_norm:
            batch_norm.freeze(network)
        elif config.train.sync_batch_norm and replicas > 1:
            batch_norm.synchronise(network)
        self._decayed = decayed_variables(network)
        for number, layer in enumerate(
            each for each in network._flatten_layers() if isinstance(each, Dropout)
        ):
            layer.seed_of_step = lambda number=number: self._dropout_seed(number)

    def call(self, images, training=False):
        return self.network(images, training=training)

    def train_step(self, data):
        """One step on one replica's share of a batch.

        Returns:
          dict of scalars: the losses' means over the whole batch, weighted sum `loss` first, and
            `gradient_norm`.
        """
        gradients, values = self._accumulate(data)
        means = tf.stack([tf.reduce_mean(values[name]) for name in self.value_names])
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            gradients = context.all_reduce("SUM", gradients)
            means = context.all_reduce("MEAN", means)
        if self._scales_loss:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        norm = tf.linalg.global_norm(gradients)
        if self.config.train.clip_norm:
            gradients, _ = tf.clip_by_global_norm(
                gradients, self.config.train.clip_norm, use_norm=norm
            )
        pairs = zip(gradients, self.network.trainable_variables)
        self.optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
        return dict(zip(self.value_names, tf.unstack(means)), gradient_norm=norm)

    def _accumulate(self, data):
        """Gradients and losses of a share, the sum over its parts, one part after the other."""
        parts = self.config.train.accumulation_steps
        if parts == 1:
            return self._gradients(*data)
        pieces = [tf.split(tensor, parts) for tensor in tf.nest.flatten(data)]
        gradients, values = [], {}
        for part in range(parts):
            self._part = part
            with tf.control_dependencies(gradients):  # or all parts would lie in memory at once
                new_gradients, new_values = self._gradients(
                    *tf.nest.pack_sequence_as(data, [p[part] for p in pieces])
                )
            gradients = (
                [old + new for old, new in zip(gradients, new_gradients)]
                if gradients
                else new_gradients
            )
            values = {
                name: tf.concat([values.get(name, []), new], axis=0)
                for name, new in new_values.items()
            }
        return gradients, values

    def _gradients(self, images, targets):
        """Gradients of this part's share of the global loss (scaled under float16), dict of losses
        per image.
        """
        with tf.GradientTape() as tape:
            heads = self.network(images, training=True)
            per_image, values = self._loss(heads, targets, self.config)
            loss = tf.nn.compute_average_loss(
                per_image, global_batch_size=self.config.train.batch_size
            )
            # every part on every replica adds its share: gradients are summed
            decay = self.config.train.weight_decay * tf.add_n(
                [tf.nn.l2_loss(v) for v in self._decayed]
            )
            loss += tf.nn.scale_regularization_loss(decay) / self.config.train.accumulation_steps
            scaled = self.optimizer.get_scaled_loss(loss) if self._scales_loss else loss
        gradients = tape.gradient(scaled, self.network.trainable_variables)
        decays = tf.fill(tf.shape(per_image), decay)
        return gradients, dict(values, loss=per_image + decays, weight_decay=decays)

    def _dropout_seed(self, number):
        """A seed of its own for each step, replica, part of the batch and layer: the same again
        after a resume.
        """
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.constant([self.config.train.seed, number], tf.int32)
        seed = tf.random.experimental.stateless_fold_in(
            seed, tf.cast(self.optimizer.iterations, tf.int32)
        )
        part = tf.cast(replica, tf.int32) * self.config.train.accumulation_steps + self._part
        return tf.random.experimental.stateless_fold_in(seed, part)

    @property
    def _scales_loss(self):
        return isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)

    def make_train_function(self, force=False):
        """As Keras', with `SUMS` in the logs. The logs of an execution of several steps are their
        means and sums.
        """
        if self.train_function is not None and not force:
            return self.train_function
        strategy = self.distribute_strategy
        step = self.train_step
        if self._jit_compile:
            step = tf.function(step, jit_compile=True, reduce_retracing=True)

        @tf.autograph.experimental.do_not_convert
        def one_step(iterator):
            data, waited = (
                _timed_next(iterator, strategy) if self.times_input else (next(iterator), 0.0)
            )
            logs = strategy.run(step, args=(data,))
            logs = {
                name: strategy.experimental_local_results(value)[0] for name, value in logs.items()
            }
            finite = tf.cast(tf.math.is_finite(logs["loss"]), tf.float32)
            return dict(logs, **{INPUT_SECONDS: waited, FINITE_STEPS: finite})

        def several_steps(iterator):
            steps = tf.cast(self._steps_per_execution, tf.float32)
            total, done = one_step(iterator), 1.0
            for _ in tf.range(steps - 1.0):
                logs = one_step(iterator)
                logs[FINITE_STEPS] *= tf.cast(tf.equal(total[FINITE_STEPS], done), tf.float32)
                total, done = {name: total[name] + logs[name] for name in total}, done + 1.0
            return {name: value if name in SUMS else value / steps for name, value in total.items()}

        self.train_function = tf.function(
            one_step if self._steps_per_execution.numpy().item() == 1 else several_steps
        )
        return self.train_function


def _timed_next(iterator, strategy):
    """(next(iterator), seconds that took)."""
    asked = tf.timestamp()
    with tf.control_dependencies([asked]):
        data = next(iterator)
    with tf.control_dependencies(tf.nest.flatten(strategy.experimental_local_results(data))):
        return data, tf.cast(tf.timestamp() - asked, tf.float32)
