"""Scores parses against ground truth: of a model on a dataset, or of two folders in the COCO panoptic format."""

import concurrent.futures
import math
import multiprocessing
import os

from tqdm import tqdm

from deeperlab_tf import visualize
from deeperlab_tf.coco_panoptic import PanopticFiles, PanopticWriter, compare
from deeperlab_tf.drawing import write_image
from deeperlab_tf.errors import UserError
from deeperlab_tf.metrics import ParsingMetrics
from deeperlab_tf.parsing import Parsing

_SHEET_ROWS = 12  # images on the contact sheet, evenly spread over the dataset
_SHEET_TITLES = ("image", "truth", "parse", "errors")


def evaluate_files(gt_json, gt_dir, pred_json, pred_dir, workers=1):
    """Scores one folder of COCO panoptic PNGs against another.

    Args:
      gt_json, gt_dir: the truth.
      pred_json, pred_dir: the prediction, of every image of the truth; more images do not matter.
      workers: processes that read and compare; the result does not depend on their number.

    Returns:
      dict, see `named_results`.

    Raises:
      UserError: a file is missing or broken, files disagree, there are no images.
    """
    paths = (gt_json, gt_dir, pred_json, pred_dir)
    truth, prediction = _open_pair(*paths)
    if not truth.image_ids:
        raise UserError(f"{gt_json} has no annotations; there is nothing to evaluate.")
    metrics = ParsingMetrics(truth.dataset.num_classes, truth.dataset.thing_classes, truth.dataset.ignore_label)
    progress = {"total": len(truth.image_ids), "unit": "image", "desc": "comparing", "dynamic_ncols": True}
    if workers == 1:
        for image_id in tqdm(truth.image_ids, **progress):
            metrics.add(compare(truth, prediction, image_id))
    else:
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(workers, context, _start_worker, paths) as pool:
            tables = pool.map(_compare_in_worker, truth.image_ids, chunksize=4)
            for table in tqdm(tables, **progress):
                metrics.add(table)
    return named_results(metrics, truth.dataset)


def evaluate_model(predictor, source, output, batch_size):
    """Scores a model on a dataset and keeps its parses.

    Writes `output`/metrics.json is left to the caller; this writes into the folder `output`:
      parses/           predictions as COCO panoptic PNGs, parses.json
      contact_sheet.png image, truth, parse and errors of some images

    Args:
      predictor: `Predictor`.
      source: random access to samples, dicts of image, semantic, instance, crowd, image_id.
      output: folder to write into.
      batch_size: images a step; those of one size run as one batch.

    Returns:
      dict, see `named_results`.
    """
    dataset = predictor.dataset
    if source.dataset.class_names != dataset.class_names:
        raise UserError(
            f"the model knows the classes of {dataset.name}, the data have those of {source.dataset.name}; "
            "evaluate on the dataset it was trained for."
        )
    if not len(source):
        raise UserError(f"the split of {source.dataset.name} has no images; there is nothing to evaluate.")
    folder = os.path.join(output, "parses")
    metrics = ParsingMetrics(dataset.num_classes, dataset.thing_classes, dataset.ignore_label)
    writer = PanopticWriter(folder, os.path.join(folder, "parses.json"), dataset)
    chosen = set(range(0, len(source), math.ceil(len(source) / _SHEET_ROWS)))
    rows = []
    with tqdm(total=len(source), unit="image", desc="evaluating", dynamic_ncols=True) as progress:
        for start in range(0, len(source), batch_size):
            indices = range(start, min(start + batch_size, len(source)))
            samples = [source[index] for index in indices]
            parsings = predictor([sample["image"] for sample in samples])
            for index, sample, parsing in zip(indices, samples, parsings):
                metrics.update(
                    sample["semantic"], sample["instance"], parsing.semantic, parsing.instance, sample["crowd"]
                )
                writer.add(parsing, sample["image_id"], sample["image_id"])
                if index in chosen:
                    rows.append(_sheet_row(sample, parsing))
                progress.update()
    writer.close()
    sheet = visualize.contact_sheet(rows, _SHEET_TITLES, footer=visualize.error_legend)
    write_image(os.path.join(output, "contact_sheet.png"), sheet)
    return named_results(metrics, dataset)


def named_results(metrics, dataset):
    """Result of a `ParsingMetrics` as it goes into metrics.json.

    Returns:
      dict of floats in 0-1 (NaN: nothing to measure) `pq, sq, rq` and the same with `_things`, `_stuff`; `pc,
      pc_normalized, miou`; counts `num_classes...`, `num_images`; `per_class`, a list of dicts with `name` and
      `is_thing`; `notes`, a list of sentences.
    """
    result = metrics.result()
    result["per_class"] = [
        dict(name=category.name, id=category.original_id, is_thing=category.is_thing, **values)
        for category, values in zip(dataset.categories, result["per_class"])
    ]
    result["notes"] = _notes(result, dataset)
    return result


def summary(result):
    """The result as a few lines for the terminal."""

    def percent(value):
        return "   n/a" if math.isnan(value) else f"{100 * value:6.2f}"

    lines = ["            PQ     SQ     RQ   classes"]
    for label, suffix in (("all", ""), ("things", "_things"), ("stuff", "_stuff")):
        values = " ".join(percent(result[name + suffix]) for name in ("pq", "sq", "rq"))
        lines.append(f"  {label:7s}{values}   {result['num_classes' + suffix]:4d}")
    lines.append(
        f"  PC {percent(result['pc'])} (by image size {percent(result['pc_normalized']).strip()})   "
        f"mIoU {percent(result['miou'])}   {result['num_images']} images"
    )
    return "\n".join(lines + [f"  note: {note}" for note in result["notes"]])


def _notes(result, dataset):
    notes = []
    groups = (("_things", dataset.thing_classes, "thing"), ("_stuff", dataset.stuff_classes, "stuff"))
    for suffix, classes, word in groups:
        if not result["num_classes" + suffix]:
            reason = "the dataset has none" if not classes else "none occurs in truth or prediction"
            notes.append(f"pq{suffix} is not a number: of {word} classes, {reason}.")
    unseen = [values["name"] for values in result["per_class"] if not values["tp"] + values["fp"] + values["fn"]]
    if unseen:
        shown = ", ".join(unseen[:8]) + (f" and {len(unseen) - 8} more" if len(unseen) > 8 else "")
        notes.append(f"not in truth or prediction, so not in the means: {shown}.")
    return notes


def _sheet_row(sample, parsing):
    image, crowd = sample["image"], sample["crowd"]
    truth = Parsing.from_maps(sample["semantic"], sample["instance"], parsing.dataset)
    scale = visualize.overlay_scale(image, 300)
    pictures = [visualize.draw_parsing(image, each, scale=scale) for each in (truth, parsing)]
    return [image, *pictures, visualize.error_map(image, visualize.errors(truth, parsing, crowd))]


def _open_pair(gt_json, gt_dir, pred_json, pred_dir):
    truth = PanopticFiles(gt_json, gt_dir)
    return truth, PanopticFiles(pred_json, pred_dir, truth.dataset)


_worker_pair = None  # of a worker process: its own PanopticFiles of truth and prediction


def _start_worker(*paths):
    global _worker_pair
    _worker_pair = _open_pair(*paths)


def _compare_in_worker(image_id):
    return compare(*_worker_pair, image_id)
