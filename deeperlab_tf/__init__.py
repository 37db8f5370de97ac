"""DeeperLab (Yang et al., 2019) in TensorFlow: single-shot panoptic image parsing.

Example:
  >>> import deeperlab_tf
  >>> parsing = deeperlab_tf.Predictor("runs/street")("photo.jpg")
  >>> [segment.name for segment in parsing.segments]
  ['road', 'building', 'car', 'car']

The names load on first use, so that importing a small part stays cheap.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:  # what editors and type checkers see
    from deeperlab_tf import backbones, config, fusion, metrics, models
    from deeperlab_tf.config import default_config
    from deeperlab_tf.errors import UserError
    from deeperlab_tf.evaluation.evaluate import evaluate
    from deeperlab_tf.export.saved_model import export_saved_model
    from deeperlab_tf.fusion import fuse
    from deeperlab_tf.metrics import InstanceAP, MeanIoU, PanopticQuality, ParsingCovering
    from deeperlab_tf.model import build_model
    from deeperlab_tf.paper import networks
    from deeperlab_tf.prediction.parsing import Parsing
    from deeperlab_tf.prediction.predictor import Predictor
    from deeperlab_tf.schema import Category, Dataset
    from deeperlab_tf.training.train import train

__version__ = "0.2.0"

__all__ = [
    "Category",
    "Dataset",
    "InstanceAP",
    "MeanIoU",
    "PanopticQuality",
    "Parsing",
    "ParsingCovering",
    "Predictor",
    "UserError",
    "backbones",
    "build_model",
    "config",
    "default_config",
    "evaluate",
    "export_saved_model",
    "fuse",
    "fusion",
    "metrics",
    "models",
    "networks",
    "train",
]

_MODULES = ("backbones", "config", "fusion", "metrics", "models")
_HOMES = {
    "Category": "schema",
    "Dataset": "schema",
    "InstanceAP": "metrics",
    "MeanIoU": "metrics",
    "PanopticQuality": "metrics",
    "Parsing": "prediction.parsing",
    "ParsingCovering": "metrics",
    "Predictor": "prediction.predictor",
    "UserError": "errors",
    "build_model": "model",
    "default_config": "config",
    "evaluate": "evaluation.evaluate",
    "export_saved_model": "export.saved_model",
    "fuse": "fusion",
    "networks": "paper",
    "train": "training.train",
}


def __getattr__(name: str) -> typing.Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
