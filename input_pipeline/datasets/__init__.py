"""Datasets as sources: random access to labelled images, whatever files they come from.

A source has `source.dataset` (`deeperlab_tf.schema.Dataset`), `len(source)` and `source[i]`, which is a dict of
`image` uint8 [H, W, 3] RGB, `semantic` int32 [H, W] (255 = ignore), `instance` int32 [H, W] (>= 1 and unique per thing
instance, 0 elsewhere), `crowd` bool [H, W] and `image_id` str.
"""

from deeperlab_tf.errors import UserError
from input_pipeline.datasets.folder import Folder
from input_pipeline.datasets.shapes import Shapes

_OPENERS = {
    "folder": lambda config, split: Folder(config.data.root, split, config.data.classes),
    "shapes": lambda config, split: Shapes(config.data.shapes, split, config.data.seed),
}


def open_source(config, split):
    """The source of `split` (train, val, …) that `config.data` describes; UserError if it cannot be opened."""
    name = config.data.dataset
    if name not in _OPENERS:
        raise UserError(f"config.data.dataset is {name!r}; known datasets are {', '.join(sorted(_OPENERS))}.")
    return _OPENERS[name](config, split)
