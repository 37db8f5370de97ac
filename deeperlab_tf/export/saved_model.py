"""SavedModels that a stock TF Serving loads: core TF ops only, no Python state."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from deeperlab_tf.compat import keras
from deeperlab_tf.config_json import config_to_json
from deeperlab_tf.export.compiled import parse_compiled
from deeperlab_tf.export.encoded import EncodedImages, require_images
from deeperlab_tf.export.serving_files import write_server_configs, write_warmup_requests
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.files.images import MAX_PIXELS
from deeperlab_tf.prediction.folding import fold_network
from deeperlab_tf.prediction.inference import parse_heads, parse_images, prepare_images
from deeperlab_tf.schema import Dataset
from deeperlab_tf.training.workdir import CONFIG_FILE, DATASET_FILE

_LABELS = ("semantic", "instance", "panoptic")
_IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")
_PIXELS = tf.TensorSpec([None, None, 3], tf.uint8)
_IMAGE_BYTES = tf.TensorSpec([None], tf.string, name="image_bytes")

# dtypes of one image's parse, for `tf.map_fn`.
_PARSE = {
    **dict.fromkeys((*_LABELS, "num_instances", "instance_class"), tf.int32),
    **dict.fromkeys(("instance_score", "instance_box", "instance_keypoints"), tf.float32),
}


class ExportOptions(NamedTuple):
    """How a SavedModel computes, and what it takes from clients.

    Attributes:
      optimise: True: batch norm folded into the convolutions, weights frozen into the graph.
      precision: of weights and computation, one of `folding.PRECISIONS`; others than float32 need
        `optimise`.
      batch_sizes: that a server may put together, ascending; each is warmed up.
      max_pixels: larger encoded images are refused before they are decoded.
      compiled_size: (H, W) of the images; XLA compiles their parse, for each of `batch_sizes` and
        no others. None: images of any size, not compiled.
    """

    optimise: bool = False
    precision: str = "float32"
    batch_sizes: Sequence[int] = (1, 2, 4)
    max_pixels: int = MAX_PIXELS
    compiled_size: tuple[int, int] | None = None


DEFAULT_OPTIONS = ExportOptions()


def export_saved_model(
    network: keras.Model,
    config: ConfigDict,
    dataset: Dataset,
    path: str,
    options: ExportOptions = DEFAULT_OPTIONS,
) -> bool:
    """Writes a SavedModel, whole or not at all, with the requests that warm a server up.

    Where `path` ends in a version number (.../NAME/1, as TF Serving wants it), the server's
    batching.config, monitoring.config and models.config are put beside the version, unless they are
    there already.

    Args:
      network: of `build_model`, trained.
      config: the whole config.
      dataset: what the classes mean.
      path: folder to write; must not exist.
      options: how it computes, and what it takes.

    Returns:
      True if warm-up requests were written (they need tensorflow-serving-api).

    Raises:
      UserError: `path` exists or cannot be written; an unknown precision.

    Example:
      network, config, dataset = load_run("runs/shapes")
      export_saved_model(network, config, dataset, "exports/shapes/1")
      deeperlab_tf.Predictor("exports/shapes")("street.jpg")
    """
    if options.optimise:
        network = fold_network(network, config.model, dataset, options.precision)

    folder, name = storage.split(storage.abspath(path))
    with tempfile.TemporaryDirectory() as assets_folder, atomic_path(path) as temporary:
        assets = write_descriptions(assets_folder, config, dataset)
        module = ServedModel(network, config, dataset, assets, options)
        tf.saved_model.save(module, temporary, signatures=module.signatures())
        sizes = options.batch_sizes
        image_size = options.compiled_size or config.eval.image_size
        warm = write_warmup_requests(temporary, image_size, sizes)
        if name.isdigit():
            write_server_configs(folder, sizes)
    return warm


def write_descriptions(folder: str, config: ConfigDict, dataset: Dataset) -> list[str]:
    """Writes config.json and dataset.json (class names, colours, thing or stuff) into a folder.

    Returns:
      their paths.
    """
    texts = {CONFIG_FILE: config_to_json(config), DATASET_FILE: dataset.to_json()}
    paths = []
    for name, text in texts.items():
        paths.append(storage.join(folder, name))
        with storage.open(paths[-1], "w", encoding="utf-8") as file:
            file.write(text)
    return paths


class ServedModel(tf.Module):
    """The network with its preprocessing and fusion as three signatures.

    Args:
      network: of `build_model`, trained.
      config: the whole config.
      dataset: what the classes mean.
      assets: paths of files that go along as assets.
      options: `optimise` says whether weights are constants of the graph instead of variables
        beside it; `max_pixels` bounds the images.
    """

    def __init__(
        self,
        network: keras.Model,
        config: ConfigDict,
        dataset: Dataset,
        assets: Sequence[str] = (),
        options: ExportOptions = DEFAULT_OPTIONS,
    ) -> None:
        super().__init__(name="deeperlab")
        self.config, self.dataset, self.max_pixels = config, dataset, options.max_pixels
        self._options = options
        self.assets = [tf.saved_model.Asset(path) for path in assets]

        # One function, which all signatures call: the graph and its constants are in the file once.
        @tf.function(input_signature=[_IMAGES], autograph=False)
        def run_network(images):
            return network(images, training=False)

        # The variables are tracked by themselves: with the keras.Model, each of its layers would be
        # saved as a function, too.
        if options.optimise:
            run_network = _freeze(run_network)
        else:
            self.weights = network.variables
        self._run_network = run_network

    def signatures(self) -> dict[str, Callable]:
        """The signatures by name."""
        return {"serving_default": self.parse, "image_bytes": self.parse_bytes, "heads": self.heads}

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def parse(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """`serving_default`: uint8 [B, H, W, 3] of any size -> the parse of
        `inference.parse_images`.
        """
        return self._parse_images(_checked(images))

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def heads(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """`heads`: uint8 [B, H, W, 3] of any size -> the five raw maps at stride 4, for those who
        fuse elsewhere.
        """
        return self._network(prepare_images(_checked(images), self.config))

    @tf.function(input_signature=[_IMAGE_BYTES], autograph=False)
    def parse_bytes(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """`image_bytes`: JPEG or PNG files, string [B] -> the parse of each at its own size.

        Returns:
          dict of `inference.parse_images` and `image_size` int32 [B, 2]: label maps [B, H, W] have
          the largest height and width of the batch; beyond `image_size` of an image they hold the
          ignore label and instance 0.
        """
        images = EncodedImages.checked(image_bytes, self.max_pixels)
        if self._options.compiled_size:
            batch = tf.range(tf.shape(images.sizes)[0])
            pixels = tf.map_fn(images.decode, batch, fn_output_signature=_PIXELS)
            return dict(self._parse_images(pixels), image_size=images.sizes)
        # Padding images to a common size would change what the network sees of them, unless all are
        # padded anyway.
        if self.config.eval.pad_to_size:
            parses = self._parse_together(images)
        else:
            parses = self._parse_one_by_one(images)
        return dict(parses, image_size=images.sizes)

    def _parse_together(self, images):
        """Parses of `EncodedImages`, in one call of the network."""
        batch = tf.range(tf.shape(images.sizes)[0])
        canvas = tf.reduce_max(images.sizes, axis=0)

        def prepare(index):
            return prepare_images(images.decode(index)[tf.newaxis], self.config)[0]

        heads = self._network(tf.map_fn(prepare, batch, fn_output_signature=tf.uint8))

        def parse(index):
            own = {name: values[index : index + 1] for name, values in heads.items()}
            size = images.sizes[index]
            parses = parse_heads(own, size[0], size[1], self.config, self.dataset.thing_classes)
            return self._pad_parse(parses, size, canvas)

        return tf.map_fn(parse, batch, fn_output_signature=_PARSE)

    def _parse_one_by_one(self, images):
        """Parses of `EncodedImages`, each at a size of its own."""
        batch = tf.range(tf.shape(images.sizes)[0])
        canvas = tf.reduce_max(images.sizes, axis=0)

        def parse(index):
            parses = self._parse_images(images.decode(index)[tf.newaxis])
            return self._pad_parse(parses, images.sizes[index], canvas)

        return tf.map_fn(parse, batch, fn_output_signature=_PARSE, parallel_iterations=1)

    def _parse_images(self, images):
        if self._options.compiled_size:
            return parse_compiled(self._parse_known, images, self._options)
        return self._parse_known(images)

    def _parse_known(self, images):
        return parse_images(self._network, images, self.config, self.dataset.thing_classes)

    def _network(self, images, training=False):
        del training  # as a keras.Model is called
        return self._run_network(images)

    def _pad_parse(self, parses, size, canvas):
        """Parse of one image (batch axis dropped), its label maps enlarged to `canvas`."""
        ignore = self.dataset.ignore_label
        divisor = self.config.fusion.label_divisor
        outside = dict(semantic=ignore, instance=0, panoptic=ignore * divisor)

        parse = {name: values[0] for name, values in parses.items()}
        paddings = tf.stack([tf.zeros_like(size), canvas - size], axis=1)
        for name in _LABELS:
            parse[name] = tf.pad(parse[name], paddings, constant_values=outside[name])
        return parse


def _checked(images):
    """`images` [B, H, W, 3] after a check at run time: a server does not compare shapes with the
    signature.
    """
    images = tf.raw_ops.EnsureShape(input=images, shape=[None, None, None, 3])
    with tf.control_dependencies(require_images(images)):
        return tf.identity(images)


def _freeze(function):
    """A tf.function of one signature with its variables turned into constants; the same dict of
    outputs.
    """
    traced = function.get_concrete_function()
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)

    def run(images):
        outputs = tf.nest.flatten(frozen(images))
        return tf.nest.pack_sequence_as(traced.structured_outputs, outputs)

    return run
