"""Two readings of the same images in the COCO panoptic format: a truth and a prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.oddities import Found, Oddity
from deeperlab_tf.files.panoptic_official import OfficialPrediction, OfficialTruth
from deeperlab_tf.files.panoptic_png import VOID
from deeperlab_tf.files.panoptic_segments import Segments
from deeperlab_tf.metrics.overlaps import OverlapTable, table_from_counts
from deeperlab_tf.metrics.panoptic_quality import match_segments
from deeperlab_tf.pixels.label_maps import count_combinations, sum_by


class PanopticPair(NamedTuple):
    """The files of the truth and of the prediction."""

    truth: PanopticFiles
    prediction: PanopticFiles

    @classmethod
    def open(cls, paths: tuple[str, str, str, str], strict: bool = False) -> PanopticPair:
        """Opens them.

        Args:
          paths: JSON and folder of the truth, JSON and folder of the prediction.
          strict: refuse what is odd; False: read it as COCO's evaluator does.

        Raises:
          UserError: as of `PanopticFiles`.
        """
        read_truth = PanopticFiles if strict else OfficialTruth
        read_prediction = PanopticFiles if strict else OfficialPrediction
        truth = read_truth(*paths[:2])
        return cls(truth, read_prediction(*paths[2:], truth.dataset))

    @property
    def oddities(self) -> list[Found]:
        """What is odd about the files as a whole; compare their images for the rest."""
        return [found for files in self for found in getattr(files, "oddities", [])]


class ImagePair(NamedTuple):
    """One image of both.

    Attributes:
      gt_ids, pred_ids: uint32 [H, W].
      gt, pred: `Segments`.
      repeats: how often each pixel of the prediction's file stands in `pred_ids`; 0: the files
        have one size.
    """

    gt_ids: np.ndarray
    gt: Segments
    pred_ids: np.ndarray
    pred: Segments
    repeats: int = 0


class Comparison(NamedTuple):
    """What `compare` gives: the `OverlapTable`, and a list of each `Oddity` of the image."""

    table: OverlapTable
    oddities: list[Oddity]


def read_pair(files: PanopticPair, image_id: Hashable) -> ImagePair:
    """Reads one image of the truth and of the prediction.

    Args:
      files: both.
      image_id: one of the truth's `image_ids`.

    Raises:
      UserError: as of `PanopticFiles.read`; the sizes differ; the prediction lacks the image.
    """
    truth, prediction = files
    pred_id = truth.annotation(image_id)["image_id"]
    if pred_id not in prediction:
        raise UserError(
            f"{prediction.json_path} has no annotation for image {image_id} of {truth.json_path}."
        )

    gt_ids, gt = truth.read(image_id)
    pred_ids, pred = prediction.read(pred_id)
    pair = ImagePair(gt_ids, gt, pred_ids, pred)
    if gt_ids.shape == pred_ids.shape:
        return pair
    if isinstance(truth, OfficialTruth) and _can_repeat(gt_ids.shape, pred_ids.shape):
        return _repeated(pair)
    raise UserError(
        f"{prediction.png_path(pred_id)} is {_size(pred_ids)} pixels, "
        f"{truth.png_path(image_id)} {_size(gt_ids)}; predictions must have the size of the truth."
    )


def compare(files: PanopticPair, image_id: Hashable, pair: ImagePair | None = None) -> Comparison:
    """Overlaps of one image's segments, straight from the ids of the PNGs.

    Args:
      files: truth and prediction.
      image_id: of the image.
      pair: what `read_pair` gave, if it has been read already.

    Returns:
      `Comparison`; in its table instance n is the segment with the nth smallest id.

    Raises:
      UserError: as of `read_pair` and `PanopticFiles.lookup`.
    """
    truth, prediction = files
    pair = pair or read_pair(files, image_id)
    values, counts = count_combinations(gt=pair.gt_ids, pred=pair.pred_ids)

    # Of each combination of ids, [K]: the segment in truth and prediction.
    pred_id = truth.annotation(image_id)["image_id"]
    gt = truth.lookup(image_id, values["gt"], pair.gt)
    pred = prediction.lookup(pred_id, values["pred"], pair.pred)

    gt_columns = (pair.gt.classes[gt], gt + 1, pair.gt.crowd[gt])
    pred_columns = (pair.pred.classes[pred], pred + 1)
    table = table_from_counts(gt_columns, pred_columns, counts, truth.dataset.ignore_label)
    if not isinstance(truth, OfficialTruth):
        return Comparison(table, [])

    # What is predicted on void, whose id may be that of a segment, too: [P].
    on_void = np.where(values["gt"] == VOID, counts, 0)
    pred_void = sum_by(pred + 1, on_void, len(pair.pred.ids) + 1)[table.pred_instance]
    table = _with_claims(dataclasses.replace(table, pred_void=pred_void), pair)

    found = truth.oddities_of(image_id) + prediction.oddities_of(pred_id)
    if np.any((gt < 0) & (values["gt"] != VOID)):
        found.append(Oddity.UNLISTED)
    return Comparison(table, found + _oddities_of_areas(table, pair))


def _with_claims(table, pair):
    """The table of an `ImagePair` with all that the JSON of the truth claims."""
    segments = pair.gt
    void = segments.classes[-1]

    # Segments without a pixel come after the others, so that pairs stay what they are.
    is_empty = segments.classes[:-1] != void
    is_empty[table.gt_instance - 1] = False
    empty = np.flatnonzero(is_empty)
    place = np.concatenate([table.gt_instance - 1, empty])
    gt_area = np.concatenate([table.gt_area, np.zeros(len(empty), np.int64)])

    claims = segments.areas[place]
    return dataclasses.replace(
        table,
        gt_class=segments.classes[place],
        gt_instance=place + 1,
        gt_crowd=segments.crowd[place].astype(bool),
        gt_area=gt_area,
        gt_claim=np.where(np.isnan(claims), gt_area, claims),
        gt_excuses=segments.excuses[place],
        pred_area=table.pred_area // max(pair.repeats, 1),
    )


def _oddities_of_areas(table, pair):
    """What is odd about the areas of an `ImagePair`, as a list of `Oddity`."""
    found = []
    if pair.repeats:
        found.append(Oddity.SIZE)
    counts = ~table.gt_crowd
    is_empty = table.gt_area == 0
    if np.any(counts & is_empty):
        found.append(Oddity.EMPTY)
    if np.any(counts & ~is_empty & (table.gt_claim != table.gt_area)):
        found.append(Oddity.AREA)
    if np.any(match_segments(table).iou > 1):
        found.append(Oddity.LARGE_IOU)
    return found


def _can_repeat(*sizes):
    """Whether maps of these (H, W) are of one size where single rows and columns are repeated."""
    return all(1 in lengths or len(set(lengths)) == 1 for lengths in zip(*sizes))


def _repeated(pair):
    """The `ImagePair` with single rows and columns repeated to the size of the other map."""
    maps = np.broadcast_arrays(pair.gt_ids, pair.pred_ids)
    gt_ids, pred_ids = (np.ascontiguousarray(ids) for ids in maps)
    repeats = pred_ids.size // pair.pred_ids.size
    return pair._replace(gt_ids=gt_ids, pred_ids=pred_ids, repeats=repeats)


def _size(ids):
    height, width = ids.shape
    return f"{height} x {width}"
