"""Saves the training: every so many steps, when the machine is taken away, and when an evaluation
is the best yet.
"""

import json
import math
import os
import signal
import threading

import tensorflow as tf
from absl import logging

from deeperlab_tf.errors import UserError
from deeperlab_tf.training.callbacks import StepCallback
from deeperlab_tf.training.workdir import BEST_DIR, BEST_FILE, read_best, write_text

PREEMPTED = 143  # exit status of a program that SIGTERM has ended
_AGREE_EVERY = 10  # steps between looking whether one of several hosts is to stop


class SaveCheckpoints(StepCallback):
    """A checkpoint every `train.checkpoint_every` steps, at the end, and on SIGTERM, which then
    ends the program.

    Several hosts save together or not at all, so they ask each other every few steps whether one
    has got the signal.
    """

    def __init__(self, store, config, start, strategy):
        super().__init__(config, start)
        self._store = store
        self._terminated = threading.Event()
        self._several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._votes = None
        if self._several:
            with strategy.scope():
                self._votes = tf.Variable(
                    0.0,
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.SUM,
                )
        self._handler = None

    def on_train_begin(self, logs=None):
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, lambda *_: self._terminated.set())

    def on_step(self, logs):
        stop = self._agreed_to_stop()
        if not self.due(self.config.train.checkpoint_every) and not stop:
            return
        saved = self._store.save(self.step)
        if stop:
            logging.warning(
                "terminated at step %d%s", self.step, "; the same command goes on from here" * saved
            )
            self.on_train_end()
            raise SystemExit(PREEMPTED)
        if self.step >= self.steps and not saved:
            raise UserError(
                f"the last checkpoint could not be saved in {self._store.folder}; make room and run again."
            )

    def on_train_end(self, logs=None):
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)
            self._handler = None

    def _agreed_to_stop(self):
        if not self._several:
            return self._terminated.is_set()
        if not self.due(_AGREE_EVERY):
            return False
        if self._terminated.is_set():
            self._votes.assign(1.0)
        return float(self._votes.read_value()) > 0


class Evaluate(StepCallback):
    """Evaluates every `train.evaluate_every` steps and keeps the best checkpoint (by
    `train.best_metric`).

    Args:
      folder: TensorBoard's, or None.
      workdir: of the run.
      store: `Store` in the workdir's folder of the best.
      evaluate: function of the network that gives a dict of metrics; on several hosts, the same one
        on all.
    """

    def __init__(self, folder, config, start, workdir, store, evaluate):
        super().__init__(config, start)
        self._writer = (
            tf.summary.create_file_writer(folder) if folder else tf.summary.create_noop_writer()
        )
        self._workdir = workdir
        self._store = store
        self._evaluate = evaluate
        self._best = (read_best(workdir) or {}).get(config.train.best_metric, -math.inf)
        self._chief = folder is not None

    def on_step(self, logs):
        if not self.due(self.config.train.evaluate_every):
            return
        with _Averaged(self.model):
            metrics = self._evaluate(self.model.network)
        numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
        key = self.config.train.best_metric
        if key not in numbers:
            raise UserError(
                f"config.train.best_metric is {key!r}; the metrics are {', '.join(sorted(numbers))}."
            )
        with self._writer.as_default(step=self.step):
            for name, value in numbers.items():
                tf.summary.scalar(f"evaluation/{name}", value)
        self._writer.flush()
        shown = [
            f"{name} {numbers[name]:.4f}"
            for name in ("pq", "sq", "rq", "pc", "miou", key)
            if name in numbers
        ]
        logging.info("evaluation at step %d: %s", self.step, "  ".join(shown))
        if numbers[key] > self._best and self._store.save(self.step):
            self._best = numbers[key]
            if self._chief:
                finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
                text = json.dumps({"step": self.step, **finite}, indent=2)
                write_text(os.path.join(self._workdir, BEST_DIR, BEST_FILE), text + "\n")


class _Averaged:
    """Within it, the network has the moving average of its weights, where the optimizer keeps one."""

    def __init__(self, trainer):
        self._variables = trainer.network.trainable_variables
        self._optimizer = trainer.optimizer
        self._active = bool(trainer.config.train.ema)

    def __enter__(self):
        if self._active:
            self._weights = [variable.numpy() for variable in self._variables]
            self._optimizer.finalize_variable_values(self._variables)

    def __exit__(self, *exception):
        if self._active:
            for variable, weight in zip(self._variables, self._weights):
                variable.assign(weight)
