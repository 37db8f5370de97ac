"""Where and how a parse is wrong, as a picture: wrong class, missed, split, merged."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from deeperlab_tf.metrics.overlaps import table_from_counts
from deeperlab_tf.metrics.panoptic_quality import match_segments
from deeperlab_tf.pixels.label_maps import combine
from deeperlab_tf.visualize.drawing import Picture, enlarge, legend, stripes
from deeperlab_tf.visualize.parses import Parse, paint

ERROR_COLORS = dict(  # of `error_map`
    wrong_class=(230, 60, 50),
    missed=(250, 160, 30),
    split=(70, 160, 255),
    merged=(200, 80, 230),
    void=(128, 128, 128),
)
# 0 is for pixels that are right.
_CODES = {name: code for code, name in enumerate(ERROR_COLORS, start=1)}


class _Pairs(NamedTuple):
    """The distinct pairs of a true and a predicted segment that share pixels.

    Attributes:
      truth: (class, instance), int64 [K] each.
      prediction: (class, instance), int64 [K] each.
      areas: int64 [K], shared pixels.
    """

    truth: tuple[np.ndarray, np.ndarray]
    prediction: tuple[np.ndarray, np.ndarray]
    areas: np.ndarray


class _Matches(NamedTuple):
    """Which segments found each other; a segment is (class, instance).

    Attributes:
      instance_of: predicted instance of each true segment that has a match.
      predicted: all predicted segments that have one.
    """

    instance_of: dict
    predicted: set


def error_codes(truth: Parse, parsing: Parse, crowd: np.ndarray | None = None) -> np.ndarray:
    """What is wrong with a parse, pixel by pixel.

    With the class right, a thing's pixel is "merged" if its predicted segment matches another
    object, "split" if its object is matched by another segment, "missed" if neither has a match.

    Args:
      truth: `Parsing` of the ground truth.
      parsing: `Parsing` of the same size.
      crowd: bool [H, W], crowd regions of the truth; they count as void here. None: there are none.

    Returns:
      uint8 [H, W], index into `ERROR_COLORS` + 1; 0 where the parse is right.
    """
    ignore_label = parsing.dataset.ignore_label
    true_semantic = truth.semantic
    if crowd is not None:
        true_semantic = np.where(crowd, ignore_label, true_semantic)

    maps = (true_semantic, truth.instance, parsing.semantic, parsing.instance)
    pairs, pair_of_pixel = _segment_pairs(maps)
    matches = _match(pairs, ignore_label)

    # Pairs are few: what is slow per pixel is fast here.
    things = set(parsing.dataset.thing_classes)
    codes = []
    for true, predicted in zip(zip(*pairs.truth), zip(*pairs.prediction)):
        name = _error(true, predicted, matches, things, ignore_label)
        codes.append(_CODES.get(name, 0))
    return np.array(codes, np.uint8)[pair_of_pixel].reshape(true_semantic.shape)


def error_map(image: Picture, codes: np.ndarray, scale: int = 1) -> Picture:
    """Errors in `ERROR_COLORS` over the image in light grey; void is hatched.

    Args:
      image: uint8 [H, W, 3], RGB.
      codes: uint8 [H, W] of `error_codes`.
      scale: the picture is this many times as large as the image.

    Returns:
      uint8 [H · scale, W · scale, 3].
    """
    image = enlarge(image, scale)
    size = (image.shape[1], image.shape[0])
    codes = cv2.resize(codes, size, interpolation=cv2.INTER_NEAREST)

    # Light grey, so that the colours stand out: 85 to 212.
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    grey = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).astype(np.float32) * 0.5 + 85

    hatching = 0.9 * stripes(codes.shape)
    opacity = np.where(codes > 0, 0.85, 0.0)
    opacity = np.where(codes == _CODES["void"], hatching, opacity)[..., np.newaxis]
    colors = {code: ERROR_COLORS[name] for name, code in _CODES.items()}
    return (grey + opacity * (paint(codes, colors) - grey)).astype(np.uint8)


def error_legend(width: int) -> Picture:
    """A strip `width` pixels wide that tells what the colours of `error_map` mean."""
    return legend(ERROR_COLORS, width, hatched=("void",))


def _segment_pairs(maps):
    """`_Pairs` of four label maps [H, W], and the index of each pixel's pair, int64 [H · W]."""
    columns = [labels.reshape(-1) for labels in maps]
    pair_of_pixel = combine(columns)
    areas = np.bincount(pair_of_pixel)

    # Any pixel of a pair tells its labels.
    pixel_of_pair = np.empty(len(areas), np.int64)
    pixel_of_pair[pair_of_pixel] = np.arange(len(pair_of_pixel))
    labels = [column[pixel_of_pair].astype(np.int64) for column in columns]
    return _Pairs(tuple(labels[:2]), tuple(labels[2:]), areas), pair_of_pixel


def _match(pairs, ignore_label):
    """`_Matches` by the rules of Panoptic Quality."""
    no_crowd = np.zeros_like(pairs.areas)
    truth = (*pairs.truth, no_crowd)
    table = table_from_counts(truth, pairs.prediction, pairs.areas, ignore_label)
    matches = match_segments(table)
    instance_of, predicted = {}, set()
    for gt, pred in zip(matches.gt, matches.pred):
        true_segment = (table.gt_class[gt], table.gt_instance[gt])
        instance_of[true_segment] = table.pred_instance[pred]
        predicted.add((table.pred_class[pred], table.pred_instance[pred]))
    return _Matches(instance_of, predicted)


def _error(true, predicted, matches, things, ignore_label):
    """What is wrong with a predicted segment's pixels on a true segment; None: nothing."""
    true_class, predicted_class = true[0], predicted[0]
    if true_class == ignore_label:
        return "void"
    if predicted_class == ignore_label:
        return "missed"
    if predicted_class != true_class:
        return "wrong_class"
    match = matches.instance_of.get(true)
    if true_class not in things or match == predicted[1]:
        return None
    if predicted in matches.predicted:
        return "merged"
    return "missed" if match is None else "split"
