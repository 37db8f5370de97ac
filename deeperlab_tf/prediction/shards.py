"""Parses of more images than a folder should have files: so many of them in each shard.

OUTPUT/
  plan.json                        what is parsed, and by which model
  plan.files                       a line for each image: its name, its file, bytes and time
  parses-00000-of-00100.tar        NAME.png, COCO panoptic PNGs
  parses-00000-of-00100.jsonl      a line for each: its entries in `images` and `annotations`
  parses-00000-of-00100.bad.jsonl  a line for each image that could not be parsed: file, error
  parses.json                      classes, counts and checksums, once all shards are there

A shard's .jsonl is written last: where it is, the shard is whole and is not made again.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path, remove_leftovers, write_json
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.lock import only_job
from deeperlab_tf.files.panoptic_png import encode_ids
from deeperlab_tf.files.panoptic_writer import panoptic_entries, to_json_categories
from deeperlab_tf.files.reports import check_report, read_json_object
from deeperlab_tf.prediction.identity import weights_digest
from deeperlab_tf.prediction.loading import read_dataset
from deeperlab_tf.prediction.many import one_ahead
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.planned import PLANNED, PlannedFiles, Records, planned, read_planned
from deeperlab_tf.prediction.predictor import Predictor, Timed
from deeperlab_tf.prediction.video import batches
from deeperlab_tf.work.job import Job, Run, add_counts, divided, new_key, once

_PLAN = "plan.json"
_PLAN_KEYS = {"model", "weights", "overrides", "images", "files", "shards"}
_RESULT_KEYS = {"categories", "images", "bad", "shards"}
_KINDS = (".tar", ".bad.jsonl", ".jsonl")  # in the order in which they are written


class Photos(NamedTuple):
    """What is parsed.

    Attributes:
      files: results' name -> image file, of `prediction.names.result_names`; of records, their
        shards.
      model: a run, an export or the name of a shipped model.
      overrides: changed values of its config.
      batch_size: images that run at once.
      records: of which images, instead of files; None: files.
    """

    files: Mapping[str, str]
    model: str
    overrides: Mapping[str, Any]
    batch_size: int
    records: Records | None = None


class ShardsJob(NamedTuple):
    """What the tasks are told: the model, its changed values as (key, value), the records or the
    list of the files, and the job's key.
    """

    model: str
    overrides: tuple[tuple[str, Any], ...]
    batch_size: int
    records: Records | None
    files: str
    key: str


class ShardTask(NamedTuple):
    """The images `first` … `last` - 1 become the shard whose paths begin with `prefix`; the line of
    the first is at byte `place` of the list.
    """

    prefix: str
    first: int
    last: int
    place: int = 0


def parse_shards(photos: Photos, output: str, num_shards: int, run: Run) -> dict[str, Any]:
    """Parses images into shards; those that are there already are kept.

    Args:
      photos: what to parse, with which model.
      output: folder, made if need be.
      num_shards: number of shards; none of them is empty.
      run: does the job, as `work.local.run` or `work.beam.run`.

    Returns:
      what parses.json holds: categories, the numbers of images and of bad ones, and of each shard
      its name, its images and the SHA-256 of its files.

    Raises:
      UserError: the shards that are there are of other images or another model; another job
        writes there; or there is no room.
    """
    summary_path = storage.join(output, "parses.json")
    check_report(summary_path, _RESULT_KEYS)
    with only_job(output, "parses"), planned(photos.files, output) as files:
        tasks = _tasks(photos, output, num_shards, files)
        if not storage.exists(storage.join(output, _PLAN)):
            _check_free(output, tasks)
        _check_plan(photos, output, num_shards, files)
        files.keep()
        remove_leftovers(output, [task.prefix + kind for task in tasks for kind in _KINDS])
        missing = [task for task in tasks if not storage.exists(task.prefix + ".jsonl")]
        overrides = tuple(photos.overrides.items())
        shared = ShardsJob(
            photos.model, overrides, photos.batch_size, photos.records, files.path, new_key()
        )
        categories = run(_job(shared, missing)) if missing else _categories(shared, {})
        shards = [_describe_shard(task.prefix) for task in tasks]
        summary = dict(
            categories=categories,
            images=sum(shard["images"] for shard in shards),
            bad=sum(shard["bad"] for shard in shards),
            shards=shards,
        )
        write_json(summary_path, summary)
    return summary


def bad_images(output: str, summary: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yields file and error of every image that could not be parsed.

    Args:
      output: folder of the shards.
      summary: of `parse_shards`.
    """
    for shard in summary["shards"]:
        yield from _read_lines(storage.join(output, f"{shard['name']}.bad.jsonl"))


# === What to do ===


def _tasks(photos: Photos, output: str, num_shards: int, files: PlannedFiles) -> list[ShardTask]:
    length = len(photos.records) if photos.records else len(photos.files)
    parts = divided(length, num_shards)
    firsts = [first for first, _ in parts]
    places = [0] * len(parts) if photos.records else files.places(firsts)
    tasks = []
    for shard, ((first, last), place) in enumerate(zip(parts, places)):
        prefix = storage.join(output, f"parses-{shard:05d}-of-{len(parts):05d}")
        tasks.append(ShardTask(prefix, first, last, place))
    return tasks


def _job(shared: ShardsJob, tasks: Sequence[ShardTask]) -> Job:
    """A job that writes the shards, and comes to `_categories`."""
    sizes = [task.last - task.first for task in tasks]
    return Job("parsing", "image", write_shard, shared, tasks, sizes, add_counts, _categories, dict)


def _categories(shared: ShardsJob, _: Mapping[str, int]) -> list[dict[str, Any]]:
    """The classes of the model, as COCO's format has them."""
    return to_json_categories(read_dataset(shared.model))


