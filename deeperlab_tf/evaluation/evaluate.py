"""Scores a model on a dataset, and keeps its parses."""

from __future__ import annotations

import array
import functools
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from tqdm import tqdm

from deeperlab_tf.evaluation.results import Evaluation, ScoredImage
from deeperlab_tf.evaluation.samples import Forgiving, Sample, Source, with_classes_of
from deeperlab_tf.evaluation.submit import add_to_all, writers_of
from deeperlab_tf.files import storage
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.made import mark_folder
from deeperlab_tf.files.oddities import Found, Oddity, notes
from deeperlab_tf.files.submissions import CocoResults
from deeperlab_tf.metrics.overlaps import overlap_table
from deeperlab_tf.prediction.many import none_can_be_read
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset
from deeperlab_tf.visualize.drawing import write_image
from deeperlab_tf.visualize.errors import error_codes, error_legend, error_map
from deeperlab_tf.visualize.parses import draw_parsing, overlay_scale
from deeperlab_tf.visualize.sheets import contact_sheet

_SHEET_ROWS = 12  # images on the contact sheet, evenly spread over the dataset
_SHEET_TITLES = ("image", "truth", "parse", "errors")
_CELL_SIDE = 300  # pixels, of the sheet's pictures
_CROWD_REGIONS = "crowd_regions"  # of samples with several crowd regions of one class


class DatasetPredictor(Protocol):
    """Parses a whole dataset: `Predictor`, or `DistributedPredictor` on several devices."""

    dataset: Dataset

    def predict_all(self, source: Source, batch_size: int) -> Iterator[tuple[int, Sample, Parsing]]:
        """Yields (index, sample, parse) of every sample, in order."""


def evaluate(
    predictor: DatasetPredictor,
    source: Source,
    output: str,
    batch_size: int = 1,
    result_formats: Sequence[str] = (),
) -> Evaluation:
    """Scores a model on a dataset and keeps its parses.

    Writes into the folder `output`:
      parses/            predictions as COCO panoptic PNGs, and parses.json
      contact_sheet.png  image, truth, parse and errors of some images
      results_FORMAT/    the predictions in other formats
      made_by.json       says that these are results, and no photos to parse

    Args:
      predictor: `Predictor` or `DistributedPredictor`.
      source: random access to samples, dicts of image, semantic, instance, crowd, image_id;
        perhaps coco_id and crowd_regions, as of `input_pipeline.datasets.Source`.
      output: folder to write into.
      batch_size: images per step; those of one size run as one batch.
      result_formats: keys of `files.submissions.RESULT_FORMATS`.

    Returns:
      `Evaluation`; its `result()` has the numbers.

    Raises:
      UserError: the model has other classes than the data, or there are no images that can be
        read. Single ones that cannot are named and left out, see `Evaluation`.

    Example:
      predictor = deeperlab_tf.Predictor("runs/shapes")
      source = input_pipeline.open_source(predictor.config, "val")
      result = deeperlab_tf.evaluate(predictor, source, "evaluations/shapes").result()
      print(result["pq"], result["pc"])
    """
    dataset = predictor.dataset
    source = Forgiving(with_classes_of(dataset, source))
    folder = storage.join(output, "parses")
    parses, writers = CocoResults(folder, dataset), writers_of(result_formats, output, dataset)

    numbers = array.array("Q")  # of the samples that are scored
    evaluation = Evaluation.of(dataset, _loader(source, numbers, folder, dataset))
    # One in so many images is shown on the contact sheet.
    every = math.ceil(len(source) / _SHEET_ROWS)
    rows, odd = [], []
    for index, sample, parsing in readable(predictor.predict_all(source, batch_size), source):
        numbers.append(index)
        add_scores(evaluation, sample, parsing)
        parses.add(parsing, sample["image_id"], sample.get("coco_id"))
        if add_to_all(writers, sample, parsing):
            evaluation.unfit.append(sample["image_id"])
        if (len(numbers) - 1) % every == 0:
            rows.append(_sheet_row(sample, parsing))
        odd += oddities_of(sample)

    evaluation.left_out = left_out_of(source)
    for writer in (parses, *writers.values()):
        writer.close()
    sheet = contact_sheet(rows, _SHEET_TITLES, _CELL_SIDE, footer=error_legend)
    write_image(storage.join(output, "contact_sheet.png"), sheet)
    mark_folder(output)
    evaluation.notes_on_files = notes(odd, may_be_strict=False)
    return evaluation


Parsed = Iterator[tuple[int, Sample, Parsing]]


def readable(parsed: Parsed, source: Forgiving) -> Parsed:
    """Those of a source's parses whose images can be read; the others are named."""
    for index, sample, parsing in parsed:
        if index in source.errors:
            tqdm.write(f"left out: {source.errors[index]}", file=sys.stderr)
        else:
            yield index, sample, parsing


def left_out_of(source: Forgiving) -> list[str]:
    """Sentences about the images that cannot be read, after all have been asked for.

    Raises:
      UserError: none can be read.
    """
    if len(source.errors) == len(source):
        raise none_can_be_read([error for _, error in sorted(source.errors.items())])
    return source.reasons()


def _loader(source, numbers, folder, dataset):
    """`Evaluation.load`: the prediction is read back from the parses in `folder`; of each image
    that is scored, `numbers` has the place in the source.
    """

    @functools.cache  # they are there only after the last image
    def written_parses():
        return PanopticFiles(storage.join(folder, "parses.json"), folder, dataset)

    def load(number):
        sample = source[numbers[number]]
        parses, image_id = written_parses(), sample.get("coco_id", sample["image_id"])
        semantic, instance, _, scores = parses.to_labels(image_id, *parses.read(image_id))
        parse = Parsing.from_maps(semantic, instance, dataset, scores=scores)
        truth = Parsing.from_maps(sample["semantic"], sample["instance"], dataset)
        return ScoredImage(sample["image"], truth, parse, sample["crowd"])

    return load


def oddities_of(sample: Sample) -> list[Found]:
    """What is odd in the labels of a sample."""
    if _CROWD_REGIONS not in sample:
        return []
    return [Found(Oddity.CROWDS, f"image {sample['image_id']}")]


def add_scores(evaluation: Evaluation, sample: Sample, parsing: Parsing) -> None:
    """Adds one image, its labels and its parse, to an `Evaluation`."""
    maps = (sample["semantic"], sample["instance"], parsing.semantic, parsing.instance)
    crowd, dataset = sample["crowd"], evaluation.dataset
    table = overlap_table(
        *maps,
        sample.get(_CROWD_REGIONS, crowd),
        num_classes=dataset.num_classes,
        ignore_label=dataset.ignore_label,
    )
    evaluation.add(sample["image_id"], table)
    evaluation.instance_ap.update(*maps, crowd, scores=_instance_scores(parsing))


def _instance_scores(parsing):
    """float64 [N], the scores of instance 1 … N."""
    scores = np.zeros(int(parsing.instance.max(initial=0)))
    for segment in parsing.segments:
        if segment.instance and segment.score is not None:
            scores[segment.instance - 1] = segment.score
    return scores


def _sheet_row(sample, parsing):
    """Pictures in the order of `_SHEET_TITLES`."""
    image = sample["image"]
    scale = overlay_scale(image, _CELL_SIDE)
    truth = Parsing.from_maps(sample["semantic"], sample["instance"], parsing.dataset)
    errors = error_codes(truth, parsing, sample["crowd"])
    return [
        image,
        draw_parsing(image, truth, scale=scale),
        draw_parsing(image, parsing, scale=scale),
        error_map(image, errors, scale),
    ]
