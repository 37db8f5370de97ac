"""Scores as jobs of many tasks, for more images than one process should hold.

Every metric's `merge` is exact, so the numbers are those of one process to the bit, however the
images are cut into tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.evaluate import add_scores, oddities_of, readable
from deeperlab_tf.evaluation.files import Files, FilesJob, compare_range, image_ids_of
from deeperlab_tf.evaluation.results import Evaluation
from deeperlab_tf.evaluation.samples import Chosen, Forgiving, Source, with_classes_of
from deeperlab_tf.files.oddities import Found, notes
from deeperlab_tf.metrics import InstanceAP, ParsingMetrics
from deeperlab_tf.prediction.overrides import Overrides
from deeperlab_tf.prediction.predictor import Predictor, Timed, parse_all
from deeperlab_tf.schema import Dataset
from deeperlab_tf.work.job import Job, lengths, new_key, once, ranges

_IMAGES = 100  # of a task


class Scores(NamedTuple):
    """What is measured on some images.

    Attributes:
      metrics: `ParsingMetrics`.
      aps: number of the first of several images -> their `InstanceAP`, whose order matters where
        scores are equal.
      oddities: the same of what is odd in their files.
      left_out: the same of the images that cannot be read: sentences.
      network_ms: the same of the milliseconds in the network.
    """

    metrics: ParsingMetrics
    aps: dict[int, InstanceAP]
    oddities: dict[int, list[Found]]
    left_out: dict[int, list[str]]
    network_ms: dict[int, int]

    @classmethod
    def of(cls, dataset: Dataset) -> Scores:
        """Those of no image yet."""
        arguments = (dataset.num_classes, dataset.thing_classes, dataset.ignore_label)
        return cls(ParsingMetrics(*arguments), {}, {}, {}, {})

    def odd_in_order(self) -> list[Found]:
        """What is odd, in the order of the images."""
        return [found for _, some in sorted(self.oddities.items()) for found in some]


def merge(scores: Scores, others: Scores) -> Scores:
    """Adds the others to the first."""
    scores.metrics.merge(others.metrics)
    scores.aps.update(others.aps)
    scores.oddities.update(others.oddities)
    scores.left_out.update(others.left_out)
    scores.network_ms.update(others.network_ms)
    return scores


def _evaluation(scores: Scores, dataset: Dataset, has_ap: bool) -> Evaluation:
    """An `Evaluation` without its images."""
    evaluation = Evaluation.of(dataset, _no_pictures)
    evaluation.metrics.merge(scores.metrics)
    if not has_ap:
        evaluation.instance_ap = None
        return evaluation
    for _, ap in sorted(scores.aps.items()):
        evaluation.instance_ap.merge(ap)
    return evaluation


def _no_pictures(number: int) -> Any:
    raise LookupError(f"image {number} was not kept")


# === Files ===


def files_job(files: Files) -> Job:
    """A job that scores `evaluation.files.Files`; it comes to `Evaluation.result()`.

    Raises:
      UserError: as of `evaluate_files`.
    """
    shared = FilesJob(files, new_key())
    pair = once(shared.key, Files.open, files)
    tasks = ranges(len(image_ids_of(pair, files.gt_json)), _IMAGES)
    sizes = lengths(tasks)
    return Job("comparing", "image", _score_files, shared, tasks, sizes, merge, _finish_files)


def _score_files(shared: FilesJob, task: tuple[int, int]) -> Scores:
    first, last = task
    truth = once(shared.key, Files.open, shared.files).truth
    scores = Scores.of(truth.dataset)
    compared = compare_range(shared, task)
    for number, (comparison, ap) in zip(range(first, last), compared):
        scores.metrics.add(comparison.table)
        if comparison.oddities:
            place = f"image {truth.image_ids[number]}"
            scores.oddities[number] = [Found(oddity, place) for oddity in comparison.oddities]
        if ap is not None and first in scores.aps:
            scores.aps[first].merge(ap)
        elif ap is not None:
            scores.aps[first] = ap
    return scores


def _finish_files(shared: FilesJob, scores: Scores) -> dict[str, Any]:
    pair = once(shared.key, Files.open, shared.files)
    evaluation = _evaluation(scores, pair.truth.dataset, pair.prediction.has_scores())
    evaluation.notes_on_files = notes([*pair.oddities, *scores.odd_in_order()])
    return evaluation.result()


# === A model ===


class ModelJob(NamedTuple):
    """What is scored: a model on a split of data.

    Attributes:
      model: a run, an export or the name of a shipped model.
      overrides: changed values of its config, as (key, value).
      split: of its dataset.
      open_source: `input_pipeline.open_source`.
      key: of the job.
    """

    model: str
    overrides: tuple[tuple[str, Any], ...]
    split: str
    open_source: Callable[[ConfigDict, str], Source]
    key: str


def model_job(
    model: str,
    overrides: Overrides,
    split: str,
    open_source: Callable[[ConfigDict, str], Source],
) -> Job:
    """A job that scores a model on its dataset; it comes to `Evaluation.result()`.

    Args:
      model, split, open_source: as of `ModelJob`.
      overrides: changed values of its config.

    Raises:
      UserError: the model or the data cannot be opened, or do not fit.
    """
    shared = ModelJob(model, tuple(overrides.items()), split, open_source, new_key())
    predictor, source = once(shared.key, _open, shared)
    # Whole batches: in another batch, sums may be rounded otherwise.
    batch = predictor.config.eval.batch_size
    tasks = ranges(len(source), max(_IMAGES // batch, 1) * batch)
    sizes = lengths(tasks)
    job = Job("scoring", "image", _score_model, shared, tasks, sizes, merge, _finish_model)
    return job._replace(counts=_counts)


def _counts(scores: Scores) -> dict[str, int]:
    return {
        "bad": sum(map(len, scores.left_out.values())),
        "network_ms": sum(scores.network_ms.values()),
    }


def _open(shared: ModelJob) -> tuple[Predictor, Source]:
    predictor = Predictor(shared.model, dict(shared.overrides))
    source = shared.open_source(predictor.config, shared.split)
    return predictor, with_classes_of(predictor.dataset, source)


def _score_model(shared: ModelJob, task: tuple[int, int]) -> Scores:
    predictor, source = once(shared.key, _open, shared)
    chosen = Forgiving(Chosen(source, range(*task)))
    evaluation = Evaluation.of(predictor.dataset, _no_pictures)
    batch_size = predictor.config.eval.batch_size
    odd, timed = [], Timed(predictor)
    for _, sample, parsing in readable(parse_all(timed, chosen, batch_size), chosen):
        add_scores(evaluation, sample, parsing)
        odd += oddities_of(sample)
    first, _ = task
    left_out = chosen.reasons()
    aps, network_ms = {first: evaluation.instance_ap}, round(1000 * timed.seconds)
    found = ({first: some} if some else {} for some in (odd, left_out))
    return Scores(evaluation.metrics, aps, *found, {first: network_ms})


def _finish_model(shared: ModelJob, scores: Scores) -> dict[str, Any]:
    predictor, source = once(shared.key, _open, shared)
    evaluation = _evaluation(scores, predictor.dataset, has_ap=True)
    evaluation.left_out = [text for _, texts in sorted(scores.left_out.items()) for text in texts]
    if len(evaluation.left_out) == len(source):
        raise UserError(f"none of {len(source)} images can be read; the workers' logs say why.")
    evaluation.notes_on_files = notes(scores.odd_in_order(), may_be_strict=False)
    return evaluation.result()