def _check_free(output: str, tasks: Sequence[ShardTask]) -> None:
    """Without a plan, files called as shards are nobody's but the user's."""
    there = set(storage.listdir(output)) if storage.isdir(output) else set()
    listed = storage.join(output, PLANNED)
    for paths in ([listed], *([task.prefix + kind for kind in _KINDS] for task in tasks)):
        for path in paths:
            if storage.basename(path) in there:
                raise UserError(
                    f"{path} exists already and is none of this program's, for {_PLAN} is not "
                    "beside it; choose another --output."
                )


def _check_plan(photos: Photos, output: str, num_shards: int, files: PlannedFiles) -> None:
    """Compares what is asked for with what the shards that are there are of, or writes it down."""
    plan = dict(
        model=photos.model,
        weights=weights_digest(photos.model),
        overrides=json.loads(json.dumps(dict(photos.overrides))),
        images=len(photos.records) if photos.records else len(photos.files),
        files=files.digest,
        shards=num_shards,
    )
    path = storage.join(output, _PLAN)
    check_report(path, _PLAN_KEYS)
    before = read_json_object(path) if storage.exists(path) else plan
    differing = [key for key in plan if before.get(key) != plan[key]]
    if differing:
        which = files.changes() if "files" in differing else ""
        raise UserError(
            f"{output} holds parses of another job: {', '.join(differing)} differ{which}; "
            "choose another --output."
        )
    write_json(path, plan)


# === A shard ===


def _open(shared: ShardsJob) -> tuple[Predictor, Sequence[Any] | None]:
    """The model, and the records."""
    predictor = Predictor(shared.model, dict(shared.overrides))
    return predictor, shared.records and shared.records.open(predictor.config)


def write_shard(shared: ShardsJob, task: ShardTask) -> dict[str, int]:
    """Parses the images of a shard and writes it; written twice, it is the same.

    Returns:
      counters: `bad`, how many images could not be parsed; `bytes` of the PNGs; and milliseconds in
      the network.

    Raises:
      UserError: the model cannot be loaded, or there is no room.
    """
    predictor, source = once(shared.key, _open, shared)
    counts, timed = {"bad": 0, "bytes": 0}, Timed(predictor)
    images = _images(shared, task, source)
    with _writing_shard(task.prefix) as (tar, lines, bad):
        for readable, unreadable in one_ahead(_read, batches(images, shared.batch_size)):
            bad.write(_to_lines(unreadable))
            counts["bad"] += len(unreadable)
            names = [name for name, _ in readable]
            parsings = timed([image for _, image in readable]) if readable else []
            for name, parsing in zip(names, parsings):
                png, line = _encode(name, parsing)
                _add_file(tar, f"{name}.png", png)
                lines.write(_to_lines([line]))
                counts["bytes"] += len(png)
    return dict(counts, network_ms=round(1000 * timed.seconds))


@contextlib.contextmanager
def _writing_shard(prefix: str) -> Iterator[tuple[tarfile.TarFile, IO[bytes], IO[bytes]]]:
    """The files of a shard, all of which are there when the block ends, or none."""
    with contextlib.ExitStack() as stack:
        files = []
        # What is begun last is placed first.
        for kind in reversed(_KINDS):
            temporary = stack.enter_context(atomic_path(prefix + kind))
            files.append(stack.enter_context(storage.open(temporary, "wb")))
        lines, bad, archive = files
        with tarfile.open(fileobj=archive, mode="w") as tar:
            yield tar, lines, bad


def _images(shared: ShardsJob, task: ShardTask, source: Sequence[Any] | None) -> Iterator[Image]:
    """The images of a shard: functions that read them."""
    if source is None:
        for name, file in read_planned(shared.files, task.place, task.last - task.first):
            yield Image(file, functools.partial(_read_file, name, file))
        return
    seen = set()
    for number in range(task.first, task.last):
        read = functools.partial(shared.records.read, source, number, seen)
        yield Image(f"image {number} of {shared.records.folder}", read)


class Image(NamedTuple):
    """An image that is not yet read: its name in errors, and what gives name and pixels."""

    file: str
    read: Callable[[], tuple[str, np.ndarray]]


def _read_file(name: str, file: str) -> tuple[str, np.ndarray]:
    return name, read_image(file)


def _read(
    images: Sequence[Image],
) -> tuple[list[tuple[str, np.ndarray]], list[dict[str, str]]]:
    """Names and pixels of the images that can be read, and what is wrong with the others."""
    readable, bad = [], []
    for file, read in images:
        try:
            readable.append(read())
        except UserError as error:
            bad.append(dict(file=file, error=str(error)))
    return readable, bad


def _encode(name: str, parsing: Parsing) -> tuple[bytes, dict[str, Any]]:
    """The PNG and the line of an image."""
    ids, segments = parsing.to_coco()
    image, annotation = panoptic_entries(ids.shape, segments, name, f"{name}.png")
    return encode_ids(f"{name}.png", ids), dict(image=image, annotation=annotation)


def _add_file(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    # Without the time: the same parses are the same bytes.
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
    tar.members = []  # of which it would keep all


def _to_lines(entries: Sequence[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(entry)}\n" for entry in entries).encode()


def _read_lines(path: str) -> Iterator[dict[str, Any]]:
    with storage.open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)


def _describe_shard(prefix: str) -> dict[str, Any]:
    checksums = {}
    for kind in _KINDS:
        checksums[kind] = storage.sha256(prefix + kind)
    images, bad = (sum(1 for _ in _read_lines(prefix + kind)) for kind in (".jsonl", ".bad.jsonl"))
    name = storage.basename(prefix)
    return dict(name=name, images=images, bad=bad, sha256=checksums)
