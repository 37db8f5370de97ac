"""Heads kept: the network runs once on a photo, the fusion as often as its settings change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from deeperlab_tf.heads import head_channels
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.prediction.inference import instance_maps, parse_heads
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.predictor import Predictor


class FusionSettings(NamedTuple):
    """What one turns after a training; `config.fusion` says more.

    Attributes:
      peak_threshold: lowest score of a keypoint candidate.
      nms_iou: of two boxes that overlap by more, the one with the lower score goes.
    """

    peak_threshold: float
    nms_iou: float


class KeptHeads(NamedTuple):
    """What the network says of one image.

    Attributes:
      image: uint8 [H, W, 3], RGB.
      heads: dict of the five heads, float32 [1, h, w, channels] at stride 4 of the network's input.
    """

    image: np.ndarray
    heads: Mapping[str, np.ndarray]


class HeadKeeper:
    """Parses images so that they can be fused again.

    The settings are inputs of the fusion's graph: it is traced once, for all of them and for images
    of all sizes.

    Example:
      keeper = HeadKeeper(Predictor("street"))
      kept = keeper.keep(image)
      strict = keeper.settings._replace(peak_threshold=0.3)
      print(len(keeper.fuse(kept).segments), len(keeper.fuse(kept, strict).segments))

    Args:
      predictor: with the trained model.

    Attributes:
      dataset: what the classes mean.
      graph: the model's `KeypointGraph`.
      settings: `FusionSettings` of the model's own config.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._config = predictor.config
        self.dataset = predictor.dataset
        self.graph = keypoint_graph(self._config.model.keypoint_graph)
        fusion = self._config.fusion
        self.settings = FusionSettings(fusion.peak_threshold, fusion.nms_iou)
        self._fuse = self._traceable()

    def warm_up(self) -> None:
        """Parses an empty image, so that no photo has to wait for the graphs to be made."""
        size = self._config.eval.image_size
        self.fuse(self.keep(np.zeros([*size, 3], np.uint8)))

    def keep(self, image: np.ndarray) -> KeptHeads:
        """Runs the network.

        Args:
          image: uint8 [H, W, 3], RGB.
        """
        return KeptHeads(image, self._predictor.heads(image))

    def fuse(self, kept: KeptHeads, settings: FusionSettings | None = None) -> Parsing:
        """Fuses the heads (paper Sec. 3.4); the network does not run.

        Args:
          kept: of `keep`.
          settings: None: the model's own, which give the parse of `Predictor`.

        Returns:
          `Parsing` at the image's size, which holds the image.
        """
        heads = {name: tf.constant(values, tf.float32) for name, values in kept.heads.items()}
        size = tf.constant(kept.image.shape[:2], tf.int32)
        values = tf.constant(settings or self.settings, tf.float32)
        outputs = self._fuse(heads, size, values)
        of_image = {name: value[0].numpy() for name, value in outputs.items()}
        return Parsing.from_fused(of_image, self.dataset, kept.image)

    def maps(self, kept: KeptHeads) -> dict[str, np.ndarray]:
        """The dict of `inference.instance_maps`, for pictures."""
        return instance_maps(kept.heads, *kept.image.shape[:2], self._config)

    def _traceable(self):
        """The fusion as a graph of heads, the image's size and the `FusionSettings` as a vector."""
        channels = head_channels(self.graph, self.dataset.num_classes)
        maps = {
            name: tf.TensorSpec([1, None, None, count], tf.float32)
            for name, count in channels.items()
        }
        size = tf.TensorSpec([2], tf.int32)
        values = tf.TensorSpec([len(FusionSettings._fields)], tf.float32)
        things = self.dataset.thing_classes

        @tf.function(input_signature=[maps, size, values], autograph=False)
        def fuse(heads, size, values):
            settings = FusionSettings(*tf.unstack(values))
            config = self._config.copy_and_resolve_references()
            with config.unlocked(), config.ignore_type():
                config.fusion.update(settings._asdict())
            return parse_heads(heads, size[0], size[1], config, things)

        return fuse
