"""Opening the data that a config describes, raw files or records, as a `Source`."""

from __future__ import annotations

import importlib
import typing

from absl import logging
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import IGNORE_LABEL
from input_pipeline.datasets import NAMES, Source
from input_pipeline.datasets.mask_problems import BINARY_CLASSES


class Reading(typing.NamedTuple):
    """How to read, which is no property of what is trained, and so not in the config.

    Attributes:
      skip_corrupt: leave out corrupt records, naming and counting them, instead of stopping.
      data_service: dispatcher of a tf.data service, grpc://host:port, whose workers prepare the
        training's batches; "": this process does.
      allow_incomplete: open the source although samples lack files, to tell which.

    Example:
      >>> source = open_source(config, "train", Reading(skip_corrupt=True))
    """

    skip_corrupt: bool = False
    data_service: str = ""
    allow_incomplete: bool = False


_FIRST = 3  # images of a split that are read before training
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
    source = module.open_split(config, split)
    if not reading.allow_incomplete:
        _check_complete(source)
        _check_faultless(source)
    return source


def check_trainable(config: ConfigDict, reading: Reading = _READ_AS_THEY_ARE) -> Source:
    """What both `train.py` and `check_dataset.py` ask of data: a split to train on and one held
    out, neither of them empty, with the same classes.

    Returns:
      the source of `val`.

    Raises:
      UserError: one of them is missing, empty, incomplete or without labels, their classes differ,
        or one of the first images cannot be read.
    """
    if config.data.records:
        return _check_records(config, reading)
    sources = {}
    for split in dict.fromkeys((config.data.train_split, "val")):
        sources[split] = open_source(config, split, reading)
        _check_not_empty(sources[split], config, split)
    trained, held_out = sources[config.data.train_split], sources["val"]
    if trained.dataset.categories != held_out.dataset.categories:
        raise UserError(
            f"the splits {config.data.train_split!r} and 'val' of {_where(config)} have different "
            "classes; give both the same, in the same order."
        )
    for split, source in sources.items():
        _look_at_first(source, config, split)
    return held_out


def _check_records(config: ConfigDict, reading: Reading) -> Source:
    """`check_trainable` of records, whose splits have their classes in common; those of `train` are
    only looked for, as counting them takes long.
    """
    # TensorFlow takes seconds to start, and raw files do without it.
    from input_pipeline.records.files import find_shards

    find_shards(config.data.records, config.data.train_split)
    held_out = open_source(config, "val", reading)
    _check_not_empty(held_out, config, "val")
    return held_out


def _check_not_empty(source: Source, config: ConfigDict, split: str) -> None:
    if not len(source):
        raise UserError(
            f"split {split!r} of {_where(config)} has no images; "
            "training needs some in train and in val."
        )


def _look_at_first(source: Source, config: ConfigDict, split: str) -> None:
    """Reads the first images, for what is wrong with all of them: as many as take no time.

    `check_dataset.py` reads every image. Where there are no more than these, what it calls an error
    is one here; else it is worth a warning.
    """
    count = min(_FIRST, len(source))
    samples = [source[index] for index in range(count)]
    images = f"the first {count} images of split {split!r} of {_where(config)}"
    problems = []
    if not any((sample["semantic"] != IGNORE_LABEL).any() for sample in samples):
        problems.append(f"{images} have no labelled pixel; check the ids of the classes")
    kinds = [{problem.kind for problem in source.problems(index)} for index in range(count)]
    if all(BINARY_CLASSES in found for found in kinds):
        problems.append(
            f"the class masks of {images} hold 0 and 255 alone, and 255 does not count; give the "
            "foreground the id 255 and write ignore: []"
        )
    for text in problems:
        if count == len(source):
            raise UserError(f"{text}.")
        logging.warning("%s; scripts/check_dataset.py looks at all.", text)


def _check_faultless(source: Source) -> None:
    faults = source.faults()
    if faults:
        raise UserError(faults[0])


def _check_complete(source: Source) -> None:
    lacking = source.incomplete()
    if lacking:
        first = next(iter(lacking.values()))
        others = f"; so do {len(lacking) - 1} others" if len(lacking) > 1 else ""
        raise UserError(
            f"{first}{others}: add what is missing, take the images off their list, or set "
            "config.data.annotations.without_labels to empty or skip; "
            "scripts/check_dataset.py lists them all."
        )


def _where(config: ConfigDict) -> str:
    return config.data.records or config.data.root or config.data.dataset
