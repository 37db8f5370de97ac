"""Datasets: each module is one kind, whose `open_split(config, split)` gives a `Source`."""

from __future__ import annotations

import typing

from deeperlab_tf.schema import Dataset

NAMES = (
    "coco",
    "coco_instances",
    "cityscapes",
    "vistas",
    "voc",
    "folder",
    "yolo",
    "labelme",
    "shapes",
)

Sample = dict[str, typing.Any]


class Problem(typing.NamedTuple):
    """What is odd in a sample, though it can be read.

    Attributes:
      kind: a few words that the problems of many images share.
      text: a sentence, with the image's name or file.
    """

    kind: str
    text: str


class Source:
    """Random access to the labelled images of a split, whatever files they come from.

    `source[i]` is a sample: a dict of `image` uint8 [H, W, 3] RGB, `semantic` int32 [H, W] (255 =
    ignore), `instance` int32 [H, W] (>= 1 and unique per thing instance, 0 elsewhere), `crowd`
    bool [H, W] and `image_id` str. Where files have several crowd regions of one class, there may
    be `crowd_regions` int32 [H, W], their numbers from 1 on in the order of the files; where a JSON
    of COCO's gives the image an id, `coco_id` int or str. Reading raises UserError, which names the
    file that is bad.

    Attributes:
      dataset: the classes.
    """

    dataset: Dataset

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        raise NotImplementedError

    def paths(self, index: int) -> tuple[str, ...]:
        """Files of a sample, that of the image first; () where there are none of its own."""
        del index
        return ()

    def label_files(self, index: int) -> tuple[str, ...]:
        """Files with the labels of a sample alone that are not among its `paths`."""
        del index
        return ()

    def shared_files(self) -> tuple[str, ...]:
        """Files that all samples have in common: a description, a JSON of annotations."""
        return ()

    def incomplete(self) -> dict[int, str]:
        """Samples that lack a file, and the sentence that says so: training refuses them."""
        return {}

    def unlabelled(self) -> list[str]:
        """Sentences about files that lack their counterpart, and so are in no sample."""
        return []

    def faults(self) -> list[str]:
        """Sentences about what forbids training, as far as it is known before samples are read."""
        return []

    def problems(self, index: int) -> list[Problem]:
        """What is odd in a sample, though it can be read."""
        del index
        return []
