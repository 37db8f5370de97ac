"""Whether a dataset can be trained on, and what is in it."""

from __future__ import annotations

import array
import collections
import dataclasses
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import IGNORE_LABEL, Dataset
from deeperlab_tf.work.job import Job, lengths, new_key, once, ranges
from deeperlab_tf.work.names import lasting_hash
from input_pipeline.datasets import Sample, Source
from input_pipeline.datasets.mask_problems import BINARY_CLASSES
from input_pipeline.records.files import CorruptRecord
from input_pipeline.sources import Reading, open_source


@dataclasses.dataclass
class _Found:
    """What has been seen so far, in few bytes an image: there may be millions.

    Attributes:
      totals: int64 [classes, 3]: images, segments and pixels of each class.
      sizes: how many images have each "height x width".
      instances: how many images have so many instances.
      numbers, names: of each image that was read, its place in the source and its name's hash.
      errors, corrupt, warnings: sentences.
      problems: names of the images that have a kind of problem.
    """

    totals: np.ndarray
    sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    instances: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    numbers: array.array = dataclasses.field(default_factory=lambda: array.array("Q"))
    names: array.array = dataclasses.field(default_factory=lambda: array.array("Q"))
    errors: list[str] = dataclasses.field(default_factory=list)
    corrupt: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    problems: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def add(self, later: _Found) -> None:
        """Adds what has been seen in later samples."""
        self.totals += later.totals
        self.sizes += later.sizes
        self.instances += later.instances
        for field in ("numbers", "names", "errors", "corrupt", "warnings"):
            getattr(self, field).extend(getattr(later, field))
        for kind, names in later.problems.items():
            self.problems.setdefault(kind, []).extend(names)


def check_source(
    source: Source, max_instances: int, limit: int = 0, skip_corrupt: bool = False
) -> dict:
    """Reads every sample of a source.

    Args:
      source: what to check.
      max_instances: more instances than this in an image cannot be predicted
        (config.fusion.max_instances).
      limit: look at this many samples only, evenly spread; 0: at all.
      skip_corrupt: corrupt records are warnings instead of errors.

    Returns:
      dict with
        images, sizes (of each "height x width", the most frequent first), instances_per_image
        (mean, most, and in how many images there are more than max_instances), corrupt (records
        that are); classes: a dict for each class, with name, thing, images, segments and pixels;
        problems: from each kind of problem to the names of the images that have it;
        errors: what makes training impossible, list of str; warnings: what is odd, list of str.
    """
    lacking = source.incomplete()
    numbers = tqdm(_chosen(len(source), limit), desc="checking", unit="img")
    looking = _Looking(max_instances, limit, skip_corrupt)
    return _report(_Checked(source, lacking), _look(source, lacking, numbers), looking)


class _Looking(NamedTuple):
    """How `check_source` looks, as its arguments say."""

    max_instances: int
    limit: int
    skip_corrupt: bool


class _Checked(NamedTuple):
    """A source, and `source.incomplete()`."""

    source: Source
    lacking: dict[int, str]


def _look(source: Source, lacking: Mapping[int, str], numbers: Iterable[int]) -> _Found:
    """What there is in the samples of these numbers."""
    found = _Found(np.zeros((source.dataset.num_classes, 3), np.int64))
    for index in numbers:
        if index not in lacking:
            _look_at(source, index, found)
    return found


def _report(checked: _Checked, found: _Found, looking: _Looking) -> dict:
    """The report of `check_source`."""
    source, lacking = checked
    found.warnings[:0] = source.unlabelled()
    found.errors[:0] = lacking.values()
    for name, number in _repeated(source, found).items():
        found.errors.append(f"image {name!r} is there {number} times")
    (found.warnings if looking.skip_corrupt else found.errors).extend(found.corrupt)

    classes = _describe_classes(source.dataset, found.totals)
    absent = [entry["name"] for entry in classes if not entry["images"]]
    if absent:
        names = ", ".join(absent)
        found.warnings.append(f"{len(absent)} of {len(classes)} classes do not occur: {names}")
    if not found.totals.any():
        found.errors.append("there is no labelled pixel")
    found.errors += _certain_problems(found, classes)
    sizes = found.sizes.most_common()
    instances = _describe_instances(found.instances, looking.max_instances)
    return dict(
        images=len(found.names),
        sizes=dict(sizes),
        instances_per_image=instances,
        corrupt=len(found.corrupt),
        classes=classes,
        problems=found.problems,
        errors=found.errors,
        warnings=found.warnings,
    )


# === As a job of many tasks ===

_IMAGES = 200  # of a task


class CheckJob(NamedTuple):
    """What is checked: a split of the data that a config describes.

    Attributes:
      config_text: the full config, as JSON.
      split: train, val, ….
      looking: how.
      key: of the job.
    """

    config_text: str
    split: str
    looking: _Looking
    key: str


def check_job(config: ConfigDict, split: str, limit: int = 0, skip_corrupt: bool = False) -> Job:
    """A job that comes to the report of `check_source`.

    Args:
      config: the full config.
      split: train, val, ….
      limit, skip_corrupt: as of `check_source`.
    """
    looking = _Looking(config.fusion.max_instances, limit, skip_corrupt)
    shared = CheckJob(config_to_json(config), split, looking, new_key())
    source, _ = once(shared.key, _open, shared)
    # An empty split has a report too.
    tasks = ranges(len(_chosen(len(source), limit)), _IMAGES) or [(0, 0)]
    sizes = lengths(tasks)
    how = (operator.or_, _finish, _counts)
    return Job("checking", "image", _check_part, shared, tasks, sizes, *how)


