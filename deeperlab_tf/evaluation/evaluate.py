"""Scores parses against ground truth: of a model on a dataset, or of two folders in the COCO
panoptic format.
"""

import concurrent.futures
import dataclasses
import functools
import math
import multiprocessing
import os
import typing

import numpy as np
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.panoptic_pair import compare, read_pair
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.files.submissions import RESULT_FORMATS, CocoResults
from deeperlab_tf.metrics import InstanceAP, ParsingMetrics
from deeperlab_tf.metrics.instance_ap import regions
from deeperlab_tf.metrics.overlaps import overlap_table
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset
from deeperlab_tf.visualize import errors as error_pictures
from deeperlab_tf.visualize import parses as visualize
from deeperlab_tf.visualize.drawing import write_image

_SHEET_ROWS = 12  # images on the contact sheet, evenly spread over the dataset
_SHEET_TITLES = ("image", "truth", "parse", "errors")


@dataclasses.dataclass
class Evaluation:
    """Everything measured on one dataset.

    Attributes:
      dataset: `schema.Dataset`.
      load: function of an image's number that gives (image uint8 [H, W, 3] or None, truth
        `Parsing`, parse `Parsing`, crowd bool [H, W]), for pictures of a few.
      metrics: `ParsingMetrics`.
      instance_ap: `InstanceAP`, or None where the predictions have no scores.
      names: what each image is called.
      tables: `OverlapTable` of each image.
    """

    dataset: Dataset
    load: typing.Callable
    metrics: ParsingMetrics
    instance_ap: InstanceAP
    names: list = dataclasses.field(default_factory=list)
    tables: list = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, dataset, load):
        """One that has seen nothing yet."""
        arguments = (dataset.num_classes, dataset.thing_classes, dataset.ignore_label)
        return cls(dataset, load, ParsingMetrics(*arguments), InstanceAP(*arguments))

    def add(self, name, table):
        """Adds one image's `OverlapTable`."""
        self.names.append(str(name))
        self.tables.append(table)
        self.metrics.add(table)

    def result(self):
        """What goes into metrics.json.

        Returns:
          dict of floats in 0-1 (NaN: nothing to measure) `pq, sq, rq` and the same with `_things`,
          `_stuff`; `pc, pc_normalized, miou, ap, ap50`; counts `num_classes...`, `num_images`;
          `per_class`, a list of dicts with `name`, `id`, `is_thing` and the metrics of the class;
          `notes`, a list of sentences.
        """
        result = self.metrics.result()
        result.update(ap=math.nan, ap50=math.nan)
        per_class = [
            dict(name=category.name, id=category.original_id, is_thing=category.is_thing, **values)
            for category, values in zip(self.dataset.categories, result.pop("per_class"))
        ]
        if self.instance_ap is not None:
            ap = self.instance_ap.result()
            for values, ap_values in zip(per_class, ap.pop("per_class")):
                values.update(ap_values)
            result.update(ap)
        result["per_class"] = per_class
        result["notes"] = self._notes(result)
        return result

    def _notes(self, result):
        notes = []
        if math.isnan(result["pc"]):
            notes.append("pc is not a number: the truth labels no pixel outside crowds.")
        groups = (
            ("_things", self.dataset.thing_classes, "thing"),
            ("_stuff", self.dataset.stuff_classes, "stuff"),
        )
        for suffix, classes, word in groups:
            if not result["num_classes" + suffix]:
                reason = (
                    "the dataset has none" if not classes else "none occurs in truth or prediction"
                )
                notes.append(f"pq{suffix} is not a number: of {word} classes, {reason}.")
        unseen = [
            values["name"]
            for values in result["per_class"]
            if not values["tp"] + values["fp"] + values["fn"]
        ]
        if unseen:
            shown = ", ".join(unseen[:8]) + (
                f" and {len(unseen) - 8} more" if len(unseen) > 8 else ""
            )
            notes.append(f"not in truth or prediction, so not in the means: {shown}.")
        if self.instance_ap is None:
            notes.append("ap is not a number: the predicted things do not all have scores.")
        elif math.isnan(result["ap"]) and self.dataset.thing_classes:
            notes.append("ap is not a number: the truth has no instance.")
        return notes


