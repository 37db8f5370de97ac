"""Writing records: shard by shard, in several processes, each shard whole or not at all."""

from __future__ import annotations

import concurrent.futures
import hashlib
import multiprocessing
import typing

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tqdm import tqdm

from deeperlab_tf.config_json import config_from_json, config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path, write_json, write_text
from deeperlab_tf.files.reports import check_report
from deeperlab_tf.schema import Dataset
from input_pipeline.records.example import encode_example
from input_pipeline.records.files import record_offsets, shards_in
from input_pipeline.sources import open_source

_MANIFEST = {"dataset", "split", "images", "shards"}  # by which one is known

_HASHED_AT_A_TIME = 2**20  # bytes


class _Task(typing.NamedTuple):
    """The samples `first` … `last` - 1 of a split, which become the shard at `path`."""

    path: str
    first: int
    last: int


def write_records(
    config: ConfigDict, split: str, output: str, num_shards: int = 10, processes: int = 2
) -> dict:
    """Writes a split of `config.data` as shards into a folder; shards that are there already are
    kept.

    Args:
      config: the full config; `data.dataset`, `data.root` and `data.classes` say what to read.
      split: train, val, ….
      output: folder, made if need be.
      num_shards: number of files.
      processes: how many work at once.

    Returns:
      The manifest, as written to `{split}.json`.

    Raises:
      UserError: bad data, or the disk is full; no broken shard is left under its final name.
    """
    manifest_path = storage.join(output, f"{split}.json")
    check_report(manifest_path, _MANIFEST)
    source = open_source(config, split)
    _write_classes(source.dataset, storage.join(output, "dataset.json"))
    tasks = _tasks(output, split, len(source), num_shards)
    paths = [task.path for task in tasks]
    _check_no_others(output, split, paths)

    length = len(source)
    missing = [task for task in tasks if not storage.exists(task.path)]
    num_missing = sum(task.last - task.first for task in missing)
    with tqdm(total=length, desc=split, unit="img") as bar, _pool(processes) as pool:
        bar.update(length - num_missing)
        text = config_to_json(config)
        jobs = [pool.submit(_write_shard, text, split, task) for task in missing]
        try:
            # The first failure is raised here; the others' work is cancelled.
            for job in concurrent.futures.as_completed(jobs):
                bar.update(job.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise

    shards = [_describe_shard(path) for path in paths]
    manifest = dict(
        dataset=source.dataset.name,
        split=split,
        images=sum(shard["images"] for shard in shards),
        shards=shards,
    )
    write_json(manifest_path, manifest)
    return manifest


def _tasks(output: str, split: str, length: int, num_shards: int) -> list[_Task]:
    """Shards of about the same number of samples, none of them empty."""
    num_shards = min(num_shards, length)
    bounds = np.linspace(0, length, num_shards + 1).astype(int).tolist()
    tasks = []
    for shard in range(num_shards):
        name = f"{split}-{shard:05d}-of-{num_shards:05d}.tfrecord"
        path = storage.join(output, name)
        first, last = bounds[shard : shard + 2]
        tasks.append(_Task(path, first, last))
    return tasks


def _check_no_others(output: str, split: str, paths: list[str]) -> None:
    others = set(shards_in(output, split)) - set(paths)
    if others:
        raise UserError(
            f"{output} holds shards of another division, such as {min(others)}; remove them first."
        )


def _pool(processes: int) -> concurrent.futures.Executor:
    """A thread does for one worker; several are processes, each of which loads TensorFlow first."""
    if processes == 1:
        return concurrent.futures.ThreadPoolExecutor(1)
    return concurrent.futures.ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))


def _write_classes(dataset: Dataset, path: str) -> None:
    if not storage.exists(path):
        write_text(path, dataset.to_json())
        return
    with storage.open(path, encoding="utf-8") as file:
        existing = Dataset.from_json(file.read(), path)
    if existing != dataset:
        raise UserError(
            f"{path} describes other classes; choose another --output for {dataset.name}."
        )


def _write_shard(config_text: str, split: str, task: _Task) -> int:
    """Work of one process; returns how many images it wrote."""
    # A source is opened anew: text crosses to another process, open files do not.
    source = open_source(config_from_json(config_text), split)
    try:
        with atomic_path(task.path) as temporary, tf.io.TFRecordWriter(temporary) as writer:
            for index in range(task.first, task.last):
                photo = next(iter(source.paths(index)), None)
                writer.write(encode_example(source[index], source.dataset, photo))
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"cannot write {task.path} ({error}); check the space on the disk, then run again."
        ) from error
    return task.last - task.first


def _describe_shard(path: str) -> dict:
    name = storage.basename(path)
    return dict(file=name, images=len(record_offsets(path)), sha256=_sha256(path))


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with storage.open_large(path) as file:
        while block := file.read(_HASHED_AT_A_TIME):
            digest.update(block)
    return digest.hexdigest()
