"""Where and how a parse is wrong, as a picture: wrong class, missed, split, merged."""

import cv2
import numpy as np

from deeperlab_tf.label_maps import combine
from deeperlab_tf.metrics.overlaps import table_from_counts
from deeperlab_tf.metrics.panoptic_quality import match_segments
from deeperlab_tf.visualize import parses as visualize
from deeperlab_tf.visualize.drawing import legend, stripes

ERROR_COLORS = dict(  # of `error_map`
    wrong_class=(230, 60, 50),
    missed=(250, 160, 30),
    split=(70, 160, 255),
    merged=(200, 80, 230),
    void=(128, 128, 128),
)


def errors(truth, parsing, crowd=None):
    """What is wrong with a parse, pixel by pixel.

    Args:
      truth: `Parsing` of the ground truth.
      parsing: `Parsing` of the same size.
      crowd: bool [H, W], crowd regions of the truth; they count as void here. None: there are none.

    Returns:
      uint8 [H, W], index into `ERROR_COLORS` + 1; 0 where the parse is right. With the class right,
      a thing's pixel is "merged" if its predicted segment matches another object, "split" if its
      object is matched by another segment, "missed" if neither has a match.
    """
    ignore = parsing.dataset.ignore_label
    gt_semantic = truth.semantic if crowd is None else np.where(crowd, ignore, truth.semantic)
    columns = [
        labels.reshape(-1)
        for labels in (gt_semantic, truth.instance, parsing.semantic, parsing.instance)
    ]
    pair_of_pixel = combine(columns)
    counts = np.bincount(pair_of_pixel)
    representative = np.empty(len(counts), np.int64)
    representative[pair_of_pixel] = np.arange(len(pair_of_pixel))
    gt_class, gt_instance, pred_class, pred_instance = (
        column[representative].astype(np.int64) for column in columns
    )
    table = table_from_counts(
        (gt_class, gt_instance, np.zeros_like(gt_class)),
        (pred_class, pred_instance),
        counts,
        ignore,
    )
    matches = match_segments(table)
    match_of_gt = {
        (table.gt_class[gt], table.gt_instance[gt]): table.pred_instance[pred]
        for gt, pred in zip(matches.gt, matches.pred)
    }
    matched_pred = {(table.pred_class[pred], table.pred_instance[pred]) for pred in matches.pred}
    kinds = list(ERROR_COLORS)
    things = set(parsing.dataset.thing_classes)

    def kind(true_class, true_instance, found_class, found_instance):
        if true_class == ignore:
            return "void"
        if found_class == ignore:
            return "missed"
        if found_class != true_class:
            return "wrong_class"
        match = match_of_gt.get((true_class, true_instance))
        if true_class not in things or match == found_instance:
            return None
        if (found_class, found_instance) in matched_pred:
            return "merged"
        return "missed" if match is None else "split"

    pair_kinds = [kind(*pair) for pair in zip(gt_class, gt_instance, pred_class, pred_instance)]
    codes = np.array(
        [0 if name is None else kinds.index(name) + 1 for name in pair_kinds], np.uint8
    )
    return codes[pair_of_pixel].reshape(gt_semantic.shape)


def error_map(image, codes, scale=1):
    """The `errors` in `ERROR_COLORS` over the image in light grey; void, which does not count, is
    hatched.

    `scale`: the picture is this many times as large as the image.
    """
    size = (image.shape[1] * scale, image.shape[0] * scale)
    image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    codes = cv2.resize(codes, size, interpolation=cv2.INTER_NEAREST)
    grey = (
        cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
        * 0.5
        + 85
    )
    colors = {
        0: (0, 0, 0),
        **{index + 1: color for index, color in enumerate(ERROR_COLORS.values())},
    }
    is_void = codes == list(ERROR_COLORS).index("void") + 1
    opacity = np.where(is_void, 0.9 * stripes(codes.shape), np.where(codes > 0, 0.85, 0.0))[
        ..., np.newaxis
    ]
    return (grey + opacity * (visualize.paint(codes, colors) - grey)).astype(np.uint8)


def error_legend(width):
    """A strip that tells what the colours of `error_map` mean."""
    return legend(ERROR_COLORS, width, hatched=("void",))
