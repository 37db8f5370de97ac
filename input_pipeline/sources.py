"""Opening the data that a config describes, raw files or records, as a `Source`."""

from __future__ import annotations

import importlib
import typing

from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from input_pipeline.datasets import NAMES, Source


class Reading(typing.NamedTuple):
    """How to read, which is no property of what is trained, and so not in the config.

    Attributes:
      skip_corrupt: leave out corrupt records, naming and counting them, instead of stopping.
      data_service: dispatcher of a tf.data service, grpc://host:port, whose workers prepare the
        training's batches; "": this process does.

    Example:
      >>> source = open_source(config, "train", Reading(skip_corrupt=True))
    """

    skip_corrupt: bool = False
    data_service: str = ""


_READ_AS_THEY_ARE = Reading()


def open_source(config: ConfigDict, split: str, reading: Reading = _READ_AS_THEY_ARE) -> Source:
    """The source of a split.

    Args:
      config: the full config; `data` says what to read.
      split: train, val, ….
      reading: how to read it.

    Raises:
      UserError: the dataset is unknown, or cannot be opened.

    Example:
      >>> source = open_source(default_config(), "val")
      >>> source[0]["image"].shape
      (129, 129, 3)
    """
    data = config.data
    if data.records:
        # TensorFlow takes seconds to start, and raw files do without it.
        from input_pipeline.records.read import open_split

        return open_split(config, split, reading.skip_corrupt)
    if data.dataset not in NAMES:
        known = ", ".join(NAMES)
        raise UserError(f"config.data.dataset is {data.dataset!r}; known datasets are {known}.")
    module = importlib.import_module(f"input_pipeline.datasets.{data.dataset}")
    return module.open_split(config, split)
