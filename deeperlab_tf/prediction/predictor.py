"""From a trained model and an image to a parse, in one line: `Predictor(path)(image)`."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.config_json import config_from_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.paths import plain_path
from deeperlab_tf.prediction.inference import (
    instance_maps,
    parse_heads,
    parse_images,
    prepare_images,
)
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.runtimes import load_network
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.workdir import CONFIG_FILE, DATASET_FILE, load_run, read_run

Image = Union[np.ndarray, str, os.PathLike]  # uint8 [H, W, 3], RGB, or the path of a file

MAX_BATCH = 32  # images of a list that run at once, however long it is

_SAVED_MODEL_FILE = "saved_model.pb"
_IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8)  # a batch of one size


class Predictor:
    """Parses images with a trained model.

    Example:
      predictor = Predictor("runs/shapes")
      parsing = predictor("photo.jpg")
      for segment in parsing.segments:
          print(segment.name, segment.score, segment.box)
      parsing.save("parses", "photo")

    Args:
      path: a training's workdir, or the folder of an export: a SavedModel (the version folder or
        the one above it), ONNX or TensorFlow Lite.

    Attributes:
      dataset: `schema.Dataset`, the classes.
      config: the whole config the model was trained with.

    Raises:
      UserError: there is no model at `path`, or it does not fit.
    """

    def __init__(self, path: str) -> None:
        model = _load(path)
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
            for start in range(0, len(source), batch_size):
                indices = range(start, min(start + batch_size, len(source)))
                samples = [source[index] for index in indices]
                parsings = self([sample["image"] for sample in samples])
                yield from zip(indices, samples, parsings)
                bar.update(len(samples))

    def maps(self, image: Image) -> dict[str, np.ndarray]:
        """The network's raw maps of one image, for pictures of them.

        Args:
          image: uint8 [H, W, 3], RGB, or a path.

        Returns:
          dict of `inference.instance_maps`: `heatmap`, `short_offsets`, `middle_offsets`,
          `long_offsets`.
        """
        image = _to_array(image)
        height, width = image.shape[:2]
        heads = self._heads(tf.constant(image[np.newaxis]))
        return instance_maps(heads, height, width, self.config)

    def _parse_all(self, images):
        # Neighbours of one size are one batch.
        parsings = []
        for _, alike in itertools.groupby(images, key=np.shape):
            while batch := list(itertools.islice(alike, MAX_BATCH)):
                parsings += self._parse_batch(np.stack(batch))
        return parsings

    def _parse_batch(self, images):
        outputs = self._parse(tf.constant(images))
        outputs = {name: values.numpy() for name, values in outputs.items()}
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


# === Loading ===


class _Model(NamedTuple):
    """What a `Predictor` is made of, wherever it comes from.

    Attributes:
      parse: function of images, uint8 [B, H, W, 3], that gives the dict of `parse_images`.
      heads: function of images that gives the raw heads of `prepare_images`.
      config: the whole config.
      dataset: `schema.Dataset`.
    """

    parse: Callable
    heads: Callable
    config: ConfigDict
    dataset: Dataset


def _load(path):
    if not os.path.isdir(path):
        raise UserError(
            f"there is no folder {path}; give the workdir of a training or the folder of an export."
        )
    exported = _saved_model_folder(path)
    if exported is not None:
        return _load_saved_model(exported)
    network = load_network(path)
    if network is not None:
        return _around_network(network, path)
    if os.path.isfile(os.path.join(path, CONFIG_FILE)):
        return _load_workdir(path)
    raise UserError(
        f"{path} holds neither a training ({CONFIG_FILE}) nor an export (saved_model.pb, "
        "model.onnx or model.tflite); give the workdir of a training or the folder of an export."
    )


def _load_workdir(path):
    network, config, dataset = load_run(path)

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def parse(images):
        return parse_images(network, images, config, dataset.thing_classes)

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def heads(images):
        return network(prepare_images(images, config), training=False)

    return _Model(parse, heads, config, dataset)


def _around_network(network, path):
    """The `_Model` of a network that runs outside TensorFlow, of `runtimes`."""
    config, dataset = read_run(path)

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def prepare(images):
        return prepare_images(images, config)

    # The heads' batch and sides become dynamic.
    @tf.function(reduce_retracing=True, autograph=False)
    def fuse(heads, size):
        return parse_heads(heads, size[0], size[1], config, dataset.thing_classes)

    def heads(images):
        outputs = network(prepare(images))
        return {name: tf.constant(values) for name, values in outputs.items()}

    def parse(images):
        return fuse(heads(images), tf.shape(images)[1:3])

    return _Model(parse, heads, config, dataset)


def _load_saved_model(path):
    try:
        config = config_from_json(*_read_asset(path, CONFIG_FILE))
        dataset = Dataset.from_json(*_read_asset(path, DATASET_FILE))
        module = tf.saved_model.load(plain_path(path))
        signatures = module.signatures["serving_default"], module.signatures["heads"]
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path} is not a DeeperLab export: {reason}; export it again.") from error
    except KeyError as error:
        raise UserError(
            f"the SavedModel {path} has no signature {error}; export it with scripts/export.py."
        ) from error
    parse, heads = (_of_module(signature, module) for signature in signatures)
    return _Model(parse, heads, config, dataset)


def _read_asset(path, name):
    """(text, path) of a file that travels with a SavedModel."""
    asset = os.path.join(path, "assets", name)
    with open(asset, encoding="utf-8") as file:
        return file.read(), asset


def _of_module(signature, module):
    """The signature as a function of images that keeps the module's variables alive."""

    def call(images, _module=module):
        return signature(images=images)

    return call


def _saved_model_folder(path):
    """`path` or its subfolder with the highest version number, if it is a SavedModel; else None."""
    if os.path.isfile(os.path.join(path, _SAVED_MODEL_FILE)):
        return path
    versions = []
    for name in os.listdir(path):
        is_model = os.path.isfile(os.path.join(path, name, _SAVED_MODEL_FILE))
        if name.isdigit() and is_model:
            versions.append(name)
    if not versions:
        return None
    return os.path.join(path, max(versions, key=int))
