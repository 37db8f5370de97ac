"""Writing records: shard by shard, in several processes, each shard whole or not at all.

`plan_records` says what there is to do, `write_shard` does a part of it, anywhere and in any order,
and `finish_records` looks at the whole.
"""

from __future__ import annotations

import contextlib
import functools
import typing
from typing import IO

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path, remove_leftovers, write_json, write_text
from deeperlab_tf.files.lock import only_job
from deeperlab_tf.files.reports import check_report, read_json_object
from deeperlab_tf.schema import Dataset
from deeperlab_tf.work import local
from deeperlab_tf.work.job import Job, Run, add_counts, divided, new_key, once
from input_pipeline.datasets import Source
from input_pipeline.records import fingerprint
from input_pipeline.records.example import encode_example
from input_pipeline.records.files import record_offsets, shards_in
from input_pipeline.records.tfrecord import framed
from input_pipeline.sources import open_source

MANIFEST_KEYS = {"dataset", "split", "images", "shards"}  # by which one is known


class ShardTask(typing.NamedTuple):
    """The samples `first` … `last` - 1 of a split, which become the shard at `path`."""

    path: str
    first: int
    last: int


class Plan(typing.NamedTuple):
    """What is to be written.

    Attributes:
      config_text: the full config, as JSON: text crosses to other processes and machines.
      split: train, val, ….
      output: folder of the records.
      tasks: all shards.
      missing: those that are not there yet.
    """

    config_text: str
    split: str
    output: str
    tasks: list[ShardTask]
    missing: list[ShardTask]


def write_records(
    config: ConfigDict,
    split: str,
    output: str,
    num_shards: int = 10,
    processes: int = 2,
    rebuild: bool = False,
    run: Run | None = None,
) -> dict:
    """Writes a split of `config.data` as shards into a folder; shards that are there already are
    kept.

    Args:
      config: the full config; `data.dataset`, `data.root` and `data.classes` say what to read.
      split: train, val, ….
      output: folder, made if need be.
      num_shards: number of files.
      processes: how many work at once.
      rebuild: remove what is there of this split, and make it anew.
      run: does the work; None: `processes` of this machine.

    Returns:
      The manifest, as written to `{split}.json`.

    Raises:
      UserError: bad data, or the disk is full; no broken shard is left under its final name. The
        records that are there were made from other data, or these change meanwhile: names the
        files. Another job writes the same.
    """
    run = run or functools.partial(local.run, processes=processes)
    with only_job(output, split):
        plan = plan_records(config, split, output, num_shards, rebuild)
        if plan.missing:
            run(_job(plan))
        return finish_records(plan)


def _job(plan: Plan) -> Job:
    """The shards that are missing."""
    sizes = [task.last - task.first for task in plan.missing]
    shared = (plan.config_text, plan.split, new_key())
    return Job(plan.split, "image", _do, shared, plan.missing, sizes, add_counts, counts=dict)


def _do(shared: tuple[str, str, str], task: ShardTask) -> dict[str, int]:
    """The shard's counters."""
    config_text, split, key = shared
    # A process opens a source by itself: open files do not cross to another one.
    write_shard(once(key, _open, config_text, split), split, task)
    return {"bytes": storage.getsize(task.path)}


def _open(config_text: str, split: str) -> Source:
    return open_source(config_from_json(config_text), split)


# === What to do ===


def plan_records(
    config: ConfigDict, split: str, output: str, num_shards: int, rebuild: bool = False
) -> Plan:
    """Looks at the data and at what is there, and writes what the shards are made from.

    Args:
      config, split, output, num_shards, rebuild: as of `write_records`.

    Raises:
      UserError: as of `write_records`.
    """
    check_report(_manifest_path(output, split), MANIFEST_KEYS)
    source = open_source(config, split)
    if rebuild:
        remove_records(output, split)
    tasks = _tasks(output, split, len(source), num_shards)
    remove_leftovers(output, [task.path for task in tasks])
    now = fingerprint.describe(source, config, len(tasks))
    # Nothing is written before all is known to fit.
    classes_path = storage.join(output, "dataset.json")
    _check_sources(now, output, split, tasks)
    _check_classes(source.dataset, classes_path)
    if not storage.exists(classes_path):
        write_text(classes_path, source.dataset.to_json())
    there = set(shards_in(output, split))
    if not there:
        sources_path = _side_files(output, split)[0]
        with atomic_path(sources_path) as temporary:
            fingerprint.save(now, temporary)
    missing = [task for task in tasks if task.path not in there]
    return Plan(config_to_json(config), split, output, tasks, missing)


def remove_records(output: str, split: str) -> None:
    """Removes the shards of a split and what describes them.

    Raises:
      UserError: a file that is called like a shard is none that was written here.
    """
    shards = shards_in(output, split)
    own = _own_shards(output, split)
    for path in shards:
        if storage.basename(path) not in own:
            raise UserError(
                f"{path} is called like a shard, but neither {split}.json nor {split}.sources.gz "
                "lists it; move it away, or choose another --output."
            )
    # What says that they are whole goes first.
    for path in (_manifest_path(output, split), *shards, *_side_files(output, split)):
        if storage.exists(path):
            storage.remove(path)


