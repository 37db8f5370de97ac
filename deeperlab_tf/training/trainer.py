"""One training step, on Keras' own loop (paper Sec. 4)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.layers import Dropout
from deeperlab_tf.losses import LOSSES, total_loss
from deeperlab_tf.training import batch_norm
from deeperlab_tf.training.frozen import freeze
from deeperlab_tf.training.optimizer import decayed_variables

# What the logs of an execution hold beside losses and `gradient_norm`: how long it waited for its
# data, and how many steps went by until a loss was not a number.
INPUT_SECONDS, FINITE_STEPS = "input_seconds", "finite_steps"
SUMS = (INPUT_SECONDS, FINITE_STEPS)

Values = dict[str, tf.Tensor]


class Trainer(keras.Model):
    """Wraps a network with its losses for `fit`; the network itself stays a plain functional model.

    Make it, and the optimizer, inside the scope of the strategy.

    Args:
      network: keras.Model.
      config: the full config; `train` counts here.
      loss: function (outputs, targets, config, step) -> (total [b], dict of its parts [b]), each a
        value per image; `step` is the optimizer's, an int scalar.
      loss_names: keys of the parts.

    Attributes:
      times_input: False: do not measure how long steps wait for their data.
    """

    times_input = True

    def __init__(
        self,
        network: keras.Model,
        config: ConfigDict,
        loss: Callable[..., tuple[tf.Tensor, Values]] = total_loss,
        loss_names: tuple[str, ...] = LOSSES,
    ):
        super().__init__(name="trainer")
        self.network = network
        self.config = config
        self.value_names = ("loss", *loss_names, "weight_decay")
        self._loss = loss
        self._part = 0  # of the batch that is being traced

        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        freeze(network, config.train)
        if config.train.sync_batch_norm and replicas > 1:
            batch_norm.synchronise(network)
        self._decayed = decayed_variables(network)
        dropouts = [each for each in network._flatten_layers() if isinstance(each, Dropout)]
        for number, layer in enumerate(dropouts):
            layer.seed_of_step = functools.partial(self._dropout_seed, number)

    def call(self, images: tf.Tensor, training: bool = False) -> Values:
        return self.network(images, training=training)

    # === One step ===

    def train_step(self, data: tuple[tf.Tensor, Values]) -> Values:
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
        limit = self.config.train.clip_norm
        if limit:
            gradients, _ = tf.clip_by_global_norm(gradients, limit, use_norm=norm)
        pairs = zip(gradients, self.network.trainable_variables)
        self.optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)
        return dict(zip(self.value_names, tf.unstack(means)), gradient_norm=norm)

    def _accumulate(self, data: tuple[tf.Tensor, Values]) -> tuple[list[tf.Tensor], Values]:
        """Gradients and losses of a share, the sum over its parts, one part after the other."""
        parts = self.config.train.accumulation_steps
        if parts == 1:
            return self._gradients(*data)
        pieces = [tf.split(tensor, parts) for tensor in tf.nest.flatten(data)]
        gradients, values = [], {}
        for part in range(parts):
            self._part = part
            # Without it all parts would lie in memory at once.
            with tf.control_dependencies(gradients):
                images_and_targets = tf.nest.pack_sequence_as(data, [each[part] for each in pieces])
                added, new_values = self._gradients(*images_and_targets)
            if gradients:
                added = [old + new for old, new in zip(gradients, added)]
            gradients = added
            for name, new in new_values.items():
                values[name] = tf.concat([values.get(name, []), new], axis=0)
        return gradients, values

    def _gradients(self, images: tf.Tensor, targets: Values) -> tuple[list[tf.Tensor], Values]:
        """Gradients of this part's share of the global loss, and losses per image.

        Under float16 the gradients are scaled.
        """
        train = self.config.train
        with tf.GradientTape() as tape:
            heads = self.network(images, training=True)
            per_image, values = self._loss(heads, targets, self.config, self.optimizer.iterations)
            loss = tf.nn.compute_average_loss(per_image, global_batch_size=train.batch_size)
            decay = train.weight_decay * tf.add_n([tf.nn.l2_loss(v) for v in self._decayed])
            # Every part on every replica adds its share: gradients are summed.
            loss += tf.nn.scale_regularization_loss(decay) / train.accumulation_steps
            scaled = self.optimizer.get_scaled_loss(loss) if self._scales_loss else loss
        gradients = tape.gradient(scaled, self.network.trainable_variables)
        decays = tf.fill(tf.shape(per_image), decay)
        return gradients, dict(values, loss=per_image + decays, weight_decay=decays)

    def _dropout_seed(self, number: int) -> tf.Tensor:
        """A seed of its own, int32 [2], for each step, replica, part of the batch and layer.

        It is the same again after a resume.
        """
        train = self.config.train
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        step = tf.cast(self.optimizer.iterations, tf.int32)
        part = tf.cast(replica, tf.int32) * train.accumulation_steps + self._part

        fold_in = tf.random.experimental.stateless_fold_in
        seed = fold_in(tf.constant([train.seed, number], tf.int32), step)
        return fold_in(seed, part)

    @property
    def _scales_loss(self) -> bool:
        return isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)

    # === Several steps ===

    def make_train_function(self, force: bool = False) -> Callable[[Any], Values]:
        """As Keras', with `SUMS` in the logs.

        The logs of an execution of several steps are their means and sums.
        """
        if self.train_function is not None and not force:
            return self.train_function
        step = self.train_step
        if self._jit_compile:
            step = tf.function(step, jit_compile=True, reduce_retracing=True)

        @tf.autograph.experimental.do_not_convert
        def one_step(iterator):
            return self._one_step(step, iterator)

        def several_steps(iterator):
            steps = tf.cast(self._steps_per_execution, tf.float32)
            total, done = one_step(iterator), 1.0
            for _ in tf.range(steps - 1.0):
                logs = one_step(iterator)
                # Steps after a bad one do not count.
                is_good_so_far = tf.cast(tf.equal(total[FINITE_STEPS], done), tf.float32)
                logs[FINITE_STEPS] *= is_good_so_far
                total = {name: total[name] + logs[name] for name in total}
                done += 1.0
            return {name: value if name in SUMS else value / steps for name, value in total.items()}

        runs_one = self._steps_per_execution.numpy().item() == 1
        self.train_function = tf.function(one_step if runs_one else several_steps)
        return self.train_function

    def _one_step(self, step: Callable[..., Values], iterator: Any) -> Values:
        """Logs of a step on all replicas."""
        strategy = self.distribute_strategy
        if self.times_input:
            data, waited = _timed_next(iterator, strategy)
        else:
            data, waited = next(iterator), 0.0
        logs = {}
        for name, value in strategy.run(step, args=(data,)).items():
            logs[name] = strategy.experimental_local_results(value)[0]
        logs[INPUT_SECONDS] = waited
        logs[FINITE_STEPS] = tf.cast(tf.math.is_finite(logs["loss"]), tf.float32)
        return logs


def _timed_next(iterator: Any, strategy: tf.distribute.Strategy) -> tuple[Any, tf.Tensor]:
    """(next(iterator), seconds that took)."""
    asked = tf.timestamp()
    with tf.control_dependencies([asked]):
        data = next(iterator)
    tensors = tf.nest.flatten(strategy.experimental_local_results(data))
    with tf.control_dependencies(tensors):
        return data, tf.cast(tf.timestamp() - asked, tf.float32)
