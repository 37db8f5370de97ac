"""Scores one folder in the COCO panoptic format against another."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.results import Evaluation, ScoredImage
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.oddities import Found, notes
from deeperlab_tf.files.panoptic_pair import Comparison, PanopticPair, compare, read_pair
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.metrics import InstanceAP
from deeperlab_tf.metrics.instance_ap import regions
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.work import local
from deeperlab_tf.work.job import Job, lengths, new_key, once, ranges

_CHUNK = 4  # images that a worker process is given at a time


class Files(NamedTuple):
    """What to compare; see `evaluate_files`."""

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
    files = Files(gt_json, gt_dir, pred_json, pred_dir, strict)
    pair = files.open()
    image_ids = image_ids_of(pair, gt_json)
    if image_dir is not None and not storage.isdir(image_dir):
        raise UserError(
            f"there is no folder {image_dir}; "
            f"give the photos of {gt_json} or leave --image_dir out."
        )

    evaluation = Evaluation.of(pair.truth.dataset, _loader(pair, image_ids, image_dir))
    if not pair.prediction.has_scores():
        evaluation.instance_ap = None
    found = pair.oddities
    for image_id, (comparison, ap) in zip(image_ids, _compare_all(files, len(image_ids), workers)):
        evaluation.add(image_id, comparison.table)
        found += [Found(oddity, f"image {image_id}") for oddity in comparison.oddities]
        if ap is not None:
            evaluation.instance_ap.merge(ap)
    evaluation.notes_on_files = notes(found)
    return evaluation


def image_ids_of(pair: PanopticPair, gt_json: str) -> Sequence[Hashable]:
    """The images of the truth, which is in the file `gt_json`.

    Raises:
      UserError: there are none.
    """
    image_ids = pair.truth.image_ids
    if not image_ids:
        raise UserError(f"{gt_json} has no annotations; there is nothing to evaluate.")
    return image_ids


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


def compare_image(files, image_id):
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


# === Many images ===


class FilesJob(NamedTuple):
    """What the tasks are told: what to compare, and the key of the job."""

    files: Files
    key: str


def compare_range(
    shared: FilesJob, task: tuple[int, int]
) -> list[tuple[Comparison, InstanceAP | None]]:
    """What `compare_image` gives for the images first … last - 1."""
    pair = once(shared.key, Files.open, shared.files)
    image_ids = pair.truth.image_ids[slice(*task)]
    return [compare_image(pair, image_id) for image_id in image_ids]


def _compare_all(files: Files, count: int, workers: int) -> Iterator[Comparison]:
    """Yields what `compare_image` gives for each image, in order."""
    tasks = ranges(count, _CHUNK)
    sizes = lengths(tasks)
    shared = FilesJob(files, new_key())
    job = Job("comparing", "image", compare_range, shared, tasks, sizes, operator.add)
    return itertools.chain.from_iterable(local.parts(job, workers))
