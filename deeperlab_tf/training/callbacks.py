"""What happens beside the training steps: progress bar, log lines, TensorBoard scalars, profile.

Each callback is told the step the run starts from, and counts on from there. Only the chief of
several hosts is given a folder for TensorBoard; the others get None.
"""

import time

import tensorflow as tf
from absl import logging
from tqdm import tqdm

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.training.optimizer import build_schedule
from deeperlab_tf.training.trainer import FINITE_STEPS, INPUT_SECONDS, SUMS

PROFILED_STEPS = (10, 20)  # from the start of the run: past the tracing and the first surprises


class StepCallback(keras.callbacks.Callback):
    """Base: counts steps over resumes and knows when the training is over.

    Attributes:
      step: how many steps the network has been trained.
      executed: how many of them the last return from TensorFlow brought (`steps_per_execution`).
    """

    # Logs stay tensors: reading them would make each step wait for the last.
    _supports_tf_logs = True

    def __init__(self, config, start):
        super().__init__()
        self.config = config
        self.steps = config.train.steps
        self.start = self.step = start
        self.executed = 0

    def on_train_batch_end(self, batch, logs=None):
        before, self.step = self.step, self.start + batch + 1
        self.executed = self.step - before
        self.on_step(logs)

    def on_step(self, logs):
        raise NotImplementedError

    def due(self, every):
        """Whether a multiple of `every` steps, or the end, has come with the last execution."""
        return bool(every) and (
            self.step // every > (self.step - self.executed) // every or self.step >= self.steps
        )


class Progress(StepCallback):
    """A bar with the time left, on a terminal."""

    def on_train_begin(self, logs=None):
        self._bar = tqdm(
            total=self.steps, initial=self.step, unit="step", dynamic_ncols=True, disable=None
        )

    def on_step(self, logs):
        self._bar.update(self.executed)

    def on_train_end(self, logs=None):
        self._bar.close()


class Meter(StepCallback):
    """Means over the last steps, every `train.log_every` of them: one line in the log, and
    TensorBoard's scalars.

    Losses, learning rate, norm of the gradient before clipping, images per second, and the share of
    the time that the steps waited for their data. Where a loss is not a number it stops the run and
    says at which step; so it comes before the callback that saves checkpoints, and looks when that
    one is about to save, too.
    """

    def __init__(self, folder, config, start):
        super().__init__(config, start)
        self._writer = (
            tf.summary.create_file_writer(folder) if folder else tf.summary.create_noop_writer()
        )
        self._schedule = build_schedule(config)
        self._logs = []  # (steps, logs) of each execution since the last line

    def on_train_begin(self, logs=None):
        self._since, self._time = self.step, time.perf_counter()

    def on_step(self, logs):
        self._logs.append((self.executed, logs))
        train = self.config.train
        if self.due(train.log_every):
            self._report()
        elif self.due(train.checkpoint_every) or self.due(train.evaluate_every):
            self._summary()

    def _report(self):
        means = self._summary()
        now = time.perf_counter()
        seconds, steps = now - self._time, self.step - self._since
        scalars = {
            "learning_rate": float(self._schedule(self.step - 1)),
            "gradient_norm": means.pop("gradient_norm"),
            "images_per_second": steps * self.config.train.batch_size / seconds,
            "input_wait": means.pop(INPUT_SECONDS) * steps / seconds,
        }
        with self._writer.as_default(step=self.step):
            for name, value in means.items():
                tf.summary.scalar(f"losses/{name}", value)
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writer.flush()
        logging.info(
            "step %d/%d  %s  rate %.3g  gradient %.3g  %.1f img/s  waiting for input %.0f %%",
            self.step,
            self.steps,
            "  ".join(f"{name} {value:.4g}" for name, value in means.items()),
            *list(scalars.values())[:3],
            100 * scalars["input_wait"],
        )
        self._since, self._time, self._logs = self.step, now, []

    def _summary(self):
        """Means a step since the last line, as floats; stops the run where the loss is not one."""
        steps = self._since
        total = dict.fromkeys(self._logs[0][1], 0.0)
        for executed, logs in self._logs:
            values = {name: float(value) for name, value in logs.items()}
            if values[FINITE_STEPS] < executed:
                named = ", ".join(
                    f"{name} {value:.4g}" for name, value in values.items() if name not in SUMS
                )
                raise UserError(
                    f"the loss is not a number at step {steps + int(values[FINITE_STEPS]) + 1} ({named}); "
                    "try a lower learning rate, more warm-up or clip_norm."
                )
            steps += executed
            for name, value in values.items():
                total[name] += value if name in SUMS else value * executed
        del total[FINITE_STEPS]
        return {name: value / (steps - self._since) for name, value in total.items()}


class Profile(StepCallback):
    """TensorBoard's profile of steps 10 to 20 of the run."""

    def __init__(self, folder, config, start):
        super().__init__(config, start)
        self._folder = folder
        self._running = False

    def on_step(self, logs):
        done = self.step - self.start
        if (
            not self._running
            and done - self.executed < PROFILED_STEPS[0] <= done < PROFILED_STEPS[1]
        ):
            tf.profiler.experimental.start(self._folder)
            self._running = True
        elif self._running and done >= PROFILED_STEPS[1]:
            self.on_train_end()

    def on_train_end(self, logs=None):
        if self._running:
            tf.profiler.experimental.stop()
            self._running = False
