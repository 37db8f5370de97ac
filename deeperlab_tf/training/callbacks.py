"""What happens beside the training steps: progress bar, TensorBoard scalars and image panels, checkpoints.

Each callback is told the step the run starts from, and counts on from there.
"""

import math
import time

import tensorflow as tf
from tqdm import tqdm

from deeperlab_tf import visualize
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.inference import instance_maps, parse_heads, prepare_images
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.parsing import Parsing


class StepCallback(keras.callbacks.Callback):
    """Base: counts steps over resumes and knows when the training is over."""

    def __init__(self, config, start):
        super().__init__()
        self.config = config
        self.steps = config.train.steps
        self.step = start

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.on_step(logs)

    def on_step(self, logs):
        raise NotImplementedError

    def due(self, every):
        return self.step % every == 0 or self.step == self.steps


class Progress(StepCallback):
    """A bar with the loss, images per second and the time left; stops the run when the loss is no number."""

    def on_train_begin(self, logs=None):
        self._bar = tqdm(total=self.steps, initial=self.step, unit="step", dynamic_ncols=True, mininterval=1.0)

    def on_step(self, logs):
        self._bar.update(1)
        if self.due(10):
            if not math.isfinite(logs["loss"]):
                parts = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
                raise UserError(f"the loss is not a number at step {self.step} ({parts}); try a lower learning rate.")
            rate = self._bar.format_dict["rate"] or 0.0
            self._bar.set_postfix_str(f"loss {logs['loss']:.3f}, {rate * self.config.train.batch_size:.1f} img/s")

    def on_train_end(self, logs=None):
        self._bar.close()


class Scalars(StepCallback):
    """TensorBoard scalars: means of each loss since the last entry, learning rate, images per second."""

    def __init__(self, folder, config, start):
        super().__init__(config, start)
        self._writer = tf.summary.create_file_writer(folder)

    def on_train_begin(self, logs=None):
        self._since, self._time = self.step, time.perf_counter()

    def on_step(self, logs):
        if not self.due(self.config.train.log_every):
            return
        seconds = time.perf_counter() - self._time
        images = (self.step - self._since) * self.config.train.batch_size
        with self._writer.as_default(step=self.step):
            for name, value in logs.items():
                tf.summary.scalar(f"losses/{name}", value)
            tf.summary.scalar("learning_rate", self.model.optimizer.learning_rate)
            tf.summary.scalar("images_per_second", images / seconds)
        self._writer.flush()
        self.model.reset_metrics()
        self._since, self._time = self.step, time.perf_counter()


class ImagePanels(StepCallback):
    """TensorBoard images of a few fixed samples: how the network sees them as it learns.

    `val/N`: image, keypoint heatmap, instance detections (Fig. 10), instances, semantics, parse and truth side by side;
    `val_offsets/N`: the offset fields on colour wheels.
    """

    def __init__(self, folder, config, dataset, samples, start):
        super().__init__(config, start)
        self._writer = tf.summary.create_file_writer(folder)
        self._dataset = dataset
        self._samples = list(samples)
        self._parse = None

    def on_train_begin(self, logs=None):
        network, config, things = self.model.network, self.config, self._dataset.thing_classes

        @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)])
        def parse_and_heads(images):
            heads = network(prepare_images(images, config), training=False)
            return parse_heads(heads, tf.shape(images)[1], tf.shape(images)[2], config, things), heads

        self._parse = parse_and_heads

    def on_step(self, logs):
        if not self._samples or not self.due(self.config.train.panels_every):
            return
        with self._writer.as_default(step=self.step):
            for index, sample in enumerate(self._samples):
                panel, offsets = self._pictures(sample)
                tf.summary.image(f"val/{index}", panel[None])
                tf.summary.image(f"val_offsets/{index}", offsets[None])
        self._writer.flush()

    def _pictures(self, sample):
        image = sample["image"]
        outputs, heads = self._parse(tf.constant(image[None]))
        parsing = Parsing.from_fused({name: values[0].numpy() for name, values in outputs.items()}, self._dataset)
        maps = instance_maps(heads, *image.shape[:2], self.config)
        truth = Parsing.from_maps(sample["semantic"], sample["instance"], self._dataset)
        panel = visualize.prediction_sheet(image, parsing, maps["heatmap"], truth)
        return panel, visualize.offset_sheet(maps, keypoint_graph(self.config.model.keypoint_graph), image)


class SaveCheckpoints(StepCallback):
    """A checkpoint every `train.checkpoint_every` steps and at the end."""

    def __init__(self, manager, config, start):
        super().__init__(config, start)
        self._manager = manager

    def on_step(self, logs):
        if self.due(self.config.train.checkpoint_every):
            self._manager.save(checkpoint_number=self.step)
