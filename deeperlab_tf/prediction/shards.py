"""Parses of more images than a folder should have files: so many of them in each shard.

OUTPUT/
  plan.json                        what is parsed, and by which model
  parses-00000-of-00100.tar        NAME.png, COCO panoptic PNGs
  parses-00000-of-00100.jsonl      a line for each: its entries in `images` and `annotations`
  parses-00000-of-00100.bad.jsonl  a line for each image that could not be parsed: file, error
  parses.json                      classes, counts and checksums, once all shards are there

A shard's .jsonl is written last: where it is, the shard is whole and is not made again.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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
from deeperlab_tf.prediction.many import one_ahead
from deeperlab_tf.prediction.parsing import Parsing
from deeperlab_tf.prediction.predictor import Predictor
from deeperlab_tf.prediction.video import batches
from deeperlab_tf.work.job import Job, Run, divided, new_key, once

_PLAN = "plan.json"
_PLAN_KEYS = {"model", "weights", "overrides", "images", "files", "shards"}
_RESULT_KEYS = {"categories", "images", "bad", "shards"}
_KINDS = (".tar", ".bad.jsonl", ".jsonl")  # in the order in which they are written


class Photos(NamedTuple):
    """What is parsed.

    Attributes:
      files: results' name -> image file, of `files.results.result_names`.
      model: a run, an export or the name of a shipped model.
      overrides: changed values of its config.
      batch_size: images that run at once.
    """

    files: Mapping[str, str]
    model: str
    overrides: Mapping[str, Any]
    batch_size: int


class ShardsJob(NamedTuple):
    """What the tasks are told: the model, its changed values as (key, value), and the job's key."""

    model: str
    overrides: tuple[tuple[str, Any], ...]
    batch_size: int
    key: str


class ShardTask(NamedTuple):
    """Names and files of the images that become the shard whose paths begin with `prefix`."""

    prefix: str
    files: tuple[tuple[str, str], ...]


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
    with only_job(output, "parses"):
        tasks = _tasks(photos, output, num_shards)
        if not storage.exists(storage.join(output, _PLAN)):
            _check_free(output, tasks)
        _check_plan(photos, output, num_shards)
        remove_leftovers(output, [task.prefix + kind for task in tasks for kind in _KINDS])
        missing = [task for task in tasks if not storage.exists(task.prefix + ".jsonl")]
        shared = ShardsJob(
            photos.model, tuple(photos.overrides.items()), photos.batch_size, new_key()
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


def _tasks(photos: Photos, output: str, num_shards: int) -> list[ShardTask]:
    names = list(photos.files.items())
    parts = divided(len(names), num_shards)
    tasks = []
    for shard, part in enumerate(parts):
        prefix = storage.join(output, f"parses-{shard:05d}-of-{len(parts):05d}")
        tasks.append(ShardTask(prefix, tuple(names[slice(*part)])))
    return tasks


def _job(shared: ShardsJob, tasks: Sequence[ShardTask]) -> Job:
    """A job that writes the shards, and comes to `_categories`."""
    sizes = [len(task.files) for task in tasks]
    return Job("parsing", "image", write_shard, shared, tasks, sizes, _add, _categories, dict)


def _categories(shared: ShardsJob, _: Mapping[str, int]) -> list[dict[str, Any]]:
    """The classes of the model, as COCO's format has them."""
    return to_json_categories(once(shared.key, _open, shared).dataset)


def _check_free(output: str, tasks: Sequence[ShardTask]) -> None:
    """Without a plan, files called as shards are nobody's but the user's."""
    there = set(storage.listdir(output)) if storage.isdir(output) else set()
    for task in tasks:
        for path in (task.prefix + kind for kind in _KINDS):
            if storage.basename(path) in there:
                raise UserError(
                    f"{path} exists already and is no shard of this program's, for {_PLAN} is not "
                    "beside it; choose another --output."
                )


def _check_plan(photos: Photos, output: str, num_shards: int) -> None:
    """Compares what is asked for with what the shards that are there are of, or writes it down."""
    digest = hashlib.sha256()
    for name, file in photos.files.items():
        digest.update(json.dumps([name, file, *_state(file)]).encode())
    plan = dict(
        model=photos.model,
        weights=weights_digest(photos.model),
        overrides=json.loads(json.dumps(dict(photos.overrides))),
        images=len(photos.files),
        files=digest.hexdigest(),
        shards=num_shards,
    )
    path = storage.join(output, _PLAN)
    check_report(path, _PLAN_KEYS)
    before = read_json_object(path) if storage.exists(path) else plan
    differing = [key for key in plan if before.get(key) != plan[key]]
    if differing:
        raise UserError(
            f"{output} holds parses of another job: {', '.join(differing)} differ; "
            "choose another --output."
        )
    write_json(path, plan)


def _state(file: str) -> tuple[int, ...]:
    """Size and time; nothing in a bucket, where asking for millions takes hours."""
    found = None if storage.is_remote(file) else storage.facts(file)
    return () if found is None else (found.size, found.changed)


# === A shard ===


def _open(shared: ShardsJob) -> Predictor:
    return Predictor(shared.model, dict(shared.overrides))


def write_shard(shared: ShardsJob, task: ShardTask) -> dict[str, int]:
    """Parses the images of a shard and writes it; written twice, it is the same.

    Returns:
      {"bad": how many images could not be parsed}.

    Raises:
      UserError: the model cannot be loaded, or there is no room.
    """
    predictor = once(shared.key, _open, shared)
    archive, lines, bad = io.BytesIO(), [], []
    with tarfile.open(fileobj=archive, mode="w") as tar:
        read = one_ahead(_read, batches(task.files, shared.batch_size))
        for readable, unreadable in read:
            bad += unreadable
            names = [name for name, _ in readable]
            parsings = predictor([image for _, image in readable]) if readable else []
            for name, parsing in zip(names, parsings):
                png, line = _encode(name, parsing)
                _add_file(tar, f"{name}.png", png)
                lines.append(line)
    for kind, content in zip(_KINDS, (archive.getvalue(), _to_lines(bad), _to_lines(lines))):
        with atomic_path(task.prefix + kind) as temporary, storage.open(temporary, "wb") as file:
            file.write(content)
    return {"bad": len(bad)}


def _read(
    files: Sequence[tuple[str, str]],
) -> tuple[list[tuple[str, np.ndarray]], list[dict[str, str]]]:
    """Names and images of the files that can be read, and what is wrong with the others."""
    readable, bad = [], []
    for name, file in files:
        try:
            readable.append((name, read_image(file)))
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


def _to_lines(entries: Sequence[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(entry)}\n" for entry in entries).encode()


def _read_lines(path: str) -> list[dict[str, Any]]:
    with storage.open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _add(counts: dict[str, int], others: dict[str, int]) -> dict[str, int]:
    return {name: count + others[name] for name, count in counts.items()}


def _describe_shard(prefix: str) -> dict[str, Any]:
    checksums = {}
    for kind in _KINDS:
        checksums[kind] = storage.sha256(prefix + kind)
    images, bad = (len(_read_lines(prefix + kind)) for kind in (".jsonl", ".bad.jsonl"))
    name = storage.basename(prefix)
    return dict(name=name, images=images, bad=bad, sha256=checksums)