def _open(shared: CheckJob) -> _Checked:
    reading = Reading(shared.looking.skip_corrupt, allow_incomplete=True)
    source = open_source(config_from_json(shared.config_text), shared.split, reading)
    return _Checked(source, source.incomplete())


def _check_part(shared: CheckJob, task: tuple[int, int]) -> dict[int, _Found]:
    """Number of the first sample -> what is found in it and the next ones."""
    source, lacking = once(shared.key, _open, shared)
    numbers = _chosen(len(source), shared.looking.limit)[slice(*task)]
    return {task[0]: _look(source, lacking, numbers)}


def _counts(parts: dict[int, _Found]) -> dict[str, int]:
    return {"bad": sum(len(found.errors) + len(found.corrupt) for found in parts.values())}


def _finish(shared: CheckJob, parts: dict[int, _Found]) -> dict:
    checked = once(shared.key, _open, shared)
    first = parts[min(parts)]
    for number in sorted(parts)[1:]:
        first.add(parts[number])
    return _report(checked, first, shared.looking)


# === One sample ===


def _chosen(count: int, limit: int) -> Sequence[int]:
    if not limit or limit >= count:
        return range(count)
    return np.linspace(0, count - 1, limit).astype(int).tolist()


def _look_at(source: Source, index: int, found: _Found) -> None:
    try:
        sample = source[index]
        problems = source.problems(index)
    except CorruptRecord as error:
        found.corrupt.append(str(error))
        return
    except UserError as error:
        found.errors.append(str(error))
        return
    # What the report sums up.
    name = sample["image_id"]
    found.warnings += [problem.text for problem in problems]
    for kind in dict.fromkeys(problem.kind for problem in problems):
        found.problems.setdefault(kind, []).append(name)
    found.numbers.append(index)
    found.names.append(lasting_hash(name))
    found.sizes["{} x {}".format(*sample["semantic"].shape)] += 1
    instance = sample["instance"]
    found.instances[len(np.unique(instance[instance > 0]))] += 1
    counts = _count(sample, source.dataset)
    found.totals += counts
    if not counts.any():
        found.warnings.append(f"image {name!r} has no label at all")


def _certain_problems(found: _Found, classes: list[dict]) -> list[str]:
    """Problems of single images that leave no doubt where every image has them."""
    occurring = [entry for entry in classes if entry["images"]]
    count = len(found.names)
    if not count or len(found.problems.get(BINARY_CLASSES, ())) < count or len(occurring) > 1:
        return []
    return [
        f"all {count} class masks hold 0 and 255 alone, and 255 does not count, so that one class "
        "is left: give the foreground the id 255 and write ignore: []"
    ]


def _repeated(source: Source, found: _Found) -> collections.Counter:
    """The names that several images have, and how many."""
    names = np.frombuffer(found.names, np.uint64)
    _, place, counts = np.unique(names, return_inverse=True, return_counts=True)
    suspicious = np.flatnonzero(counts[place] > 1)
    numbers = np.frombuffer(found.numbers, np.uint64)[suspicious].tolist()
    counts = collections.Counter(source[number]["image_id"] for number in numbers)
    return collections.Counter({name: n for name, n in counts.items() if n > 1})


def _count(sample: Sample, dataset: Dataset) -> np.ndarray:
    """int64 [classes, 3]: whether a class is in the image, its segments and its pixels there."""
    semantic, instance = sample["semantic"], sample["instance"]
    is_labelled = semantic != IGNORE_LABEL
    num_classes = dataset.num_classes
    pixels = np.bincount(semantic[is_labelled], minlength=num_classes)

    # What there is of a stuff class is one segment.
    is_stuff = ~np.isin(np.arange(num_classes), dataset.thing_classes)
    segments = ((pixels > 0) & is_stuff).astype(np.int64)
    # Of a thing class it is each instance.
    is_object = (instance > 0) & is_labelled
    object_class = semantic[is_object].astype(np.int64)
    pairs = np.unique(object_class << 32 | instance[is_object])
    segments += np.bincount(pairs >> 32, minlength=num_classes)
    counts = np.stack([pixels > 0, segments, pixels], axis=1)
    return counts.astype(np.int64)


def _describe_classes(dataset: Dataset, totals: np.ndarray) -> list[dict]:
    classes = []
    for category, row in zip(dataset.categories, totals.tolist()):
        images, segments, pixels = row
        entry = dict(name=category.name, thing=category.is_thing)
        entry.update(images=images, segments=segments, pixels=pixels)
        classes.append(entry)
    return classes


def _describe_instances(images: Mapping[int, int], max_instances: int) -> dict:
    """Of how many images have so many instances."""
    total = sum(number * count for number, count in images.items())
    mean = total / max(sum(images.values()), 1)
    exceeding = sum(count for number, count in images.items() if number > max_instances)
    return dict(mean=mean, most=max(images, default=0), exceeding=exceeding)