def evaluate_files(gt_json, gt_dir, pred_json, pred_dir, image_dir=None, workers=1):
    """Scores one folder of COCO panoptic PNGs against another.

    Args:
      gt_json, gt_dir: the truth.
      pred_json, pred_dir: the prediction, of every image of the truth; more images do not matter.
        Where its things all have a `score`, instance AP is measured too.
      image_dir: folder of the photos, for the report; None: it does without.
      workers: processes that read and compare; the result does not depend on their number.

    Returns:
      `Evaluation`.

    Raises:
      UserError: a file is missing or broken, files disagree, there are no images.
    """
    paths = (gt_json, gt_dir, pred_json, pred_dir)
    truth, prediction = _open_pair(*paths)
    image_ids = truth.image_ids
    if not image_ids:
        raise UserError(f"{gt_json} has no annotations; there is nothing to evaluate.")
    if image_dir is not None and not os.path.isdir(image_dir):
        raise UserError(
            f"there is no folder {image_dir}; give the photos of {gt_json} or leave --image_dir out."
        )

    def load(number):
        image_id = image_ids[number]
        (gt, pred), dataset = read_pair(truth, prediction, image_id), truth.dataset
        semantic, instance, crowd, _ = truth.to_labels(image_id, *gt)
        pred_semantic, pred_instance, _, scores = prediction.to_labels(image_id, *pred)
        image = None
        if image_dir is not None and truth.photo_name(image_id):
            image = read_image(path_inside(image_dir, truth.photo_name(image_id)))
        parse = Parsing.from_maps(pred_semantic, pred_instance, dataset, scores=scores)
        return image, Parsing.from_maps(semantic, instance, dataset), parse, crowd

    evaluation = Evaluation.of(truth.dataset, load)
    if not prediction.has_scores():
        evaluation.instance_ap = None
    for (table, ap), image_id in zip(_compare_all(paths, image_ids, workers), image_ids):
        evaluation.add(image_id, table)
        if ap is not None:
            evaluation.instance_ap.merge(ap)
    return evaluation


def evaluate_model(predictor, source, output, batch_size, result_formats=(), predict_all=None):
    """Scores a model on a dataset and keeps its parses.

    Writes into the folder `output`:
      parses/            predictions as COCO panoptic PNGs, and parses.json
      contact_sheet.png  image, truth, parse and errors of some images
      results_FORMAT/    the predictions in other formats

    Args:
      predictor: `Predictor`.
      source: random access to samples, dicts of image, semantic, instance, crowd, image_id.
      output: folder to write into.
      batch_size: images a step; those of one size run as one batch.
      result_formats: keys of `result_files.RESULT_FORMATS`.
      predict_all: function (source, batch_size) that yields (index, sample, `Parsing`) in order,
        for a predictor on several devices; None: `predictor` is called.

    Returns:
      `Evaluation`.

    Raises:
      UserError: the model has other classes than the data, or there are no images.
    """
    dataset = predictor.dataset
    if source.dataset.class_names != dataset.class_names:
        raise UserError(
            f"the model knows the classes of {dataset.name}, the data have those of {source.dataset.name}; "
            "evaluate on the dataset it was trained for."
        )
    if not len(source):
        raise UserError(
            f"the split of {source.dataset.name} has no images; there is nothing to evaluate."
        )
    folder = os.path.join(output, "parses")
    writers = [CocoResults(folder, dataset)]
    writers += [
        RESULT_FORMATS[name](os.path.join(output, f"results_{name}"), dataset)
        for name in result_formats
    ]
    chosen = set(range(0, len(source), math.ceil(len(source) / _SHEET_ROWS)))
    rows = []

    parses = functools.cache(
        lambda: PanopticFiles(os.path.join(folder, "parses.json"), folder, dataset)
    )

    def load(number):
        sample = source[number]
        semantic, instance, _, scores = parses().to_labels(
            sample["image_id"], *parses().read(sample["image_id"])
        )
        truth = Parsing.from_maps(sample["semantic"], sample["instance"], dataset)
        return (
            sample["image"],
            truth,
            Parsing.from_maps(semantic, instance, dataset, scores=scores),
            sample["crowd"],
        )

    evaluation = Evaluation.of(dataset, load)
    predictions = (
        predict_all(source, batch_size)
        if predict_all
        else _predict_all(predictor, source, batch_size)
    )
    for index, sample, parsing in predictions:
        maps = (
            sample["semantic"],
            sample["instance"],
            parsing.semantic,
            parsing.instance,
            sample["crowd"],
        )
        table = overlap_table(
            *maps, num_classes=dataset.num_classes, ignore_label=dataset.ignore_label
        )
        evaluation.add(sample["image_id"], table)
        evaluation.instance_ap.update(*maps, scores=_instance_scores(parsing))
        for writer in writers:
            writer.add(parsing, sample["image_id"])
        if index in chosen:
            rows.append(_sheet_row(sample, parsing))
    for writer in writers:
        writer.close()
    sheet = visualize.contact_sheet(rows, _SHEET_TITLES, footer=error_pictures.error_legend)
    write_image(os.path.join(output, "contact_sheet.png"), sheet)
    return evaluation


