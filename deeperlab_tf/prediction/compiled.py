"""The parse of images of all sizes by a network and a fusion that XLA compiles as one step.

What depends on an image's size stays outside: it is resized and padded before the step, and its
parse cut and resized after it, by plain graphs. So one compilation serves all images that are
padded to one size.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.fusion import fuse, ops
from deeperlab_tf.pixels.image_size import content_size
from deeperlab_tf.prediction.inference import LABEL_MAPS, prepare_images, restore
from deeperlab_tf.prediction.loading import Model
from deeperlab_tf.prediction.networks import load_network
from deeperlab_tf.prediction.overrides import Overrides


class Prepared(NamedTuple):
    """Images as the network takes them.

    Attributes:
      images: uint8 [B, H', W', 3].
      content: int32 [2], height and width of the part, at the top left, that is not padding.
    """

    images: tf.Tensor
    content: tf.Tensor


class CompiledParser:
    """Parses images by a compiled step.

    The first images of each padded size, and of each number of images at once, wait for it to be
    compiled, about a minute.

    Args:
      network: of `build_model`.
      config: the whole config.
      thing_classes: class indices of things.

    Attributes:
      compiled_step: `step`, compiled.

    Example:
      check_compiler()
      parser = CompiledParser(network, config, dataset.thing_classes)
      parse = parser(images)  # uint8 [B, H, W, 3], any size
    """

    def __init__(
        self, network: keras.Model, config: ConfigDict, thing_classes: Sequence[int]
    ) -> None:
        self._network, self._config, self._things = network, config, tuple(thing_classes)
        self.compiled_step = tf.function(self.step, jit_compile=True, autograph=False)

    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """uint8 [B, H, W, 3] -> the dict of `inference.parse_images`."""
        images = tf.convert_to_tensor(images)
        parse = self.compiled_step(self.prepare(images))
        return self.restore(parse, images.shape[1:3])

    @tf.function(reduce_retracing=True, autograph=False)
    def prepare(self, images: tf.Tensor) -> Prepared:
        """Images, uint8 [B, H, W, 3], as the network takes them."""
        with ops.one_form(compiled=False):
            content = content_size(tf.shape(images)[1], tf.shape(images)[2], self._config)
            return Prepared(prepare_images(images, self._config), tf.stack(content))

    def step(self, prepared: Prepared) -> dict[str, tf.Tensor]:
        """Network and fusion: the dict of `fusion.fuse`.

        Label maps are [B, H', W'], as the prepared images; only the content's part means anything.
        """
        with ops.one_form(compiled=True):
            heads = self._network(prepared.images, training=False)
            size = tf.unstack(prepared.content)
            return fuse(heads, size, self._things, self._config.fusion)

    def restore(self, parse: Mapping[str, tf.Tensor], size: Sequence[int]) -> dict[str, tf.Tensor]:
        """What `step` gave for images of a size, (H, W), as `inference.parse_images` gives it."""
        return self._restore(parse, tf.constant([int(side) for side in size]))

    @tf.function(reduce_retracing=True, autograph=False)
    def _restore(self, parse, size):
        original = tf.unstack(size)
        height, width = content_size(*original, self._config)
        maps = {name: parse[name][:, :height, :width] for name in LABEL_MAPS}
        return restore({**parse, **maps}, (height, width), original)


def check_compiler() -> None:
    """Raises UserError where TensorFlow was built without XLA for CPUs and GPUs.

    The package tensorflow-tpu was, and yet compiles for TPUs: do not ask there.
    """
    try:
        tf.function(tf.identity, jit_compile=True, autograph=False)(tf.constant(0.0))
    except tf.errors.OpError as error:
        raise UserError(
            f"TensorFlow {tf.__version__} cannot compile here, it lacks XLA; leave out --compile, "
            "or install a TensorFlow from PyPI."
        ) from error


def load_compiled(path: str | os.PathLike, overrides: Overrides = MappingProxyType({})) -> Model:
    """`loading.load_model` for a model whose parse is compiled.

    Args:
      path, overrides: see `Predictor`; of exports, those that have kept their weights.

    Raises:
      UserError: as `load_model`, and where TensorFlow or the model's form cannot.
    """
    check_compiler()
    network, config, dataset = load_network(path, overrides)
    parser = CompiledParser(network, config, dataset.thing_classes)

    @tf.function(reduce_retracing=True, autograph=False)
    def heads(images):
        return network(prepare_images(images, config), training=False)

    return Model(parser, heads, config, dataset)
