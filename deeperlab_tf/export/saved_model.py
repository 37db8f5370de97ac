"""SavedModels that a stock TF Serving loads: core TF ops only, no Python state."""

import os
import tempfile

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from deeperlab_tf.config_json import config_to_json
from deeperlab_tf.export.encoded import (
    check_headers,
    decode_image,
    image_headers,
    require,
    upright_size,
)
from deeperlab_tf.export.folding import fold_network
from deeperlab_tf.export.serving_files import write_server_configs, write_warmup_requests
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.image_size import MAX_PIXELS
from deeperlab_tf.prediction.inference import parse_heads, parse_images, prepare_images
from deeperlab_tf.training.workdir import CONFIG_FILE, DATASET_FILE

BATCH_SIZES = (1, 2, 4)  # that a server may put together; each is warmed up

_LABELS = ("semantic", "instance", "panoptic")
_IMAGES = tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")


class ServedModel(tf.Module):
    """The network with its preprocessing and fusion as three signatures.

    Args:
      network: keras.Model of `build_model`, trained.
      config: the full config.
      dataset: `schema.Dataset`.
      assets: paths of files that go along as assets.
      frozen: True: weights are constants of the graph instead of variables beside it.
      max_pixels: larger encoded images are refused before they are decoded.
    """

    def __init__(self, network, config, dataset, assets=(), frozen=False, max_pixels=MAX_PIXELS):
        super().__init__(name="deeperlab")
        self.config, self.dataset, self.max_pixels = config, dataset, max_pixels
        self.assets = [tf.saved_model.Asset(path) for path in assets]
        # One function, which all signatures call: the graph and its constants are in the file once.
        # The variables are tracked by themselves: with the keras.Model, each of its layers would be
        # saved as a function, too.
        self._run_network = tf.function(
            lambda images: network(images, training=False),
            input_signature=[_IMAGES],
            autograph=False,
        )
        if frozen:
            self._run_network = _freeze(self._run_network)
        else:
            self.weights = network.variables

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def parse(self, images):
        """`serving_default`: uint8 [B, H, W, 3] of any size -> the parse
        (`inference.parse_images`).
        """
        return parse_images(
            self._network, _checked(images), self.config, self.dataset.thing_classes
        )

    @tf.function(input_signature=[_IMAGES], autograph=False)
    def heads(self, images):
        """`heads`: uint8 [B, H, W, 3] of any size -> the five raw maps at stride 4, for those who
        fuse elsewhere.
        """
        return self._network(prepare_images(_checked(images), self.config))

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")], autograph=False
    )
    def parse_bytes(self, image_bytes):
        """`image_bytes`: JPEG or PNG files, string [B] -> the parse of each at its own size.

        Returns:
          dict of `inference.parse_images` and `image_size` int32 [B, 2]: label maps [B, H, W] have
          the largest height and width of the batch; beyond `image_size` of an image they hold the
          ignore label and instance 0.
        """
        headers = check_headers(image_headers(image_bytes), self.max_pixels)
        sizes = tf.stack(
            tf.map_fn(upright_size, headers, fn_output_signature=(tf.int32, tf.int32)), axis=1
        )
        canvas, batch = tf.reduce_max(sizes, axis=0), tf.range(tf.shape(sizes)[0])

        def image(index):
            return decode_image(image_bytes[index], headers[index], index)[tf.newaxis]

        def whole_batch():
            def prepare(index):
                return prepare_images(image(index), self.config)[0]

            heads = self._network(tf.map_fn(prepare, batch, fn_output_signature=tf.uint8))

            def parse(index):
                head = {name: values[index : index + 1] for name, values in heads.items()}
                size = sizes[index]
                parses = parse_heads(
                    head, size[0], size[1], self.config, self.dataset.thing_classes
                )
                return self._pad_parse(parses, size, canvas)

            return tf.map_fn(parse, batch, fn_output_signature=_PARSE)

        def one_by_one():
            def parse(index):
                parses = parse_images(
                    self._network, image(index), self.config, self.dataset.thing_classes
                )
                return self._pad_parse(parses, sizes[index], canvas)

            return tf.map_fn(parse, batch, fn_output_signature=_PARSE, parallel_iterations=1)

        # Padding images to a common size would change what the network sees of them, unless all are
        # padded anyway.
        parses = whole_batch() if self.config.eval.pad_to_size else one_by_one()
        return dict(parses, image_size=sizes)

    def signatures(self):
        return {"serving_default": self.parse, "image_bytes": self.parse_bytes, "heads": self.heads}

    def _network(self, images, training=False):
        del training  # as a keras.Model is called
        return self._run_network(images)

    def _pad_parse(self, parses, size, canvas):
        """Parse of one image (batch axis dropped), its label maps enlarged to `canvas`."""
        ignore = self.dataset.ignore_label
        outside = dict(
            semantic=ignore, instance=0, panoptic=ignore * self.config.fusion.label_divisor
        )
        parse = {name: values[0] for name, values in parses.items()}
        paddings = tf.stack([tf.zeros_like(size), canvas - size], axis=1)
        parse.update(
            {name: tf.pad(parse[name], paddings, constant_values=outside[name]) for name in _LABELS}
        )
        return parse


