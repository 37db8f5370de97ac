"""TensorBoard's image panels: how the network sees a few fixed samples as it learns."""

import tensorflow as tf

from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.prediction.inference import instance_maps, parse_heads, prepare_images
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.training.callbacks import StepCallback
from deeperlab_tf.visualize import parses as visualize


def make_panels(dataset, samples):
    """The function `make_callbacks` of `training.loop.RunOptions`: `Run` -> list of callbacks.

    Args:
      dataset: `schema.Dataset`.
      samples: dicts of `image`, `semantic`, `instance`.
    """

    def make_callbacks(run):
        return [ImagePanels(run, dataset, samples)] if run.is_chief else []

    return make_callbacks


class ImagePanels(StepCallback):
    """TensorBoard images of a few fixed samples: how the network sees them as it learns.

    `val/N`: image, keypoint heatmap, instance detections (Fig. 10), instances, semantics, parse and
    truth side by side; `val_offsets/N`: the offset fields on colour wheels.
    """

    def __init__(self, run, dataset, samples):
        super().__init__(run)
        self._writer = run.summary_writer()
        self._dataset = dataset
        self._samples = list(samples)
        self._parse = None

    def on_train_begin(self, logs=None):
        network, config, things = self.model.network, self.config, self._dataset.thing_classes

        @tf.function(input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)], autograph=False)
        def parse_and_heads(images):
            heads = network(prepare_images(images, config), training=False)
            return parse_heads(
                heads, tf.shape(images)[1], tf.shape(images)[2], config, things
            ), heads

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
        parsing = Parsing.from_fused(
            {name: values[0].numpy() for name, values in outputs.items()}, self._dataset
        )
        maps = instance_maps(heads, *image.shape[:2], self.config)
        truth = Parsing.from_maps(sample["semantic"], sample["instance"], self._dataset)
        panel = visualize.prediction_sheet(image, parsing, maps["heatmap"], truth)
        return panel, visualize.offset_sheet(
            maps, keypoint_graph(self.config.model.keypoint_graph), image
        )
