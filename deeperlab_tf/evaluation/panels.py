"""TensorBoard's image panels: how the network sees a few fixed samples as it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.prediction.inference import instance_maps, parse_heads, prepare_images
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.callbacks import Run, StepCallback
from deeperlab_tf.visualize.sheets import offset_sheet, prediction_sheet

Sample = Mapping[str, np.ndarray]  # image, semantic, instance


def make_panels(dataset: Dataset, samples: Sequence[Sample]) -> Callable[[Run], list[ImagePanels]]:
    """The function `make_callbacks` of `training.loop.RunOptions`: `Run` -> list of callbacks.

    Args:
      dataset: the classes.
      samples: dicts of `image`, `semantic`, `instance`.
    """

    def make_callbacks(run):
        return [ImagePanels(run, dataset, samples)] if run.is_chief else []

    return make_callbacks


class ImagePanels(StepCallback):
    """TensorBoard images of a few fixed samples: how the network sees them as it learns.

    `val/N`: image, keypoint heatmap, instance detections (Fig. 10), instances, semantics, parse and
    truth side by side; `val_offsets/N`: the offset fields on colour wheels.

    Args:
      run: the training under way.
      dataset: the classes.
      samples: dicts of `image`, `semantic`, `instance`.
    """

    def __init__(self, run: Run, dataset: Dataset, samples: Sequence[Sample]) -> None:
        super().__init__(run)
        self._writer = run.summary_writer()
        self._dataset = dataset
        self._samples = list(samples)
        self._parse = None

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        network, config = self.model.network, self.config
        things = self._dataset.thing_classes
        one_image = tf.TensorSpec([1, None, None, 3], tf.uint8)

        @tf.function(input_signature=[one_image], autograph=False)
        def parse_and_heads(images):
            heads = network(prepare_images(images, config), training=False)
            height, width = tf.shape(images)[1], tf.shape(images)[2]
            return parse_heads(heads, height, width, config, things), heads

        self._parse = parse_and_heads

    def on_step(self, logs: Mapping | None) -> None:
        if not self._samples or not self.due(self.config.train.panels_every):
            return
        with self._writer.as_default(step=self.step):
            for index, sample in enumerate(self._samples):
                panel, offsets = self._pictures(sample)
                tf.summary.image(f"val/{index}", panel[np.newaxis])
                tf.summary.image(f"val_offsets/{index}", offsets[np.newaxis])
        self._writer.flush()

    def _pictures(self, sample):
        image = sample["image"]
        height, width = image.shape[:2]
        outputs, heads = self._parse(tf.constant(image[np.newaxis]))
        outputs = {name: values[0].numpy() for name, values in outputs.items()}
        parsing = Parsing.from_fused(outputs, self._dataset)
        truth = Parsing.from_maps(sample["semantic"], sample["instance"], self._dataset)

        maps = instance_maps(heads, height, width, self.config)
        graph = keypoint_graph(self.config.model.keypoint_graph)
        panel = prediction_sheet(image, parsing, maps["heatmap"], truth)
        return panel, offset_sheet(maps, graph, image)
