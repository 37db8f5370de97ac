"""TensorBoard's image panels: how the network sees a few fixed samples as it learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.prediction.inference import instance_maps, parse_heads, prepare_images
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.callbacks import StepCallback
from deeperlab_tf.visualize.sheets import offset_sheet, prediction_sheet

Sample = Mapping[str, np.ndarray]  # image, semantic, instance


def make_panels(
    config: ConfigDict, dataset: Dataset, samples: Sequence[Sample]
) -> Callable[[str | None, int], list[ImagePanels]]:
    """The function by which `fit` makes its callback.

    Args:
      config: the whole config.
      dataset: the classes.
      samples: dicts of `image`, `semantic`, `instance`.

    Returns:
      Function (TensorBoard's folder, or None; step to start from) -> list of callbacks.
    """

    def panels(board, start):
        return [ImagePanels(board, config, dataset, samples, start)] if board else []

    return panels


class ImagePanels(StepCallback):
    """TensorBoard images of a few fixed samples: how the network sees them as it learns.

    `val/N`: image, keypoint heatmap, instance detections (Fig. 10), instances, semantics, parse and
    truth side by side; `val_offsets/N`: the offset fields on colour wheels.

    Args:
      folder: TensorBoard's.
      config: the whole config.
      dataset: the classes.
      samples: dicts of `image`, `semantic`, `instance`.
      start: step the run starts from.
    """

    def __init__(
        self,
        folder: str,
        config: ConfigDict,
        dataset: Dataset,
        samples: Sequence[Sample],
        start: int,
    ) -> None:
        super().__init__(config, start)
        self._writer = tf.summary.create_file_writer(folder)
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