_PARSE = {
    **dict.fromkeys((*_LABELS, "num_instances", "instance_class"), tf.int32),
    **dict.fromkeys(("instance_score", "instance_box", "instance_keypoints"), tf.float32),
}


def export_saved_model(
    network,
    config,
    dataset,
    path,
    optimise=False,
    precision="float32",
    batch_sizes=BATCH_SIZES,
    max_pixels=MAX_PIXELS,
):
    """Writes a SavedModel to `path`, whole or not at all, with the requests that warm a server up.

    Where `path` ends in a version number (.../NAME/1, as TF Serving wants it), the server's
    batching.config, monitoring.config and models.config are put beside the version, unless they are
    there already.

    Args:
      network: keras.Model of `build_model`, trained.
      config: the full config.
      dataset: `schema.Dataset`.
      path: folder to write; must not exist.
      optimise: True: batch norm folded into the convolutions, weights frozen into the graph.
      precision: of weights and computation, one of `folding.PRECISIONS`; others than float32 need
        `optimise`.
      batch_sizes: that a server may put together.
      max_pixels: larger encoded images are refused before they are decoded.

    Returns:
      True if warm-up requests were written (they need tensorflow-serving-api).

    Raises:
      UserError: `path` exists or cannot be written.
    """
    if optimise:
        network = fold_network(network, config.model, dataset, precision)
    with tempfile.TemporaryDirectory() as folder:
        assets = write_descriptions(folder, config, dataset)
        module = ServedModel(
            network, config, dataset, assets, frozen=optimise, max_pixels=max_pixels
        )
        with atomic_path(path) as temporary:
            tf.saved_model.save(module, temporary, signatures=module.signatures())
            warm = write_warmup_requests(temporary, config.eval.image_size, batch_sizes)
            if os.path.basename(os.path.abspath(path)).isdigit():
                write_server_configs(os.path.dirname(os.path.abspath(path)), batch_sizes)
    return warm


def write_descriptions(folder, config, dataset):
    """Writes config.json and dataset.json (class names, colours, thing or stuff); returns their
    paths.
    """
    paths = []
    for name, text in ((CONFIG_FILE, config_to_json(config)), (DATASET_FILE, dataset.to_json())):
        paths.append(os.path.join(folder, name))
        with open(paths[-1], "w", encoding="utf-8") as file:
            file.write(text)
    return paths


def _checked(images):
    """`images` [B, H, W, 3] after a check at run time: a server does not compare shapes with the
    signature.
    """
    images = tf.raw_ops.EnsureShape(input=images, shape=[None, None, None, 3])
    with tf.control_dependencies(
        require(tf.size(images) > 0, "the batch is empty; send at least one image.")
    ):
        return tf.identity(images)


def _freeze(function):
    """A tf.function of one signature with its variables turned into constants; the same dict of
    outputs.
    """
    traced = function.get_concrete_function()
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    return lambda images: tf.nest.pack_sequence_as(
        traced.structured_outputs, tf.nest.flatten(frozen(images))
    )
