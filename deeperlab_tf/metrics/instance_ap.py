"""Average precision of the instances by COCO's own evaluator (pycocotools), as for instance
segmentation.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from deeperlab_tf.errors import UserError
from deeperlab_tf.pixels.label_maps import combine, runs
from deeperlab_tf.schema import IGNORE_LABEL

_IOU_50, _ALL_AREAS, _MAX_DETECTIONS = 0, 0, 0  # indices into the evaluator's axes


class _Image(NamedTuple):
    """One image by its regions; see `InstanceAP.add`."""

    size: tuple[int, int]
    truths: list[tuple[int, bool, dict]]
    predictions: list[tuple[int, float, dict]]


class InstanceAP:
    """AP and AP50 of things over a dataset, one image at a time.

    Args:
      num_classes: number of classes.
      thing_classes: indices of the classes that are things; only they count.
      ignore_label: void in the ground truth, unlabelled in predictions.

    Example:
      >>> metric = InstanceAP(num_classes=2, thing_classes=(1,))
      >>> semantic = instance = np.eye(4, dtype=int)
      >>> metric.update(semantic, instance, semantic, instance, scores=[0.9])
      >>> round(metric.result()["ap"], 4)
      1.0
    """

    def __init__(
        self, num_classes: int, thing_classes: Iterable[int], ignore_label: int = IGNORE_LABEL
    ) -> None:
        self.num_classes = num_classes
        self.thing_classes = tuple(thing_classes)
        self.ignore_label = ignore_label
        self._images = []

    def update(
        self,
        gt_semantic: np.ndarray,
        gt_instance: np.ndarray,
        pred_semantic: np.ndarray,
        pred_instance: np.ndarray,
        gt_crowd: np.ndarray | None = None,
        *,
        scores: Sequence[float],
    ) -> None:
        """Adds one image.

        Args:
          gt_semantic, gt_instance, pred_semantic, pred_instance, gt_crowd: as of every metric.
          scores: [N], confidence of predicted instance 1 ... N. Predicted regions without an
            instance number do not count.

        Raises:
          UserError: an instance has no score.
        """

        def is_thing(key):
            return key[0] in self.thing_classes

        crowd = np.zeros(np.shape(gt_semantic), bool) if gt_crowd is None else gt_crowd
        truths = []
        for (label, _, is_crowd), rle in regions(is_thing, gt_semantic, gt_instance, crowd):
            truths.append((label, bool(is_crowd), rle))

        predictions = []
        for (label, number), rle in regions(is_thing, pred_semantic, pred_instance):
            if number > len(scores):
                raise UserError(
                    f"predicted instance {number} has no score; there are {len(scores)}."
                )
            if number:
                predictions.append((label, float(scores[number - 1]), rle))
        self.add(np.shape(gt_semantic), truths, predictions)

    def add(
        self,
        size: tuple[int, int],
        truths: list[tuple[int, bool, dict]],
        predictions: list[tuple[int, float, dict]],
    ) -> None:
        """Adds one image by its regions.

        Args:
          size: (H, W).
          truths: (class, is crowd, RLE) of each; see `regions`.
          predictions: (class, score, RLE) of each.
        """
        self._images.append(_Image(size, truths, predictions))

    def merge(self, other: InstanceAP) -> InstanceAP:
        """Adds what another `InstanceAP` has seen, as if after the own images. Returns self."""
        self._images += other._images
        return self

    def result(self) -> dict:
        """The metric so far.

        Returns:
          dict: `ap` (mean over IoU thresholds 0.5, 0.55 ... 0.95), `ap50`, means over the thing
          classes with ground truth, in 0-1, NaN where there is none; `per_class`, a list with `ap,
          ap50` of each class.
        """
        # AP and AP50: [2, classes].
        per_class = np.full((2, self.num_classes), np.nan)
        if any(image.truths for image in self._images):
            with contextlib.redirect_stdout(io.StringIO()):  # the evaluator reports its progress
                evaluator = self._evaluate()

            # [IoU, recall, class]
            precision = evaluator.eval["precision"][..., _ALL_AREAS, _MAX_DETECTIONS]
            precision = np.where(precision < 0, np.nan, precision)
            classes = list(evaluator.params.catIds)
            per_class[0, classes] = precision.mean(axis=(0, 1))
            per_class[1, classes] = precision[_IOU_50].mean(axis=0)

        measured = ~np.isnan(per_class[0])
        ap, ap50 = np.full(2, np.nan)
        if measured.any():
            ap, ap50 = per_class[:, measured].mean(axis=1)
        return dict(_named(ap, ap50), per_class=[_named(*values) for values in per_class.T])

    def _evaluate(self):
        """COCO's evaluator after its work on all images, which are numbered from 1 on."""
        images, truths, results = [], [], []
        for number, image in enumerate(self._images, start=1):
            height, width = image.size
            images.append(dict(id=number, height=height, width=width))
            for label, is_crowd, rle in image.truths:
                truths.append(_annotation(len(truths) + 1, number, label, is_crowd, rle))
            for label, score, rle in image.predictions:
                results.append(_result(number, label, score, rle))

        truth = COCO()
        truth.dataset = dict(
            info={},
            images=images,
            annotations=truths,
            categories=[dict(id=label) for label in self.thing_classes],
        )
        truth.createIndex()
        prediction = truth.loadRes(results) if results else COCO()

        evaluator = COCOeval(truth, prediction, "segm")
        params = evaluator.params
        params.imgIds = [image["id"] for image in images]
        # Other classes have no precision.
        params.catIds = sorted({annotation["category_id"] for annotation in truths})
        params.areaRng, params.areaRngLbl = params.areaRng[:1], params.areaRngLbl[:1]
        params.maxDets = params.maxDets[-1:]
        evaluator.evaluate()
        evaluator.accumulate()
        return evaluator


