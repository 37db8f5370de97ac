"""Scores one folder in the COCO panoptic format against another."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.results import Evaluation, ScoredImage
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.oddities import Found, notes
from deeperlab_tf.files.panoptic_pair import PanopticPair, compare, read_pair
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.metrics import InstanceAP
from deeperlab_tf.metrics.instance_ap import regions
from deeperlab_tf.prediction.parsing import Parsing

_CHUNK = 4  # images that a worker process is given at a time


class _Files(NamedTuple):
    """What to score; see `evaluate_files`."""

    gt_json: str
    gt_dir: str
    pred_json: str
    pred_dir: str
    strict: bool

    def open(self) -> PanopticPair:
        """The files of the truth and of the prediction."""
        return PanopticPair.open(self[:-1], self.strict)


def evaluate_files(
    gt_json: str,
    gt_dir: str,
    pred_json: str,
    pred_dir: str,
    image_dir: str | None = None,
    workers: int = 1,
    strict: bool = False,
) -> Evaluation:
    """Scores one folder of COCO panoptic PNGs against another.

    PQ, SQ and RQ are those of COCO's own evaluator in every case that it accepts; where files are
    odd (`deeperlab_tf/files/oddities.py`), the result's notes say so.

    Args:
      gt_json, gt_dir: the truth.
      pred_json, pred_dir: the prediction, of every image of the truth; more images do not matter.
        Where its things all have a `score`, instance AP is measured too.
      image_dir: folder of the photos, for the report; None: it does without.
      workers: processes that read and compare; the result does not depend on their number.
      strict: refuse files that are odd; areas are those of the pixels, and every crowd region
        excuses.

    Returns:
      `Evaluation`; its `result()` has the numbers.

    Raises:
      UserError: a file is missing or broken, files disagree, there are no images.

    Example:
      evaluation = evaluate_files("truth.json", "truth", "parses/parses.json", "parses")
      print(summary(evaluation.result()))
    """
    files = _Files(gt_json, gt_dir, pred_json, pred_dir, strict)
    pair = files.open()
    image_ids = pair.truth.image_ids
    if not image_ids:
        raise UserError(f"{gt_json} has no annotations; there is nothing to evaluate.")
    if image_dir is not None and not storage.isdir(image_dir):
        raise UserError(
            f"there is no folder {image_dir}; "
            f"give the photos of {gt_json} or leave --image_dir out."
        )

    evaluation = Evaluation.of(pair.truth.dataset, _loader(pair, image_ids, image_dir))
    if not pair.prediction.has_scores():
        evaluation.instance_ap = None
    found = pair.oddities
    for image_id, (comparison, ap) in zip(image_ids, _compare_all(files, image_ids, workers)):
        evaluation.add(image_id, comparison.table)
        found += [Found(oddity, f"image {image_id}") for oddity in comparison.oddities]
        if ap is not None:
            evaluation.instance_ap.merge(ap)
    evaluation.notes_on_files = notes(found)
    return evaluation


def _loader(files, image_ids, image_dir):
    """`Evaluation.load`."""
    truth, prediction = files
    dataset = truth.dataset

    def load(number):
        image_id = image_ids[number]
        pair = read_pair(files, image_id)
        semantic, instance, crowd, _ = truth.to_labels(image_id, pair.gt_ids, pair.gt)
        true_parse = Parsing.from_maps(semantic, instance, dataset)

        pred_id = truth.annotation(image_id)["image_id"]
        semantic, instance, _, scores = prediction.to_labels(pred_id, pair.pred_ids, pair.pred)
        parse = Parsing.from_maps(semantic, instance, dataset, scores=scores)
        return ScoredImage(photo(image_id), true_parse, parse, crowd)

    def photo(image_id):
        name = truth.photo_name(image_id)
        if image_dir is None or not name:
            return None
        return read_image(path_inside(image_dir, name))

    return load


# === One image ===


def _compare(files, image_id):
    """`Comparison` of one image, and its `InstanceAP`, or None where there are no scores."""
    pair = read_pair(files, image_id)
    comparison = compare(files, image_id, pair)
    if not files.prediction.has_scores():
        return comparison, None

    dataset = files.truth.dataset
    truths = []
    for thing in _things(dataset, pair.gt_ids, pair.gt):
        truths.append((thing.label, thing.is_crowd, thing.rle))
    predictions = []
    for thing in _things(dataset, pair.pred_ids, pair.pred):
        if not thing.is_crowd:
            predictions.append((thing.label, thing.score, thing.rle))
    ap = InstanceAP(dataset.num_classes, dataset.thing_classes, dataset.ignore_label)
    ap.add(pair.gt_ids.shape, truths, predictions)
    return comparison, ap


class _Thing(NamedTuple):
    """A segment of a thing: class, crowd or not, score (NaN: none), and mask as RLE."""

    label: int
    is_crowd: bool
    score: float
    rle: dict


def _things(dataset, ids, segments):
    """List of `_Thing` of what `PanopticFiles.read` gave for an image."""
    is_thing = np.isin(segments.classes[:-1], dataset.thing_classes)
    place_of = {}  # (segment id,) -> index into `segments`
    for index in np.flatnonzero(is_thing):
        place_of[(int(segments.ids[index]),)] = index

    things = []
    for key, rle in regions(place_of.__contains__, ids):
        place = place_of[key]
        label, is_crowd = int(segments.classes[place]), bool(segments.crowd[place])
        things.append(_Thing(label, is_crowd, segments.scores[place], rle))
    return things


# === All images ===


def _compare_all(files, image_ids, workers):
    """Yields what `_compare` gives for each image, in order."""
    bar = dict(total=len(image_ids), unit="image", desc="comparing", dynamic_ncols=True)
    if workers == 1:
        pair = files.open()
        yield from tqdm((_compare(pair, image_id) for image_id in image_ids), **bar)
        return
    # Spawned: forks of a process that runs TensorFlow's threads may hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, files) as pool:
        yield from tqdm(pool.map(_compare_in_worker, image_ids, chunksize=_CHUNK), **bar)


_worker_pair = None  # of a worker process, which opens its files once


def _start_worker(*files):
    global _worker_pair
    _worker_pair = _Files(*files).open()


def _compare_in_worker(image_id):
    return _compare(_worker_pair, image_id)
