"""Datasets as sources: random access to labelled images, whatever files they come from.

A source has `source.dataset` (`deeperlab_tf.schema.Dataset`), `len(source)` and `source[i]`, which
is a dict of `image` uint8 [H, W, 3] RGB, `semantic` int32 [H, W] (255 = ignore), `instance` int32
[H, W] (>= 1 and unique per thing instance, 0 elsewhere), `crowd` bool [H, W] and `image_id` str.

Each module here is one kind of dataset; its `open_split(config, split)` gives the source.
"""

import importlib

from deeperlab_tf.errors import UserError

NAMES = ("coco", "cityscapes", "vistas", "voc", "folder", "shapes")


def open_source(config, split):
    """The source of `split` (train, val, …) that `config.data` describes; UserError if it cannot be
    opened.
    """
    if config.data.records:
        return importlib.import_module("input_pipeline.records.records").open_split(config, split)
    name = config.data.dataset
    if name not in NAMES:
        raise UserError(f"config.data.dataset is {name!r}; known datasets are {', '.join(NAMES)}.")
    return importlib.import_module(f"input_pipeline.datasets.{name}").open_split(config, split)
