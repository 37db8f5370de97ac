"""The network for TensorFlow Lite (LiteRT), built-in operations only: uint8 images to the five
heads.

An export is a folder with model.tflite, config.json and dataset.json; `Predictor` runs it. float16
stores the weights in half the space; a CPU computes in float32 all the same.
"""

from __future__ import annotations

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.saved_model import write_descriptions
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.prediction.folding import fold_network
from deeperlab_tf.prediction.runtimes import TFLITE_FILE
from deeperlab_tf.schema import Dataset

PRECISIONS = ("float32", "float16")


def export_tflite(
    network: keras.Model,
    config: ConfigDict,
    dataset: Dataset,
    path: str,
    precision: str = "float32",
) -> None:
    """Writes the network as a TensorFlow Lite model, whole or not at all.

    It takes one image of `config.eval.image_size`; smaller ones are padded to that, larger ones
    shrunk.

    Args:
      network: of `build_model`, trained.
      config: the whole config.
      dataset: what the classes mean.
      path: folder to write; must not exist.
      precision: of the weights, one of `PRECISIONS`.

    Raises:
      UserError: `path` exists or cannot be written; an unknown precision.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f"--format=tflite offers the precisions {', '.join(PRECISIONS)}, not {precision}."
        )
    config = config_from_json(config_to_json(config))
    config.eval.pad_to_size = True  # the one size it takes

    with atomic_path(path) as temporary:
        storage.makedirs(temporary)
        write_descriptions(temporary, config, dataset)
        model = _convert(fold_network(network, config.model, dataset), config, precision)
        with storage.open(storage.join(temporary, TFLITE_FILE), "wb") as file:
            file.write(model)


def _convert(network, config, precision):
    """The bytes of the model."""
    signature = [tf.TensorSpec([1, *config.eval.image_size, 3], tf.uint8, name="images")]

    @tf.function(input_signature=signature, autograph=False)
    def run(images):
        return network(images, training=False)

    functions = [run.get_concrete_function()]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(functions, network)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()
