"""Which head is to blame: a model's parses with some of its heads replaced by true ones.

Where the truth says nothing about a head (crowds, ignored pixels, offsets off the objects), the
model's own stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.kept_heads import HeadsPredictor, parser
from deeperlab_tf.evaluation.samples import Source
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.pixels.image_size import content_size, network_size, resize_labels
from deeperlab_tf.schema import IGNORE_LABEL

Heads = Mapping[str, np.ndarray]  # float32 [1, h, w, channels] each

_KEYPOINT_HEADS = {
    "heatmap": "keypoint_logits",
    "short": "short_offsets",
    "middle": "middle_offsets",
    "long": "long_offsets",
}
# What can be replaced, and which heads that are.
REPLACEMENTS = {
    "semantic": ("semantic_logits",),
    "keypoints": tuple(_KEYPOINT_HEADS.values()),
    **{name: (head,) for name, head in _KEYPOINT_HEADS.items()},
}


class Labels(NamedTuple):
    """Label maps of one image, [H, W] each.

    Attributes:
      semantic: int32; 255 = ignore.
      instance: int32; at least 1 on things, 0 elsewhere.
      crowd: bool.
    """

    semantic: np.ndarray
    instance: np.ndarray
    crowd: np.ndarray


def heads_of(replacement: str) -> tuple[str, ...]:
    """The heads that a replacement names.

    Args:
      replacement: names of `REPLACEMENTS`, joined by +.

    Raises:
      UserError: an unknown name.

    Example:
      >>> heads_of("semantic+heatmap")
      ('semantic_logits', 'keypoint_logits')
    """
    heads = []
    for name in replacement.split("+"):
        if name not in REPLACEMENTS:
            known = ", ".join(REPLACEMENTS)
            raise UserError(f"{name!r} cannot be replaced; known are {known}, joined by +.")
        heads += REPLACEMENTS[name]
    return tuple(dict.fromkeys(heads))


def score_replacements(
    predictor: HeadsPredictor,
    source: Source,
    true: Callable[[Labels, Heads], Heads],
    replacements: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, Any]]:
    """Scores the parses of a model with some of its heads replaced; shows a progress bar.

    Args:
      predictor: `Predictor`.
      source: random access to samples.
      true: function of an image's labels, as the network sees it, and of the predicted heads that
        gives the true ones, of `oracle.true_heads`.
      replacements: name -> the heads that are replaced.

    Returns:
      of each replacement the dict of `ParsingMetrics.result`.
    """
    dataset, config = predictor.dataset, predictor.config
    parse = parser(dataset, config)
    arguments = (dataset.num_classes, dataset.thing_classes, dataset.ignore_label)
    metrics = {name: ParsingMetrics(*arguments) for name in replacements}
    for number in tqdm(range(len(source)), unit="image", dynamic_ncols=True, disable=None):
        sample = source[number]
        labels = Labels(*(sample[name] for name in Labels._fields))
        predicted = predictor.heads(sample["image"])
        exact = true(labels_for_network(labels, config), predicted)
        for name, heads in replacements.items():
            mixed = {head: (exact if head in heads else predicted)[head] for head in predicted}
            parsed = parse(mixed, labels.semantic.shape)
            found = (parsed["semantic"], parsed["instance"])
            metrics[name].update(labels.semantic, labels.instance, *found, labels.crowd)
    return {name: measured.result() for name, measured in metrics.items()}


def labels_for_network(labels: Labels, config: ConfigDict) -> Labels:
    """Labels as `inference.prepare_images` makes the image: resized, then padded with ignore.

    Args:
      labels: of the image as it is in the dataset.
      config: the whole config.
    """
    content = content_size(*labels.semantic.shape, config)
    padded = network_size(*content, config)
    paddings = [[0, int(outer) - int(inner)] for inner, outer in zip(content, padded)]

    def prepare(values, fill):
        planes = tf.constant(values[np.newaxis].astype(np.int32))
        resized = resize_labels(planes, *content).numpy()[0]
        return np.pad(resized, paddings, constant_values=fill)

    return Labels(
        prepare(labels.semantic, IGNORE_LABEL),
        prepare(labels.instance, 0),
        prepare(labels.crowd, 0) > 0,
    )