def regions(
    wanted: Callable[[tuple[int, ...]], bool], *maps: np.ndarray
) -> list[tuple[tuple[int, ...], dict]]:
    """Regions of pixels with the same values in all maps.

    Args:
      wanted: whether to give the region of these values, one of each map.
      *maps: integer or bool [H, W].

    Returns:
      (values, pycocotools' RLE) of each region.
    """
    # RLE runs down the columns.
    columns = [np.asarray(values).T.reshape(-1) for values in maps]
    lengths, values = runs(columns)
    ends = np.cumsum(lengths)
    starts = ends - lengths

    # Runs by region, and where the next region begins.
    region = combine(values)
    order = np.argsort(region, kind="stable")
    borders = np.flatnonzero(np.diff(region[order])) + 1

    found = []
    for group in np.split(order, borders):
        first = group[0]
        key = tuple(int(column[first]) for column in values)
        if wanted(key):
            rle = _rle(starts[group], ends[group], np.shape(maps[0]))
            found.append((key, rle))
    return found


def _named(ap, ap50):
    return dict(ap=float(ap), ap50=float(ap50))


def _annotation(number, image_id, label, is_crowd, rle):
    """A true region as the evaluator wants it."""
    return dict(
        id=number,
        image_id=image_id,
        category_id=label,
        iscrowd=int(is_crowd),
        segmentation=rle,
        area=float(mask.area(rle)),
        bbox=mask.toBbox(rle).tolist(),
    )


def _result(image_id, label, score, rle):
    """A predicted region as the evaluator wants it."""
    return dict(image_id=image_id, category_id=label, score=score, segmentation=rle)


def _rle(starts, ends, size):
    """pycocotools' RLE of the pixels in [starts, ends), counted down the columns."""
    # Runs that touch, at the end of a column, are one.
    gap = starts[1:] != ends[:-1]
    starts = starts[np.append(True, gap)]
    ends = ends[np.append(gap, True)]

    # Lengths of the gaps and runs in turn.
    height, width = size
    edges = np.column_stack([starts, ends]).reshape(-1)
    counts = np.diff(edges, prepend=0, append=height * width)
    uncompressed = dict(counts=counts.tolist(), size=[height, width])
    return mask.frPyObjects(uncompressed, height, width)
