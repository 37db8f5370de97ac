"""The heads of a split's images, kept: the network runs once, and they are fused many times."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.evaluation.samples import Source, with_classes_of
from deeperlab_tf.heads import head_channels
from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.prediction.inference import parse_heads
from deeperlab_tf.schema import Dataset

# Of offsets, half precision keeps 0.25 pixels at 512: less than refinement looks around.
_IN_FILE = np.float16
_LABELS = ("semantic", "instance", "crowd")


class KeptImage(NamedTuple):
    """What one image needs to be fused and scored again.

    Attributes:
      heads: dict of the five heads, float32 [1, h, w, channels].
      semantic, instance: int32 [H, W], the truth.
      crowd: bool [H, W].
    """

    heads: Mapping[str, np.ndarray]
    semantic: np.ndarray
    instance: np.ndarray
    crowd: np.ndarray


class HeadsPredictor(Protocol):
    """Gives the heads of an image: `Predictor`."""

    dataset: Dataset
    config: ConfigDict

    def heads(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Image uint8 [H, W, 3] -> the five heads, float32 [1, h, w, channels]."""


class KeptHeads:
    """Heads and labels of images, heads in half precision, in a temporary file; a context manager.

    Example:
      predictor = deeperlab_tf.Predictor("runs/shapes")
      with KeptHeads() as kept:
          kept.fill(predictor, input_pipeline.open_source(predictor.config, "val"))
          print(score(kept, predictor.dataset, predictor.config)["pq"])

    Attributes:
      num_bytes: size of the file.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._images = []  # of each one its arrays: dict name -> (dtype, shape, where it starts)
        self.num_bytes = 0

    def __enter__(self) -> KeptHeads:
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def fill(self, predictor: HeadsPredictor, source: Source) -> None:
        """Adds every image of a source; shows a progress bar.

        Raises:
          UserError: the source has other classes than the model, or no images.
        """
        source = with_classes_of(predictor.dataset, source)
        numbers = range(len(source))
        for number in tqdm(numbers, unit="image", desc="network", dynamic_ncols=True, disable=None):
            sample = source[number]
            self.add(predictor.heads(sample["image"]), sample)

    def add(self, heads: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray]) -> None:
        """Adds one image.

        Args:
          heads: the five heads, float32 [1, h, w, channels].
          labels: semantic, instance, crowd of the image, [H, W] each.
        """
        places = {name: self._append(np.asarray(head, _IN_FILE)) for name, head in heads.items()}
        for name in _LABELS:
            places[name] = self._append(np.asarray(labels[name]))
        self._images.append(places)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, number: int) -> KeptImage:
        arrays = {name: self._read(*place) for name, place in self._images[number].items()}
        labels = [arrays.pop(name) for name in _LABELS]
        heads = {name: head.astype(np.float32) for name, head in arrays.items()}
        return KeptImage(heads, *labels)

    def __iter__(self) -> Iterator[KeptImage]:
        return (self[number] for number in range(len(self)))

    def _append(self, array: np.ndarray) -> tuple[np.dtype, tuple[int, ...], int]:
        start = self.num_bytes
        self._file.seek(start)
        self._file.write(np.ascontiguousarray(array).data)
        self.num_bytes += array.nbytes
        return array.dtype, array.shape, start

    def _read(self, dtype: np.dtype, shape: tuple[int, ...], start: int) -> np.ndarray:
        self._file.seek(start)
        content = self._file.read(int(np.prod(shape)) * dtype.itemsize)
        return np.frombuffer(content, dtype).reshape(shape)


def score(images: KeptHeads | list[KeptImage], dataset: Dataset, config: ConfigDict) -> dict:
    """Fuses heads and scores the parses.

    Args:
      images: heads and labels.
      dataset: what the classes mean.
      config: the whole config; `fusion` says how.

    Returns:
      dict of `ParsingMetrics.result`.
    """
    parse = parser(dataset, config)
    metrics = ParsingMetrics(dataset.num_classes, dataset.thing_classes, dataset.ignore_label)
    for image in images:
        parsed = parse(image.heads, image.semantic.shape)
        truth = (image.semantic, image.instance)
        metrics.update(*truth, parsed["semantic"], parsed["instance"], image.crowd)
    return metrics.result()


def parser(dataset: Dataset, config: ConfigDict) -> Any:
    """The fusion as one graph for images of all sizes.

    Returns:
      function (heads, (H, W) of the image) -> dict of `parse_heads` as arrays, without the batch.
    """
    channels = head_channels(keypoint_graph(config.fusion.keypoint_graph), dataset.num_classes)
    heads = {name: tf.TensorSpec([1, None, None, count]) for name, count in channels.items()}

    @tf.function(input_signature=[heads, tf.TensorSpec([2], tf.int32)], autograph=False)
    def run(heads, size):
        return parse_heads(heads, size[0], size[1], config, dataset.thing_classes)

    def parse(heads, size):
        tensors = {name: tf.constant(heads[name]) for name in channels}
        parsed = run(tensors, tf.constant(size, tf.int32))
        return {name: value.numpy()[0] for name, value in parsed.items()}

    return parse
