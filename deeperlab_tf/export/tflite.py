"""The network for TensorFlow Lite (LiteRT), built-in operations only: uint8 images to the five
heads.

An export is a folder with model.tflite, config.json and dataset.json; `Predictor` runs it. float16
stores the weights in half the space; a CPU computes in float32 all the same.
"""

import os

import tensorflow as tf

from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.export.folding import fold_network
from deeperlab_tf.export.saved_model import write_descriptions
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.prediction.runtimes import TFLITE_FILE

PRECISIONS = ("float32", "float16")


def export_tflite(network, config, dataset, path, precision="float32"):
    """Writes the network as a TensorFlow Lite model, whole or not at all.

    It takes one image of `config.eval.image_size`; smaller ones are padded to that, larger ones
    shrunk.

    Args:
      network: keras.Model of `build_model`, trained.
      config: the full config.
      dataset: `schema.Dataset`.
      path: folder to write; must not exist.
      precision: of the weights, one of `PRECISIONS`.

    Raises:
      UserError: `path` exists or cannot be written; an unknown precision.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f"--format=tflite offers the precisions {', '.join(PRECISIONS)}, not {precision}."
        )
    folded = fold_network(network, config.model, dataset)
    config = config_from_json(config_to_json(config))
    config.eval.pad_to_size = True  # the one size it takes
    signature = [tf.TensorSpec([1, *config.eval.image_size, 3], tf.uint8, name="images")]
    function = tf.function(
        lambda images: folded(images, training=False), input_signature=signature, autograph=False
    )
    with atomic_path(path) as temporary:
        os.makedirs(temporary)
        write_descriptions(temporary, config, dataset)
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [function.get_concrete_function()], folded
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        with open(os.path.join(temporary, TFLITE_FILE), "wb") as file:
            file.write(converter.convert())
