"""From a trained model and an image to a parse, in one line: `Predictor(path)(image)`."""

import os

import numpy as np
import tensorflow as tf

from deeperlab_tf.config_json import config_from_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image
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


class Predictor:
    """Parses images with a trained model.

    Example:
      parsing = Predictor("runs/shapes")("photo.jpg")
      for segment in parsing.segments:
          print(segment.name, segment.score, segment.box)
      parsing.save("parses", "photo")

    Args:
      path: a training's workdir, or the folder of an export: a SavedModel (the version folder or
        the one above it), ONNX or TensorFlow Lite.

    Attributes:
      dataset: `schema.Dataset`, the classes.
      config: the full config the model was trained with.

    Raises:
      UserError: there is no model at `path`, or it does not fit.
    """

    def __init__(self, path):
        if not os.path.isdir(path):
            raise UserError(
                f"there is no folder {path}; give the workdir of a training or the folder of an export."
            )
        exported = _saved_model_folder(path)
        if exported is not None:
            self._parse, self._heads, self.config, self.dataset = _load_saved_model(exported)
        elif (network := load_network(path)) is not None:
            self._parse, self._heads, self.config, self.dataset = _around_network(network, path)
        elif os.path.isfile(os.path.join(path, CONFIG_FILE)):
            self._parse, self._heads, self.config, self.dataset = _load_workdir(path)
        else:
            raise UserError(
                f"{path} holds neither a training ({CONFIG_FILE}) nor an export (saved_model.pb, "
                "model.onnx or model.tflite); give the workdir of a training or the folder of an export."
            )

    def __call__(self, image):
        """Parses one image or several.

        Args:
          image: uint8 [H, W, 3], RGB, or the path of an image file, or a list or tuple of such;
            neighbours of one size run as one batch.

        Returns:
          `Parsing` at the image's own size, which holds the image; a list of them for a list.

        Raises:
          UserError: an image that cannot be read or is of another type.
        """
        if isinstance(image, (list, tuple)):
            return self._parse_all([_to_array(item) for item in image])
        return self._parse_all([_to_array(image)])[0]

    def maps(self, image):
        """The network's raw maps of one image, for pictures of them.

        Args:
          image: uint8 [H, W, 3], RGB, or a path.

        Returns:
          dict of `inference.instance_maps`: `heatmap`, `short_offsets`, `middle_offsets`,
          `long_offsets`.
        """
        image = _to_array(image)
        return instance_maps(
            self._heads(tf.constant(image[np.newaxis])), *image.shape[:2], self.config
        )

    def _parse_all(self, images):
        parsings, start = [], 0
        while start < len(images):
            end = start + 1
            while end < len(images) and images[end].shape == images[start].shape:
                end += 1
            parsings += self._parse_batch(np.stack(images[start:end]))
            start = end
        return parsings

    def _parse_batch(self, images):
        outputs = {
            name: values.numpy() for name, values in self._parse(tf.constant(images)).items()
        }
        return [
            Parsing.from_fused(
                {name: values[index] for name, values in outputs.items()}, self.dataset, image
            )
            for index, image in enumerate(images)
        ]


def _load_workdir(path):
    """Functions images -> parse and images -> heads, config, dataset."""
    network, config, dataset = load_run(path)
    signature = [tf.TensorSpec([None, None, None, 3], tf.uint8)]

    @tf.function(input_signature=signature, autograph=False)
    def parse(images):
        return parse_images(network, images, config, dataset.thing_classes)

    @tf.function(input_signature=signature, autograph=False)
    def heads(images):
        return network(prepare_images(images, config), training=False)

    return parse, heads, config, dataset


def _around_network(network, path):
    """The same for a network that runs outside TensorFlow, of `export.runtimes`."""
    config, dataset = read_run(path)
    images = tf.TensorSpec([None, None, None, 3], tf.uint8)
    prepare = tf.function(
        lambda images: prepare_images(images, config), input_signature=[images], autograph=False
    )

    @tf.function(reduce_retracing=True, autograph=False)
    def fuse(heads, size):
        return parse_heads(heads, size[0], size[1], config, dataset.thing_classes)

    def heads(images):
        return {name: tf.constant(values) for name, values in network(prepare(images)).items()}

    return lambda images: fuse(heads(images), tf.shape(images)[1:3]), heads, config, dataset


def _load_saved_model(path):
    """Functions images -> parse and images -> heads, config, dataset."""
    texts = []
    try:
        for name in (CONFIG_FILE, DATASET_FILE):
            asset = os.path.join(path, "assets", name)
            with open(asset, encoding="utf-8") as file:
                texts.append((file.read(), asset))
        module = tf.saved_model.load(path)
        parse, heads = module.signatures["serving_default"], module.signatures["heads"]
    except OSError as error:
        raise UserError(f"{path} is no DeeperLab export: {str(error).splitlines()[0]}.") from error
    except KeyError as error:
        raise UserError(
            f"the SavedModel {path} has no signature {error}; export it with scripts/export.py."
        ) from error
    config, dataset = config_from_json(*texts[0]), Dataset.from_json(*texts[1])

    def of_module(signature):  # a signature alone does not keep the module's variables alive
        return lambda images, _module=module: signature(images=images)

    return of_module(parse), of_module(heads), config, dataset


def _saved_model_folder(path):
    """`path`, or its subfolder with the highest version number, if that is a SavedModel; else None."""
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        return path
    versions = [name for name in os.listdir(path) if name.isdigit()]
    versions = [
        name for name in versions if os.path.isfile(os.path.join(path, name, "saved_model.pb"))
    ]
    return os.path.join(path, max(versions, key=int)) if versions else None


def _to_array(image):
    if isinstance(image, (str, os.PathLike)):
        return read_image(os.fspath(image))
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UserError(
            f"an image must be uint8 [height, width, 3], RGB, or a path; this one is {image.dtype} {list(image.shape)}."
        )
    return image
