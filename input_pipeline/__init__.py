"""From files to batches: datasets, preprocessing and the targets of DeeperLab's five heads.

The names load on first use: TensorFlow takes seconds to start, and raw files do without it.
"""

from __future__ import annotations

import importlib
import typing

if typing.TYPE_CHECKING:  # what editors and type checkers see
    from deeperlab_tf.schema import Dataset
    from input_pipeline.pipeline import make_dataset
    from input_pipeline.sources import Reading, open_source
    from input_pipeline.targets import make_targets
    from input_pipeline.unlabelled import open_photos

__all__ = ["Dataset", "Reading", "make_dataset", "make_targets", "open_photos", "open_source"]

_HOMES = {
    "Dataset": "deeperlab_tf.schema",
    "Reading": "input_pipeline.sources",
    "make_dataset": "input_pipeline.pipeline",
    "make_targets": "input_pipeline.targets",
    "open_photos": "input_pipeline.unlabelled",
    "open_source": "input_pipeline.sources",
}


def __getattr__(name: str) -> typing.Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
