"""From a trained model and an image to a parse, in one line: `Predictor(path)(image)`."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Union

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image
from deeperlab_tf.prediction.loading import load_model
from deeperlab_tf.prediction.overrides import Overrides
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset

Image = Union[np.ndarray, str, os.PathLike]  # uint8 [H, W, 3], RGB, or the path of a file

MAX_BATCH = 32  # images of a list that run at once, however long it is

Parse = Callable[[Sequence[np.ndarray]], Sequence[Parsing]]  # of images, uint8 [H, W, 3], RGB


class Timed:
    """A predictor, and how long its network and fusion have been at work.

    Args:
      parse: `Predictor`, or any function of some images.

    Attributes:
      seconds: so far.

    Example:
      timed = Timed(predictor)
      parsings = timed(images)
      print(timed.seconds / len(images))
    """

    def __init__(self, parse: Parse) -> None:
        self._parse, self.seconds = parse, 0.0

    def __call__(self, images: Sequence[np.ndarray]) -> Sequence[Parsing]:
        start = time.perf_counter()
        parsings = self._parse(images)
        self.seconds += time.perf_counter() - start
        return parsings


def parse_all(
    parse: Parse, source: Sequence[Mapping[str, Any]], batch_size: int
) -> Iterator[tuple[int, Mapping[str, Any], Parsing]]:
    """Parses the images of a dataset, one batch after the other.

    Args:
      parse: `Predictor`, or one that is `Timed`.
      source: random access to samples, dicts with `image`.
      batch_size: images that are read and parsed at once.

    Yields:
      (index, sample, `Parsing`) of every sample, in order.
    """
    for start in range(0, len(source), batch_size):
        indices = range(start, min(start + batch_size, len(source)))
        samples = [source[index] for index in indices]
        parsings = parse([sample["image"] for sample in samples])
        yield from zip(indices, samples, parsings)


class Predictor:
    """Parses images with a trained model.

    Example:
      predictor = Predictor("street")
      parsing = predictor("photo.jpg")
      for segment in parsing.segments:
          print(segment.name, segment.score, segment.box)
      parsing.save("parses", "photo")

    Args:
      path: name of a model that ships (`deeperlab_tf.models()`), a training's workdir, or the
        folder of an export: a SavedModel (the version folder or the one above it), ONNX or
        TensorFlow Lite.
      overrides: other values of its config, by dotted keys: {"fusion.peak_threshold": 0.2}.
      compile: have XLA compile network and fusion into one step, for a GPU above all. The first
        images of each padded size, and of each number at once, take about a minute.

    Attributes:
      dataset: `schema.Dataset`, the classes.
      config: the whole config the model was trained with, `overrides` in their places.

    Raises:
      UserError: there is no model at `path`, or it does not fit, or is damaged; a value that would
        change the network, or that an export cannot change any more; it is to be compiled, and this
        TensorFlow or this form of a model cannot.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        overrides: Overrides = MappingProxyType({}),
        compile: bool = False,
    ) -> None:
        if compile:
            # Imported here: other models need not wait for TensorFlow's Python side.
            from deeperlab_tf.prediction.compiled import load_compiled

            model = load_compiled(path, overrides)
        else:
            model = load_model(path, overrides)
        self.dataset: Dataset = model.dataset
        self.config: ConfigDict = model.config
        self._parse = model.parse
        self._heads = model.heads

    def __call__(self, image: Image | Sequence[Image]) -> Parsing | list[Parsing]:
        """Parses one image or several.

        Args:
          image: uint8 [H, W, 3], RGB, or the path of an image file, or a list or tuple of such;
            neighbours of one size run as one batch, of at most `MAX_BATCH`.

        Returns:
          `Parsing` at the image's own size, which holds the image; a list of them for a list.

        Raises:
          UserError: an image that cannot be read or is of another type.
        """
        if isinstance(image, (list, tuple)):
            return self._parse_all(map(_to_array, image))
        return self._parse_all([_to_array(image)])[0]

    def predict_all(
        self, source: Sequence[Mapping[str, Any]], batch_size: int = 1, progress: bool = True
    ) -> Iterator[tuple[int, Mapping[str, Any], Parsing]]:
        """Parses the images of a dataset, one after the other, as `evaluate` does.

        Args:
          source: random access to samples, dicts with `image`.
          batch_size: images per step; those of one size run as one batch.
          progress: show a bar.

        Yields:
          (index, sample, `Parsing`) of every sample, in order.
        """
        with tqdm(
            total=len(source), unit="image", desc="parsing", disable=not progress or None
        ) as bar:
            for parsed in parse_all(self, source, batch_size):
                yield parsed
                bar.update()

    def heads(self, image: Image) -> dict[str, np.ndarray]:
        """The network's five heads for one image, which `inference.parse_heads` fuses.

        Args:
          image: uint8 [H, W, 3], RGB, or a path.

        Returns:
          dict of float32 [1, h, w, channels], at stride 4 of the network's input.
        """
        heads = self._heads(_to_array(image)[np.newaxis])
        return {name: np.asarray(values) for name, values in heads.items()}

    def maps(self, image: Image) -> dict[str, np.ndarray]:
        """The network's raw maps of one image, for pictures of them.

        Args:
          image: uint8 [H, W, 3], RGB, or a path.

        Returns:
          dict of `inference.instance_maps`: `heatmap`, `short_offsets`, `middle_offsets`,
          `long_offsets`.
        """
        # Imported here: a parse need not wait for TensorFlow, which takes seconds.
        from deeperlab_tf.prediction.inference import instance_maps

        image = _to_array(image)
        height, width = image.shape[:2]
        return instance_maps(self.heads(image), height, width, self.config)

    def _parse_all(self, images):
        # Neighbours of one size are one batch.
        parsings = []
        for _, alike in itertools.groupby(images, key=np.shape):
            while batch := list(itertools.islice(alike, MAX_BATCH)):
                parsings += self._parse_batch(np.stack(batch))
        return parsings

    def _parse_batch(self, images):
        outputs = self._parse(images)
        outputs = {name: np.asarray(values) for name, values in outputs.items()}
        parsings = []
        for index, image in enumerate(images):
            of_image = {name: values[index] for name, values in outputs.items()}
            parsings.append(Parsing.from_fused(of_image, self.dataset, image))
        return parsings


def _to_array(image):
    if isinstance(image, (str, os.PathLike)):
        return read_image(os.fspath(image))
    image = np.asarray(image)
    is_rgb = image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or not is_rgb or not image.size:
        raise UserError(
            "an image must be uint8 [height, width, 3], RGB, or a path; "
            f"this one is {image.dtype} {list(image.shape)}."
        )
    return image
