"""Two readings of the same images in the COCO panoptic format: a truth and a prediction."""

from __future__ import annotations

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.coco_panoptic import PanopticFiles, Segments
from deeperlab_tf.label_maps import count_combinations
from deeperlab_tf.metrics.overlaps import OverlapTable, table_from_counts

Image = tuple[np.ndarray, Segments]  # what `PanopticFiles.read` gives


def read_pair(
    truth: PanopticFiles, prediction: PanopticFiles, image_id: int | str
) -> tuple[Image, Image]:
    """Reads one image of the truth and of the prediction.

    Returns:
      what `PanopticFiles.read` gives for each.

    Raises:
      UserError: as of `PanopticFiles.read`; the sizes differ; the prediction lacks the image.
    """
    if image_id not in prediction:
        raise UserError(
            f"{prediction.json_path} has no annotation for image {image_id} of {truth.json_path}."
        )

    gt, pred = truth.read(image_id), prediction.read(image_id)
    size, expected = _size(pred), _size(gt)
    if size != expected:
        raise UserError(
            f"{prediction.png_path(image_id)} is {size} pixels, "
            f"{truth.png_path(image_id)} {expected}; predictions must have the size of the truth."
        )
    return gt, pred


def compare(
    truth: PanopticFiles,
    prediction: PanopticFiles,
    image_id: int | str,
    pair: tuple[Image, Image] | None = None,
) -> OverlapTable:
    """Overlaps of one image's segments, straight from the ids of the PNGs.

    Args:
      truth, prediction: the files.
      image_id: of the image.
      pair: what `read_pair` gave, if it has been read already.

    Returns:
      `OverlapTable`, in which instance n is the segment with the nth smallest id.

    Raises:
      UserError: as of `read_pair` and `PanopticFiles.lookup`.
    """
    if pair is None:
        pair = read_pair(truth, prediction, image_id)
    (gt_ids, gt_segments), (pred_ids, pred_segments) = pair
    values, counts = count_combinations(gt=gt_ids, pred=pred_ids)

    # Of each combination of ids, [K]: the segment in truth and prediction.
    gt = truth.lookup(image_id, values["gt"], gt_segments)
    pred = prediction.lookup(image_id, values["pred"], pred_segments)

    gt_columns = (gt_segments.classes[gt], gt + 1, gt_segments.crowd[gt])
    pred_columns = (pred_segments.classes[pred], pred + 1)
    return table_from_counts(gt_columns, pred_columns, counts, truth.dataset.ignore_label)


def _size(image):
    ids, _ = image
    height, width = ids.shape
    return f"{height} x {width}"
