"""Everything measured on one dataset: for metrics.json, the terminal and reports."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from deeperlab_tf.metrics import InstanceAP, ParsingMetrics
from deeperlab_tf.metrics.overlaps import OverlapTable
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.schema import Dataset
from deeperlab_tf.work.names import NameList
from deeperlab_tf.work.values import ArrayList

_NAMED_CLASSES = 8  # a note names so many, and counts the others


class ScoredImage(NamedTuple):
    """One image of an evaluation, for pictures of it.

    Attributes:
      image: uint8 [H, W, 3], RGB, or None where there is no photo.
      truth: `Parsing` of the ground truth.
      parse: `Parsing` of the prediction.
      crowd: bool [H, W], crowd regions of the truth.
    """

    image: np.ndarray | None
    truth: Parsing
    parse: Parsing
    crowd: np.ndarray


class Tables(Sequence):
    """`OverlapTable` of each image, in a temporary file."""

    def __init__(self) -> None:
        self._rows = ArrayList()

    def append(self, table: OverlapTable) -> None:
        """Adds one."""
        self._rows.append(np.asarray(getattr(table, name)) for name in _COLUMNS)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> OverlapTable:
        *columns, num_pixels = self._rows[number]
        return OverlapTable(*columns, int(num_pixels))


_COLUMNS = [field.name for field in dataclasses.fields(OverlapTable)]


@dataclasses.dataclass
class Evaluation:
    """Everything measured on one dataset.

    Attributes:
      dataset: `schema.Dataset`.
      load: function of an image's number that gives its `ScoredImage`, for pictures of a few.
      metrics: `ParsingMetrics`.
      instance_ap: `InstanceAP`, or None where the predictions have no scores.
      names: what each image is called; on the disk.
      tables: `OverlapTable` of each image; on the disk.
      notes_on_files: sentences about what is odd in them.
      left_out: sentences about images that cannot be read, and so are not scored.
      unfit: names of images whose parse does not fit into a form that was asked for.
    """

    dataset: Dataset
    load: Callable[[int], ScoredImage]
    metrics: ParsingMetrics
    instance_ap: InstanceAP | None
    names: NameList = dataclasses.field(default_factory=NameList)
    tables: Tables = dataclasses.field(default_factory=Tables)
    notes_on_files: list[str] = dataclasses.field(default_factory=list)
    left_out: list[str] = dataclasses.field(default_factory=list)
    unfit: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, dataset: Dataset, load: Callable[[int], ScoredImage]) -> Evaluation:
        """One that has seen nothing yet."""
        arguments = (dataset.num_classes, dataset.thing_classes, dataset.ignore_label)
        return cls(dataset, load, ParsingMetrics(*arguments), InstanceAP(*arguments))

    def add(self, name: str, table: OverlapTable) -> None:
        """Adds one image by its overlaps."""
        self.names.add(str(name))
        self.tables.append(table)
        self.metrics.add(table)

    def result(self) -> dict[str, Any]:
        """What goes into metrics.json.

        Returns:
          dict of floats in 0-1 (NaN: nothing to measure) `pq, sq, rq` and the same with `_things`,
          `_stuff`; `pc, pc_normalized, miou, ap, ap50`; counts `num_classes...`, `num_images`;
          `per_class`, a list of dicts with `name`, `id`, `is_thing` and the metrics of the class;
          `notes`, a list of sentences; where there are any, `left_out` and `unfit`, see above.
        """
        result = self.metrics.result()
        result.update(ap=math.nan, ap50=math.nan)
        per_class = []
        for category, values in zip(self.dataset.categories, result.pop("per_class")):
            head = dict(name=category.name, id=category.original_id, is_thing=category.is_thing)
            per_class.append(dict(head, **values))
        if self.instance_ap is not None:
            ap = self.instance_ap.result()
            for values, ap_values in zip(per_class, ap.pop("per_class")):
                values.update(ap_values)
            result.update(ap)
        result["per_class"] = per_class
        result["notes"] = self._notes(result)
        for key in ("left_out", "unfit"):
            if names := getattr(self, key):
                result[key] = names
        return result

    def _notes(self, result):
        notes = list(self.notes_on_files)
        if self.left_out:
            count, total = len(self.left_out), len(self.left_out) + result["num_images"]
            notes.append(f"{count} of {total} images cannot be read, and do not count.")
        if math.isinf(result["pq"]):
            notes.append("pq is infinite, as an IoU is; metrics.json has null for it.")
        if math.isnan(result["pc"]):
            notes.append("pc is not a number: the truth labels no pixel outside crowds.")
        notes += _notes_on_groups(result, self.dataset)
        notes += _notes_on_classes(result)
        if self.instance_ap is None:
            notes.append("ap is not a number: the predicted things do not all have scores.")
        elif math.isnan(result["ap"]) and self.dataset.thing_classes:
            notes.append("ap is not a number: the truth has no instance.")
        return notes


def _notes_on_groups(result, dataset):
    """Why there is no PQ of things or of stuff."""
    groups = (
        ("_things", dataset.thing_classes, "thing"),
        ("_stuff", dataset.stuff_classes, "stuff"),
    )
    notes = []
    for suffix, classes, word in groups:
        if result["num_classes" + suffix]:
            continue
        reason = "none occurs in truth or prediction" if classes else "the dataset has none"
        notes.append(f"pq{suffix} is not a number: of {word} classes, {reason}.")
    return notes


def _notes_on_classes(result):
    """Which classes do not count, since they do not occur."""
    unseen = []
    for values in result["per_class"]:
        if not values["tp"] + values["fp"] + values["fn"]:
            unseen.append(values["name"])
    if not unseen:
        return []
    shown = ", ".join(unseen[:_NAMED_CLASSES])
    if len(unseen) > _NAMED_CLASSES:
        shown += f" and {len(unseen) - _NAMED_CLASSES} more"
    return [f"not in truth or prediction, so not in the means: {shown}."]


def summary(result: Mapping[str, Any]) -> str:
    """The result of an `Evaluation` as a few lines for the terminal."""

    def percent(name):
        return "   n/a" if math.isnan(result[name]) else f"{100 * result[name]:6.2f}"

    lines = ["            PQ     SQ     RQ   classes"]
    for label, suffix in (("all", ""), ("things", "_things"), ("stuff", "_stuff")):
        values = " ".join(percent(name + suffix) for name in ("pq", "sq", "rq"))
        lines.append(f"  {label:7s}{values}   {result['num_classes' + suffix]:4d}")
    lines.append(
        f"  PC {percent('pc')} (by image size {percent('pc_normalized').strip()})   "
        f"mIoU {percent('miou')}   AP {percent('ap')}   AP50 {percent('ap50')}   "
        f"{result['num_images']} images"
    )
    lines += [f"  note: {note}" for note in result["notes"]]
    return "\n".join(lines)