def _own_shards(output: str, split: str) -> set[str]:
    """Names of the files that the manifest lists, or that were planned before there was one."""
    manifest = read_json_object(_manifest_path(output, split)) or {}
    own = {shard["file"] for shard in manifest.get("shards", ())}
    sources_path = _side_files(output, split)[0]
    if storage.exists(sources_path):
        with storage.open(sources_path, "rb") as file, contextlib.suppress(ValueError):
            count = fingerprint.num_shards(file)
            own |= {_shard_name(split, shard, count) for shard in range(count)}
    return own


def _shard_name(split: str, shard: int, count: int) -> str:
    return f"{split}-{shard:05d}-of-{count:05d}.tfrecord"


def _tasks(output: str, split: str, length: int, num_shards: int) -> list[ShardTask]:
    """Shards of about the same number of samples, none of them empty."""
    parts = divided(length, num_shards)
    tasks = []
    for shard, (first, last) in enumerate(parts):
        path = storage.join(output, _shard_name(split, shard, len(parts)))
        tasks.append(ShardTask(path, first, last))
    return tasks


def _check_sources(now: IO[bytes], output: str, split: str, tasks: list[ShardTask]) -> None:
    """Compares the data with what the shards that are there were made from."""
    path = _side_files(output, split)[0]
    shards = shards_in(output, split)
    if not shards:
        return
    others = set(shards) - {task.path for task in tasks}
    if others:
        raise UserError(
            f"{output} holds shards of another division, such as {min(others)}; give the same "
            "--shards, or make them anew by --rebuild."
        )
    differing = _changes_since(path, now)
    if differing:
        raise UserError(
            f"{output} holds records of {split!r} made from other data ({differing}); "
            "keep them as they are, or make them anew by --rebuild."
        )


def _changes_since(path: str, now: IO[bytes]) -> str:
    """What has changed since {split}.sources.gz was written; "": nothing."""
    if not storage.exists(path):  # of a version that kept none
        return "what they were made from is not known"
    try:
        with storage.open_large(path) as file:
            return fingerprint.changes(file, now)
    except ValueError as error:
        return f"{path} cannot be read: {error}"


def _check_classes(dataset: Dataset, path: str) -> None:
    if not storage.exists(path):
        return
    with storage.open(path, encoding="utf-8") as file:
        existing = Dataset.from_json(file.read(), path)
    if existing != dataset:
        raise UserError(
            f"{path} describes other classes; choose another --output for {dataset.name}."
        )


# === A part of it ===


def write_shard(source: Source, split: str, task: ShardTask) -> int:
    """Writes one shard, whole or not at all; written twice, it is the same.

    Args:
      source: of the `Plan`'s config and split, opened since.
      split: of the `Plan`.
      task: one of its tasks.

    Returns:
      how many images it wrote.

    Raises:
      UserError: bad data, or no room.
    """
    if task.last > len(source):
        raise UserError(
            f"split {split!r} has lost images since the work began; run again with --rebuild."
        )
    try:
        with atomic_path(task.path) as temporary, storage.open(temporary, "wb") as file:
            for index in range(task.first, task.last):
                photo = next(iter(source.paths(index)), None)
                file.write(framed(encode_example(source[index], source.dataset, photo)))
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            f"cannot write {task.path} ({error}); check the space on the disk, then run again."
        ) from error
    return task.last - task.first


# === The whole ===


def finish_records(plan: Plan) -> dict:
    """Writes the manifest, once all shards are there.

    Returns:
      the manifest.

    Raises:
      UserError: a shard is missing, or the data have changed since the work began.
    """
    config, (output, split) = config_from_json(plan.config_text), (plan.output, plan.split)
    sources_path, lengths_path = _side_files(output, split)
    source = open_source(config, split)
    now = fingerprint.describe(source, config, len(plan.tasks))
    differing = _changes_since(sources_path, now)
    if differing:
        raise UserError(
            f"the data of {split!r} changed while their records were made ({differing}); "
            "run again with --rebuild."
        )
    lengths, shards = [np.zeros(0, np.int64)], []
    for task in plan.tasks:
        places = np.array(record_offsets(task.path), np.int64).reshape(-1, 2)
        lengths.append(places[:, 1])
        shards.append(_describe_shard(task.path, len(places)))
    with atomic_path(lengths_path) as temporary, storage.open(temporary, "wb") as file:
        file.write(np.concatenate(lengths).astype("<i8").tobytes())
    manifest = dict(
        dataset=source.dataset.name,
        split=split,
        images=sum(shard["images"] for shard in shards),
        sources=fingerprint.digest(now),
        shards=shards,
    )
    write_json(_manifest_path(output, split), manifest)
    return manifest


def _manifest_path(output: str, split: str) -> str:
    return storage.join(output, f"{split}.json")


def _side_files(output: str, split: str) -> tuple[str, str]:
    """Paths of {split}.sources.gz and {split}.lengths."""
    return storage.join(output, f"{split}.sources.gz"), storage.join(output, f"{split}.lengths")


def _describe_shard(path: str, images: int) -> dict:
    size, checksum = storage.getsize(path), storage.sha256(path)
    return dict(file=storage.basename(path), images=images, bytes=size, sha256=checksum)
