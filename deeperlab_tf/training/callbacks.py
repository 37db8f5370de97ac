"""What happens beside the training steps: progress bar, log lines, TensorBoard scalars, profile."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.training.optimizer import build_schedule
from deeperlab_tf.training.strategy import is_chief
from deeperlab_tf.training.trainer import FINITE_STEPS, INPUT_SECONDS, SUMS, Values

PROFILED_STEPS = (10, 20)  # from the start of the run: past the tracing and the first surprises


class Run(NamedTuple):
    """A training under way, as its callbacks are told of it.

    Attributes:
      config: the full config.
      workdir: its folder.
      strategy: what it runs on.
      start: step that it starts from, or goes on from.
    """

    config: ConfigDict
    workdir: str
    strategy: tf.distribute.Strategy
    start: int

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes files."""
        return is_chief(self.strategy)

    @property
    def board(self) -> str | None:
        """TensorBoard's folder; None on other hosts than the chief."""
        return storage.join(self.workdir, "tensorboard") if self.is_chief else None

    def summary_writer(self) -> tf.summary.SummaryWriter:
        """TensorBoard's; it writes nothing on other hosts than the chief."""
        if not self.is_chief:
            return tf.summary.create_noop_writer()
        return tf.summary.create_file_writer(self.board)


class StepCallback(keras.callbacks.Callback):
    """Base: counts steps over resumes and knows when the training is over.

    Attributes:
      config: the full config.
      steps: of the whole training.
      start: step that the run starts from.
      step: how many steps the network has been trained.
      executed: how many of them the last return from TensorFlow brought (`steps_per_execution`).
    """

    # Logs stay tensors: reading them would make each step wait for the last.
    _supports_tf_logs = True

    def __init__(self, run: Run):
        super().__init__()
        self.config = run.config
        self.steps = run.config.train.steps
        self.start = run.start
        self.step = run.start
        self.executed = 0

    def on_train_batch_end(self, batch: int, logs: Values | None = None) -> None:
        before = self.step
        self.step = self.start + batch + 1
        self.executed = self.step - before
        self.on_step(logs)

    def on_step(self, logs: Values | None) -> None:
        """What to do after each execution."""
        raise NotImplementedError

    def due(self, every: int) -> bool:
        """Whether a multiple of `every` steps, or the end, has come with the last execution."""
        if not every:
            return False
        before = self.step - self.executed
        return self.step // every > before // every or self.step >= self.steps


class Progress(StepCallback):
    """A bar with the time left, on a terminal."""

    def on_train_begin(self, logs: Any = None) -> None:
        self._bar = tqdm(
            total=self.steps,
            initial=self.step,
            unit="step",
            dynamic_ncols=True,
            disable=None,
        )

    def on_step(self, logs: Values | None) -> None:
        self._bar.update(self.executed)

    def on_train_end(self, logs: Any = None) -> None:
        self._bar.close()


class Meter(StepCallback):
    """Means over the last steps, every `train.log_every` of them.

    They go into one line of the log and TensorBoard's scalars: losses, learning rate, norm of the
    gradient before clipping, images per second, and the share of the time that the steps waited for
    their data.

    Where a loss is not a number it stops the run and says at which step; so it comes before the
    callback that saves checkpoints, and looks when that one is about to save, too.
    """

    def __init__(self, run: Run):
        super().__init__(run)
        self._writer = run.summary_writer()
        self._schedule = build_schedule(run.config)
        self._logs = []  # (steps, logs) of each execution since the last line

    def on_train_begin(self, logs: Any = None) -> None:
        self._since = self.step
        self._time = time.perf_counter()

    def on_step(self, logs: Values | None) -> None:
        self._logs.append((self.executed, logs))
        train = self.config.train
        if self.due(train.log_every):
            self._report()
        elif self.due(train.checkpoint_every) or self.due(train.evaluate_every):
            self._means()

    def _report(self) -> None:
        means = self._means()
        now = time.perf_counter()
        seconds = now - self._time
        steps = self.step - self._since
        rate = float(self._schedule(self.step - 1))
        gradient = means.pop("gradient_norm")
        speed = steps * self.config.train.batch_size / seconds
        waited = means.pop(INPUT_SECONDS) * steps / seconds

        with self._writer.as_default(step=self.step):
            for name, value in means.items():
                tf.summary.scalar(f"losses/{name}", value)
            tf.summary.scalar("learning_rate", rate)
            tf.summary.scalar("gradient_norm", gradient)
            tf.summary.scalar("images_per_second", speed)
            tf.summary.scalar("input_wait", waited)
        self._writer.flush()
        logging.info(
            "step %d/%d  %s  rate %.3g  gradient %.3g  %.1f img/s  waiting for input %.0f %%",
            self.step,
            self.steps,
            _listed(means, "  "),
            rate,
            gradient,
            speed,
            100 * waited,
        )
        self._since, self._time, self._logs = self.step, now, []

    def _means(self) -> dict[str, float]:
        """Means per step since the last line; stops the run where the loss is not a number."""
        step = self._since
        total = dict.fromkeys(self._logs[0][1], 0.0)
        for executed, logs in self._logs:
            values = {name: float(value) for name, value in logs.items()}
            if values[FINITE_STEPS] < executed:
                bad_step = step + int(values[FINITE_STEPS]) + 1
                losses = {name: value for name, value in values.items() if name not in SUMS}
                raise UserError(
                    f"the loss is not a number at step {bad_step} ({_listed(losses, ', ')}); "
                    "try a lower learning rate, more warm-up or clip_norm."
                )
            step += executed
            for name, value in values.items():
                total[name] += value if name in SUMS else value * executed
        del total[FINITE_STEPS]
        return {name: value / (step - self._since) for name, value in total.items()}


def _listed(values: dict[str, float], separator: str) -> str:
    return separator.join(f"{name} {value:.4g}" for name, value in values.items())


class Profile(StepCallback):
    """TensorBoard's profile of steps 10 to 20 of the run."""

    def __init__(self, run: Run):
        super().__init__(run)
        self._folder = run.board
        self._running = False

    def on_step(self, logs: Values | None) -> None:
        first, last = PROFILED_STEPS
        done = self.step - self.start
        before = done - self.executed
        if not self._running and before < first <= done < last:
            tf.profiler.experimental.start(self._folder)
            self._running = True
        elif self._running and done >= last:
            self.on_train_end()

    def on_train_end(self, logs: Any = None) -> None:
        if self._running:
            tf.profiler.experimental.stop()
            self._running = False
