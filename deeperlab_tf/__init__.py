"""DeeperLab (Yang et al., 2019) in TensorFlow: single-shot panoptic image parsing.

The public names load on first use, so that importing a small part stays cheap.
"""

import importlib
import os

# TensorFlow's C++ side prints start-up banners (some of them as errors) that users cannot act on;
# errors that matter reach Python as exceptions. TF_CPP_MIN_LOG_LEVEL=0 shows everything. Has to be
# set before TensorFlow loads.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_PUBLIC = {
    "build_model": "deeperlab_tf.model",
    "fuse": "deeperlab_tf.fusion",
    "Parsing": "deeperlab_tf.prediction.parsing",
    "Predictor": "deeperlab_tf.prediction.predictor",
}

__all__ = list(_PUBLIC)
__version__ = "0.1.0"


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in ("backbones", "config", "fusion", "metrics"):
        return importlib.import_module(f"deeperlab_tf.{name}")
    raise AttributeError(f"module 'deeperlab_tf' has no attribute {name!r}")
