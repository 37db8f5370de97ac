"""Which sample comes when: a function of (config.data.seed, running number) alone, on any number of
hosts, so that a run can be repeated and resumed.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError

ENDLESS = np.iinfo(np.int64).max


class Numbers:
    """Which running numbers of the whole run's samples one of several input pipelines makes.

    Args:
      batch_size: of the whole run's step.
      context: this pipeline's place among all.

    Attributes:
      num_pipelines: how many share the work.
      pipeline: which of them this is, from 0 on.
      batch_size: of the whole run's step.
      local_batch_size: this pipeline's part of it.
      replica_batch_size: what one replica takes of it.

    Raises:
      UserError: the batch cannot be shared out.
    """

    def __init__(self, batch_size: int, context: tf.distribute.InputContext):
        self.num_pipelines = context.num_input_pipelines
        if batch_size % self.num_pipelines:
            raise UserError(
                f"config.train.batch_size is {batch_size}; "
                f"give a multiple of the {self.num_pipelines} hosts."
            )
        self.pipeline = context.input_pipeline_id
        self.batch_size = batch_size
        self.local_batch_size = batch_size // self.num_pipelines
        self.replica_batch_size = context.get_per_replica_batch_size(batch_size)

    def number(self, local: tf.Tensor) -> tf.Tensor:
        """The running number of the `local`-th sample of this pipeline; both int64 []."""
        step = local // self.local_batch_size
        place = local % self.local_batch_size
        first_of_pipeline = self.pipeline * self.local_batch_size
        return step * self.batch_size + first_of_pipeline + place

    def first_local(self, step: int) -> int:
        """Which of this pipeline's samples a step begins with."""
        return step * self.local_batch_size


def seed_pair(data: ConfigDict, number: tf.Tensor) -> tf.Tensor:
    """Seed of a stateless random operation, int64 [2]: (config.data.seed, `number`)."""
    seed = tf.cast(data.seed, tf.int64)
    number = tf.cast(number, tf.int64)
    return tf.stack([seed, number])


def sample_index(number: tf.Tensor, length: int, data: ConfigDict) -> tf.Tensor:
    """Which sample of a split is the `number`-th of the run.

    Each epoch passes through all samples, in an order of its own where `data.shuffle` is set.

    Args:
      number: int64 [].
      length: number of samples of the split.
      data: config.data; reads shuffle and seed.

    Returns:
      int64 [], below `length`.
    """
    epoch = number // length
    position = number % length
    if not data.shuffle:
        return position
    seed = tf.cast(seed_pair(data, epoch), tf.uint32)
    last = tf.cast(length - 1, tf.int64)
    return tf.random.experimental.index_shuffle(position, seed, last)
