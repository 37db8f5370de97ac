"""COCO's panoptic evaluation by its published rules, slowly: one pair of masks at a time.

The evaluator that COCO offers is tried beside it where it is installed (`panopticapi`).
"""

import os
from typing import NamedTuple

import numpy as np
from PIL import Image

from deeperlab_tf.files.atomic import read_json

_LARGEST_ID = 2**24 - 1


class Refused(Exception):
    """The rules do not provide for such files."""


class Counts(NamedTuple):
    """Of one category."""

    iou_sum: float
    tp: int
    fp: int
    fn: int


def quality_of_files(gt_json, gt_dir, pred_json, pred_dir):
    """dict of category id -> `Counts`, of the categories that occur."""
    truth, prediction = (read_json(path) for path in (gt_json, pred_json))
    known = {category["id"] for category in truth["categories"]}
    predictions = {annotation["image_id"]: annotation for annotation in prediction["annotations"]}

    matched, wrong, missed = [], [], []
    for annotation in truth["annotations"]:
        if annotation["image_id"] not in predictions:
            raise Refused("no prediction")
        other = predictions[annotation["image_id"]]
        image = _ScoredImage(annotation, other, gt_dir, pred_dir)
        image.check(known)
        matched += image.matched()
        wrong += image.wrong()
        missed += image.missed()

    return {
        category: Counts(
            sum(iou for one, iou in matched if one == category),
            sum(one == category for one, _ in matched),
            wrong.count(category),
            missed.count(category),
        )
        for category in known
    }


class _ScoredImage:
    def __init__(self, truth, prediction, gt_dir, pred_dir):
        self.gt = {segment["id"]: segment for segment in truth["segments_info"]}
        self.pred = {segment["id"]: segment for segment in prediction["segments_info"]}
        self.gt_ids = ids_of(os.path.join(gt_dir, truth["file_name"]))
        self.pred_ids = ids_of(os.path.join(pred_dir, prediction["file_name"]))

    def check(self, known):
        sizes = zip(self.gt_ids.shape, self.pred_ids.shape)
        if any(gt != pred and 1 not in (gt, pred) for gt, pred in sizes):
            raise Refused("the sizes differ")
        shown = set(np.unique(self.pred_ids).tolist())
        if shown - {0} != set(self.pred) - {0} or (0 in self.pred and 0 not in shown):
            raise Refused("the prediction's JSON and PNG disagree")
        if any(segment["category_id"] not in known for segment in self.pred.values()):
            raise Refused("a category is unknown")

    def pairs(self):
        """Of each true segment that counts, and each predicted one of its category where they
        overlap: the ids of both, and the IoU.
        """
        for gt_id, gt in self.gt.items():
            for pred_id, pred in self.pred.items():
                if gt["iscrowd"] == 1 or gt["category_id"] != pred["category_id"]:
                    continue
                overlap = self.overlap(gt_id, pred_id)
                if overlap:
                    union = self.area(pred_id) + gt["area"] - overlap - self.overlap(0, pred_id)
                    yield gt_id, pred_id, overlap / union if union else float("inf")

    def matched(self):
        return [(self.gt[gt]["category_id"], iou) for gt, _, iou in self.pairs() if iou > 0.5]

    def missed(self):
        found = {gt for gt, _, iou in self.pairs() if iou > 0.5}
        return [
            segment["category_id"]
            for gt, segment in self.gt.items()
            if gt not in found and segment["iscrowd"] != 1
        ]

    def wrong(self):
        found = {pred for _, pred, iou in self.pairs() if iou > 0.5}
        crowds = [(s["category_id"], gt) for gt, s in self.gt.items() if s["iscrowd"] == 1]
        last_crowd = dict(crowds)
        categories = []
        for pred, segment in self.pred.items():
            excused = self.overlap(0, pred)
            if segment["category_id"] in last_crowd:
                excused += self.overlap(last_crowd[segment["category_id"]], pred)
            if pred not in found and excused / self.area(pred) <= 0.5:
                categories.append(segment["category_id"])
        return categories

    def area(self, pred):
        return int(np.sum(is_id(self.pred_ids, pred)))

    def overlap(self, gt, pred):
        return int(np.sum(is_id(self.gt_ids, gt) & is_id(self.pred_ids, pred)))


def ids_of(path):
    pixels = np.array(Image.open(path), dtype=np.int64)
    if pixels.ndim != 3:
        raise Refused("not in colour")
    return pixels[..., 0] + 256 * pixels[..., 1] + 65536 * pixels[..., 2]


def is_id(ids, value):
    """bool [H, W]: where ids are `value`, which may be anything that JSON has."""
    is_number = isinstance(value, (int, float)) and 0 <= value <= _LARGEST_ID
    return ids == value if is_number else np.zeros(ids.shape, bool)