def summary(result):
    """The result as a few lines for the terminal."""

    def percent(name):
        return "   n/a" if math.isnan(result[name]) else f"{100 * result[name]:6.2f}"

    lines = ["            PQ     SQ     RQ   classes"]
    for label, suffix in (("all", ""), ("things", "_things"), ("stuff", "_stuff")):
        values = " ".join(percent(name + suffix) for name in ("pq", "sq", "rq"))
        lines.append(f"  {label:7s}{values}   {result['num_classes' + suffix]:4d}")
    lines.append(
        f"  PC {percent('pc')} (by image size {percent('pc_normalized').strip()})   mIoU {percent('miou')}   "
        f"AP {percent('ap')}   AP50 {percent('ap50')}   {result['num_images']} images"
    )
    return "\n".join(lines + [f"  note: {note}" for note in result["notes"]])


def _predict_all(predictor, source, batch_size):
    """Yields (index, sample, parsing) of every sample."""
    with tqdm(total=len(source), unit="image", desc="evaluating", dynamic_ncols=True) as progress:
        for start in range(0, len(source), batch_size):
            indices = range(start, min(start + batch_size, len(source)))
            samples = [source[index] for index in indices]
            parsings = predictor([sample["image"] for sample in samples])
            for item in zip(indices, samples, parsings):
                yield item
                progress.update()


def _instance_scores(parsing):
    """float64 [N], the scores of instance 1 ... N."""
    scores = np.zeros(int(parsing.instance.max(initial=0)))
    for segment in parsing.segments:
        if segment.instance and segment.score is not None:
            scores[segment.instance - 1] = segment.score
    return scores


def _sheet_row(sample, parsing):
    image, crowd = sample["image"], sample["crowd"]
    truth = Parsing.from_maps(sample["semantic"], sample["instance"], parsing.dataset)
    scale = visualize.overlay_scale(image, 300)
    pictures = [visualize.draw_parsing(image, each, scale=scale) for each in (truth, parsing)]
    errors = error_pictures.error_map(image, error_pictures.errors(truth, parsing, crowd), scale)
    return [image, *pictures, errors]


def _open_pair(gt_json, gt_dir, pred_json, pred_dir):
    truth = PanopticFiles(gt_json, gt_dir)
    return truth, PanopticFiles(pred_json, pred_dir, truth.dataset)


def _compare_all(paths, image_ids, workers):
    """Yields `_compare_one` of each image, in order."""
    progress = {
        "total": len(image_ids),
        "unit": "image",
        "desc": "comparing",
        "dynamic_ncols": True,
    }
    if workers == 1:
        pair = _open_pair(*paths)
        yield from tqdm((_compare_one(*pair, image_id) for image_id in image_ids), **progress)
        return
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, paths) as pool:
        yield from tqdm(pool.map(_compare_in_worker, image_ids, chunksize=4), **progress)


def _compare_one(truth, prediction, image_id):
    """`OverlapTable` of one image, and its `InstanceAP` or None."""
    gt, pred = pair = read_pair(truth, prediction, image_id)
    table = compare(truth, prediction, image_id, pair)
    if not prediction.has_scores():
        return table, None
    ap = InstanceAP(
        truth.dataset.num_classes, truth.dataset.thing_classes, truth.dataset.ignore_label
    )
    truths = [(label, is_crowd, rle) for label, is_crowd, _, rle in _things(truth.dataset, *gt)]
    predictions = [
        (label, score, rle)
        for label, is_crowd, score, rle in _things(truth.dataset, *pred)
        if not is_crowd
    ]
    ap.add(gt[0].shape, truths, predictions)
    return table, ap


def _things(dataset, ids, segments):
    """List of (class, is crowd, score, RLE) of the segments of things of what `PanopticFiles.read`
    gave.
    """
    is_thing = np.isin(segments.classes[:-1], dataset.thing_classes)
    place = {
        (segment,): index
        for index, segment in enumerate(segments.ids.tolist())
        if is_thing[index]
    }
    return [
        (
            int(segments.classes[place[key]]),
            bool(segments.crowd[place[key]]),
            segments.scores[place[key]],
            rle,
        )
        for key, rle in regions(place.__contains__, ids)
    ]


_worker_pair = None  # of a worker process: its own PanopticFiles of truth and prediction


def _start_worker(*paths):
    global _worker_pair
    _worker_pair = _open_pair(*paths)


def _compare_in_worker(image_id):
    return _compare_one(*_worker_pair, image_id)
