"""When a training is saved: every so many steps, on SIGTERM, and where it evaluates best."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from absl import logging

from deeperlab_tf.errors import UserError
from deeperlab_tf.training.callbacks import Run, StepCallback
from deeperlab_tf.training.checkpoints import Store
from deeperlab_tf.training.trainer import Trainer, Values
from deeperlab_tf.training.workdir import read_best, write_best

PREEMPTED = 143  # exit status of a program that SIGTERM has ended
_AGREE_EVERY = 10  # steps between looking whether one of several hosts is to stop
_SHOWN_METRICS = ("pq", "sq", "rq", "pc", "miou")


class SaveCheckpoints(StepCallback):
    """A checkpoint every `train.checkpoint_every` steps, at the end, and on SIGTERM.

    SIGTERM (the machine is taken away) then ends the program. Several hosts save together or not at
    all, so they ask each other every few steps whether one has got the signal.

    Args:
      run: the training.
      store: where they go.
    """

    def __init__(self, run: Run, store: Store):
        super().__init__(run)
        self._store = store
        self._terminated = threading.Event()
        self._several = isinstance(run.strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._votes = None
        if self._several:
            with run.strategy.scope():
                self._votes = tf.Variable(
                    0.0,
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.SUM,
                )
        self._handler = None

    def on_train_begin(self, logs: Any = None) -> None:
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, *_: Any) -> None:
        self._terminated.set()

    def on_step(self, logs: Values | None) -> None:
        stop = self._agreed_to_stop()
        if not self.due(self.config.train.checkpoint_every) and not stop:
            return
        saved = self._store.save(self.step)
        if stop:
            advice = "; the same command goes on from here" if saved else ""
            logging.warning("terminated at step %d%s", self.step, advice)
            self.on_train_end()
            raise SystemExit(PREEMPTED)
        if self.step >= self.steps and not saved:
            raise UserError(
                f"the last checkpoint could not be saved in {self._store.folder}; "
                "make room and run again."
            )

    def on_train_end(self, logs: Any = None) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)
            self._handler = None

    def _agreed_to_stop(self) -> bool:
        if not self._several:
            return self._terminated.is_set()
        if not self.due(_AGREE_EVERY):
            return False
        if self._terminated.is_set():
            self._votes.assign(1.0)
        return float(self._votes.read_value()) > 0


class Evaluate(StepCallback):
    """Evaluates every `train.evaluate_every` steps and keeps the best checkpoint.

    The best is that of the highest `train.best_metric`.

    Args:
      run: the training.
      store: in the workdir's folder of the best.
      evaluate: function of the network that gives a dict of metrics; on several hosts, the same
        ones on all.
    """

    def __init__(self, run: Run, store: Store, evaluate: Callable[..., dict[str, Any]]):
        super().__init__(run)
        self._writer = run.summary_writer()
        self._run = run
        self._store = store
        self._evaluate = evaluate
        self._key = run.config.train.best_metric
        before = read_best(run.workdir) or {}
        self._best = before.get(self._key, -math.inf)

    def on_step(self, logs: Values | None) -> None:
        if not self.due(self.config.train.evaluate_every):
            return
        with _Averaged(self.model):
            metrics = self._evaluate(self.model.network)
        numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
        if self._key not in numbers:
            known = ", ".join(sorted(numbers))
            raise UserError(f"config.train.best_metric is {self._key!r}; the metrics are {known}.")
        self._report(numbers)
        if numbers[self._key] > self._best and self._store.save(self.step):
            self._best = numbers[self._key]
            if self._run.is_chief:
                write_best(self._run.workdir, self.step, numbers)

    def _report(self, numbers: dict[str, float]) -> None:
        with self._writer.as_default(step=self.step):
            for name, value in numbers.items():
                tf.summary.scalar(f"evaluation/{name}", value)
        self._writer.flush()
        names = dict.fromkeys((*_SHOWN_METRICS, self._key))
        shown = "  ".join(f"{name} {numbers[name]:.4f}" for name in names if name in numbers)
        logging.info("evaluation at step %d: %s", self.step, shown)


class _Averaged:
    """Within it, the network has the moving average of its weights, where there is one."""

    def __init__(self, trainer: Trainer):
        self._variables = trainer.network.trainable_variables
        self._optimizer = trainer.optimizer
        self._active = bool(trainer.config.train.ema)

    def __enter__(self) -> None:
        if self._active:
            self._weights = [variable.numpy() for variable in self._variables]
            self._optimizer.finalize_variable_values(self._variables)

    def __exit__(self, *exception: Any) -> None:
        if self._active:
            for variable, weight in zip(self._variables, self._weights):
                variable.assign(weight)
