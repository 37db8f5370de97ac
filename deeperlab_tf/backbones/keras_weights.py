"""ImageNet weights of Keras Applications' MobileNetV2, in HDF5 files.

They are read by the names of the layers: those that Keras gives them today, and the older ones that
the published files were written with. The last convolution (`Conv_1`, 1280 channels) and the
classifier are left out. Nothing is unpickled.

Features are those of Keras' network, which is built for a size and pads as "same" does. Built for
any size, (None, None, 3), it pads as if every side were even, and agrees only where sides are
multiples of 32.
"""

from __future__ import annotations

import io
import re
from typing import Any

import h5py
import numpy as np
from absl import logging

from deeperlab_tf.backbones.slots import Slot, fill
from deeperlab_tf.compat import keras
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path

IMAGENET = "imagenet"  # what asks for the published weights

_URL = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{width}_224_no_top.h5"
_CHANNELS = {0.35: 112, 0.5: 160, 0.75: 240, 1.0: 320, 1.3: 416, 1.4: 448}  # of the features

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_EXTENSIONS = (".h5", ".hdf5", ".keras")
# Whatever h5py raises for a broken file.
_READ_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError)


def load_keras_weights(backbone: keras.Model, path: str, embed_kernels: bool = False) -> None:
    """Fills a backbone from an HDF5 file of Keras Applications.

    Args:
      backbone: keras.Model of `build_backbone`, a MobileNetV2.
      path: the file, with or without the classifier, weights or a whole model; "imagenet": the
        published one, from Keras' cache or the internet.
      embed_kernels: put its 3x3 kernels into the centre of the backbone's 5x5 or 7x7 ones, filled
        up with zeros.

    Raises:
      UserError: the backbone is no MobileNetV2, or of a width that is not published; the file is
        missing, broken, or lacks variables of the backbone, which are then left as they were.

    Example:
      backbone = build_backbone("mobilenet_v2", width=0.5)
      load_keras_weights(backbone, "imagenet")
    """
    if backbone.name != "mobilenet_v2":
        raise UserError(
            f"{path} would hold weights of Keras' MobileNetV2, and config.model.backbone is "
            f"{backbone.name!r}; start it from a checkpoint of its own."
        )
    path = fetch(backbone) if path == IMAGENET else path
    with HDF5File(path) as file:
        keys = file.keys_by_name()
        slots = []
        for variable in backbone.variables:
            today, published = keras_names(variable.name)
            slots.append(Slot(variable, today, keys.get(today, keys.get(published))))
        fill(slots, file, embed_kernels)
    logging.info("%s: %d variables from %s", backbone.name, len(slots), path)


def keras_names(name: str) -> tuple[str, str]:
    """Names of a variable in Keras Applications: today's, and that in the published files.

    Args:
      name: of our Keras variable, such as `block_3_depthwise_bn/gamma:0`.

    Example:
      >>> keras_names("block_3_depthwise_bn/gamma:0")
      ('block_3_depthwise_BN/gamma', 'bn3_conv_3_bn_depthwise/gamma')
    """
    layer, kind = name.split(":")[0].split("/")
    if layer.startswith("stem"):
        layer = "bn_Conv1" if layer == "stem_bn" else "Conv1"
        return f"{layer}/{kind}", f"{layer}/{kind}"
    index, part, norm = re.fullmatch(r"block_(\d+)_([a-z]+)(_bn)?", layer).groups()
    block = "expanded_conv" if index == "0" else f"block_{index}"
    if norm:
        return f"{block}_{part}_BN/{kind}", f"bn{index}_conv_{index}_bn_{part}/{kind}"
    return f"{block}_{part}/{kind}", f"mobl{index}_conv_{index}_{part}/{kind}"


# === The published file ===


def fetch(backbone: keras.Model) -> str:
    """Path of the published weights for a MobileNetV2, in `~/.keras/models`, where Keras keeps it.

    Raises:
      UserError: its width is not published, or the file is not there and cannot be fetched.
    """
    channels = backbone.output["features"].shape[-1]
    widths = [width for width, published in _CHANNELS.items() if published == channels]
    if not widths:
        known = ", ".join(map(str, _CHANNELS))
        raise UserError(
            f"there are no ImageNet weights for this config.model.width; published are {known}."
        )
    name = _FILE.format(width=widths[0])
    path = storage.join(storage.expanduser("~"), ".keras", "models", name)
    if storage.exists(path):
        return path
    # Several processes may fetch it at once, so it gets its name when it is whole.
    with atomic_path(path) as temporary:
        try:
            keras.utils.get_file(temporary, _URL + name)
        # Keras raises plain Exception.
        except Exception as error:
            raise UserError(
                f"cannot fetch {_URL}{name} ({error}); where there is no internet, put that file "
                f"at {path}, or anywhere and give its path as config.train.initial_checkpoint."
            ) from error
    return path


# === HDF5 ===


def is_hdf5(path: str) -> bool:
    """Whether a path is meant to be an HDF5 file: by its name or its first bytes."""
    if path.endswith(_EXTENSIONS):
        return True
    if not storage.exists(path) or storage.isdir(path):
        return False
    with storage.open(path, "rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


class HDF5File:
    """An HDF5 file in which Keras 2 saved weights, or a model.

    Args:
      path: the file, local or in a bucket.

    Raises:
      UserError: it is missing, cut off or no HDF5.

    Example:
      with HDF5File("weights.h5") as file:
          stem = file.read(file.keys_by_name()["Conv1/kernel"])
    """

    def __init__(self, path: str):
        self.path = path
        if not storage.exists(path):
            raise UserError(f"there is no file {path}; check config.train.initial_checkpoint.")
        try:
            self._file = h5py.File(_local(path), "r")
        except _READ_ERRORS as error:
            raise self._broken(error) from error

    def __enter__(self) -> HDF5File:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._file.close()

    def keys_by_name(self) -> dict[str, str]:
        """dict from `layer/variable` to the path of the dataset.

        A layer's name is any folder on the way to the dataset: Keras repeats it, and puts networks
        within networks.
        """
        # Beside the weights a whole model holds its optimizer, under the same names.
        root = "model_weights" if "model_weights" in self._file else "/"
        keys = {}

        def visit(path: str, node: h5py.Group | h5py.Dataset) -> None:
            if isinstance(node, h5py.Dataset):
                *layers, name = path.split("/")
                kind = name.split(":")[0]
                for layer in layers:
                    keys.setdefault(f"{layer}/{kind}", f"{root}/{path}")

        try:
            # It follows no links, so it stays in this file.
            self._file[root].visititems(visit)
        except _READ_ERRORS as error:
            raise self._broken(error) from error
        return keys

    def read(self, key: str) -> np.ndarray:
        """The array of a dataset, float32."""
        try:
            dataset = self._file[key]
            if dataset.is_virtual or dataset.external:
                raise ValueError(f"{key} is kept in other files")
            return np.asarray(dataset, np.float32)
        except _READ_ERRORS as error:
            raise self._broken(error) from error

    def _broken(self, error: Exception) -> UserError:
        reason = str(error).splitlines()[0]
        return UserError(
            f"{self.path} is not a whole HDF5 file of weights ({reason}); remove it and fetch it "
            "again, or save it by Keras 2 as .h5."
        )


def _local(path: str) -> str | io.BytesIO:
    """What h5py opens: the path, or what a bucket holds."""
    if not storage.is_remote(path):
        return path
    with storage.open(path, "rb") as file:
        return io.BytesIO(file.read())
