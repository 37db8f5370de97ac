"""SavedModels that a stock TF Serving loads: core TF ops only, no Python state."""

import os
import tempfile

import tensorflow as tf

from deeperlab_tf.config import config_to_json
from deeperlab_tf.files import atomic_path
from deeperlab_tf.inference import parse_images, prepare_images
from deeperlab_tf.training.checkpoints import CONFIG_FILE, DATASET_FILE


class ServedModel(tf.Module):
    """The network with its preprocessing and fusion as two signatures.

    Args:
      network: keras.Model of `build_model`, trained.
      config: the full config.
      dataset: `schema.Dataset`.
      assets: folder holding the files that go along as assets.
    """

    def __init__(self, network, config, dataset, assets):
        super().__init__(name="deeperlab")
        self.network, self.config, self.dataset = network, config, dataset
        self.assets = [tf.saved_model.Asset(os.path.join(assets, name)) for name in (CONFIG_FILE, DATASET_FILE)]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def parse(self, images):
        """`serving_default`: uint8 [B, H, W, 3] of any size -> the parse (`inference.parse_images`)."""
        return parse_images(self.network, images, self.config, self.dataset.thing_classes)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def heads(self, images):
        """`heads`: uint8 [B, H, W, 3] of any size -> the five raw maps at stride 4, for those who fuse elsewhere."""
        return self.network(prepare_images(images, self.config), training=False)


def export_saved_model(network, config, dataset, path):
    """Writes a SavedModel to `path`, whole or not at all.

    Raises:
      UserError: `path` exists or cannot be written.
    """
    with tempfile.TemporaryDirectory() as assets:
        for name, text in ((CONFIG_FILE, config_to_json(config)), (DATASET_FILE, dataset.to_json())):
            with open(os.path.join(assets, name), "w", encoding="utf-8") as file:
                file.write(text)
        module = ServedModel(network, config, dataset, assets)
        with atomic_path(path) as temporary:
            signatures = {"serving_default": module.parse, "heads": module.heads}
            tf.saved_model.save(module, temporary, signatures=signatures)
