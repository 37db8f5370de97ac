"""Average precision of the instances by COCO's own evaluator (pycocotools), as for instance
segmentation.
"""

import contextlib
import io

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from deeperlab_tf.errors import UserError
from deeperlab_tf.label_maps import combine, runs

_IOU_50, _ALL_AREAS, _MAX_DETECTIONS = 0, 0, 0  # indices into the evaluator's axes


class InstanceAP:
    """AP and AP50 of things over a dataset, one image at a time.

    Args:
      num_classes: number of classes.
      thing_classes: indices of the classes that are things; only they count.
      ignore_label: void in the ground truth, unlabelled in predictions.
    """

    def __init__(self, num_classes, thing_classes, ignore_label=255):
        self.num_classes = num_classes
        self.thing_classes = tuple(thing_classes)
        self.ignore_label = ignore_label
        # Of each image: size, truths (class, crowd, RLE), predictions (class, score, RLE).
        self.images = []

    def update(
        self, gt_semantic, gt_instance, pred_semantic, pred_instance, gt_crowd=None, *, scores
    ):
        """Adds one image.

        Args:
          gt_semantic, gt_instance, pred_semantic, pred_instance, gt_crowd: as of every metric.
          scores: float [N], confidence of predicted instance 1 ... N. Predicted regions without an
            instance number do not count.
        """
        scores = np.asarray(scores, np.float64)
        crowd = np.zeros(np.shape(gt_semantic), bool) if gt_crowd is None else gt_crowd

        def is_thing(key):
            return key[0] in self.thing_classes

        truths = [
            (label, bool(is_crowd), rle)
            for (label, _, is_crowd), rle in regions(is_thing, gt_semantic, gt_instance, crowd)
        ]
        predictions = []
        for (label, number), rle in regions(is_thing, pred_semantic, pred_instance):
            if number > len(scores):
                raise UserError(
                    f"predicted instance {number} has no score; there are {len(scores)}."
                )
            if number:
                predictions.append((label, float(scores[number - 1]), rle))
        self.add(np.shape(gt_semantic), truths, predictions)

    def add(self, size, truths, predictions):
        """Adds one image by its regions.

        Args:
          size: (H, W).
          truths: list of (class, is_crowd, RLE); see `regions`.
          predictions: list of (class, score, RLE).
        """
        self.images.append((size, truths, predictions))

    def merge(self, other):
        """Adds what another `InstanceAP` has seen, as if after the own images. Returns self."""
        self.images += other.images
        return self

    def result(self):
        """The metric so far.

        Returns:
          dict: `ap` (mean over IoU thresholds 0.5, 0.55 ... 0.95), `ap50`, means over the thing
          classes with ground truth, in 0-1, NaN where there is none; `per_class`, a list with `ap,
          ap50` of each class.
        """
        per_class = np.full((2, self.num_classes), np.nan)
        if any(truths for _, truths, _ in self.images):
            with contextlib.redirect_stdout(io.StringIO()):  # the evaluator reports its progress
                evaluator = self._evaluate()
            # [IoU, recall, class]
            precision = evaluator.eval["precision"][..., _ALL_AREAS, _MAX_DETECTIONS]
            precision = np.where(precision < 0, np.nan, precision)
            classes = list(evaluator.params.catIds)
            per_class[0, classes] = precision.mean(axis=(0, 1))
            per_class[1, classes] = precision[_IOU_50].mean(axis=0)
        measured = ~np.isnan(per_class[0])
        means = per_class[:, measured].mean(axis=1) if measured.any() else (np.nan, np.nan)
        return dict(
            ap=float(means[0]),
            ap50=float(means[1]),
            per_class=[dict(ap=float(ap), ap50=float(ap50)) for ap, ap50 in per_class.T],
        )

    def _evaluate(self):
        truth, images = [], []
        results = []
        for number, (size, truths, predictions) in enumerate(self.images, start=1):
            images.append(dict(id=number, height=size[0], width=size[1]))
            for label, is_crowd, rle in truths:
                annotation = dict(
                    id=len(truth) + 1, image_id=number, category_id=label, iscrowd=int(is_crowd)
                )
                truth.append(
                    dict(
                        annotation,
                        segmentation=rle,
                        area=float(mask.area(rle)),
                        bbox=mask.toBbox(rle).tolist(),
                    )
                )
            for label, score, rle in predictions:
                results.append(
                    dict(image_id=number, category_id=label, score=score, segmentation=rle)
                )
        truths = COCO()
        truths.dataset = dict(
            info={},
            images=images,
            annotations=truth,
            categories=[dict(id=label) for label in self.thing_classes],
        )
        truths.createIndex()
        evaluator = COCOeval(truths, truths.loadRes(results) if results else COCO(), "segm")
        params = evaluator.params
        params.imgIds = [image["id"] for image in images]
        # Others have no precision.
        params.catIds = sorted({annotation["category_id"] for annotation in truth})
        params.areaRng, params.areaRngLbl, params.maxDets = (
            params.areaRng[:1],
            params.areaRngLbl[:1],
            params.maxDets[-1:],
        )
        evaluator.evaluate()
        evaluator.accumulate()
        return evaluator


def regions(wanted, *maps):
    """Regions of pixels with the same values in all maps.

    Args:
      wanted: function of a tuple of values: whether to give its region.
      *maps: integer or bool [H, W].

    Returns:
      list of (values, pycocotools' RLE), a tuple of int for each map.
    """
    columns = [np.asarray(values).T.reshape(-1) for values in maps]  # RLE runs down the columns
    lengths, values = runs(columns)
    region = combine(values)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    order = np.argsort(region, kind="stable")
    found = []
    for group in np.split(order, np.flatnonzero(np.diff(region[order])) + 1):
        key = tuple(int(column[group[0]]) for column in values)
        if wanted(key):
            found.append((key, _rle(starts[group], ends[group], np.shape(maps[0]))))
    return found


def _rle(starts, ends, size):
    """pycocotools' RLE of the pixels in [starts, ends), counted down the columns."""
    gap = starts[1:] != ends[:-1]
    starts, ends = starts[np.append(True, gap)], ends[np.append(gap, True)]
    edges = np.column_stack([starts, ends]).reshape(-1)
    counts = np.diff(edges, prepend=0, append=size[0] * size[1])
    return mask.frPyObjects(dict(counts=counts.tolist(), size=list(size)), *size)
