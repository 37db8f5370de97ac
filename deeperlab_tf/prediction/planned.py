"""The list of the images that become shards: beside these, so that workers read their part of it
and a later run can say what has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import atomic_path
from deeperlab_tf.files.paths import path_inside

PLANNED = "plan.files"
_NAMED = 5  # files that an error names of each kind


class Records(NamedTuple):
    """Images in records, instead of files.

    Attributes:
      folder: of the records.
      split: train, val, ….
      count: how many images they have.
      open_source: `input_pipeline.open_source`.
    """

    folder: str
    split: str
    count: int
    open_source: Callable[[ConfigDict, str], Sequence[Mapping[str, Any]]]

    def __len__(self) -> int:
        return self.count

    def open(self, config: ConfigDict) -> Sequence[Mapping[str, Any]]:
        """The images, as samples."""
        config = config.copy_and_resolve_references()
        config.data.records = self.folder
        return self.open_source(config, self.split)

    def read(
        self, source: Sequence[Mapping[str, Any]], number: int, seen: set[str]
    ) -> tuple[str, np.ndarray]:
        """Name and pixels of an image.

        Args:
          source: of `open`.
          number: of the image.
          seen: names of those that were read before; this one's is added.

        Raises:
          UserError: it cannot be read, or its name is another's or no name of a file.
        """
        sample = source[number]
        name = sample["image_id"]
        path_inside(".", name)
        if name in seen:
            raise UserError(f"image {number} of {self.folder} has the name {name!r} of another.")
        seen.add(name)
        return name, sample["image"]


class PlannedFiles(NamedTuple):
    """The list as it is now, not yet in its place.

    Attributes:
      path: where it belongs.
      now: where it is.
      digest: checksum of its content.
    """

    path: str
    now: str
    digest: str

    def places(self, numbers: Sequence[int]) -> list[int]:
        """The bytes at which the lines of these numbers, which are sorted, begin."""
        wanted, places, place = iter(numbers), [], 0
        following = next(wanted, None)
        with storage.open(self.now, "rb") as file:
            for number, line in enumerate(file):
                if number == following:
                    places.append(place)
                    following = next(wanted, None)
                place += len(line)
        return places

    def keep(self) -> None:
        """Puts the list in its place."""
        if not storage.exists(self.path):
            with atomic_path(self.path) as temporary:
                storage.copy(self.now, temporary)

    def changes(self) -> str:
        """Which files differ from those of the list in its place; "" if there is none."""
        if not storage.exists(self.path):
            return ""
        kinds = {"changed": _Some(), "new": _Some(), "gone": _Some()}
        with storage.open(self.path, "rb") as before, storage.open(self.now, "rb") as now:
            for kind, file in _differing(before, now):
                kinds[kind].add(file)
        told = [f"{kind}: {some}" for kind, some in kinds.items() if some.count]
        return f" ({'; '.join(told)})" if told else ""


class _Some:
    """The first few of many, and how many there are."""

    def __init__(self):
        self.count, self._first = 0, []

    def add(self, name: str) -> None:
        self.count += 1
        if self.count <= _NAMED:
            self._first.append(name)

    def __str__(self) -> str:
        more = f" and {self.count - _NAMED} more" if self.count > _NAMED else ""
        return ", ".join(self._first) + more


@contextlib.contextmanager
def planned(files: Mapping[str, str], output: str) -> Iterator[PlannedFiles]:
    """Context in which there is the list of some files as they are now.

    Args:
      files: results' name -> file, in the order in which they are parsed.
      output: folder of the shards.
    """
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(prefix="deeperlab_plan_") as folder:
        path = os.fspath(storage.join(folder, PLANNED))
        with storage.open(path, "wb") as file:
            for name, image in files.items():
                line = json.dumps([name, image, *_state(image)]).encode()
                digest.update(line)
                file.write(line + b"\n")
        yield PlannedFiles(storage.join(output, PLANNED), path, digest.hexdigest())


def read_planned(path: str, place: int, count: int) -> Iterator[tuple[str, str]]:
    """(name, file) of some lines of the list.

    Args:
      path: of the list.
      place: byte at which the first line begins.
      count: number of lines.
    """
    with storage.open_large(path) as file:
        file.seek(place)
        for line in itertools.islice(iter(file.readline, b""), count):
            name, image, *_ = json.loads(line)
            yield name, image


def _state(file: str) -> tuple[int, ...]:
    """Size and time; nothing in a bucket, where asking for millions takes hours."""
    found = None if storage.is_remote(file) else storage.facts(file)
    return () if found is None else (found.size, found.changed)


def _differing(before: Iterator[bytes], now: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    """(kind, file) of what differs between two lists that are sorted by their files."""
    ends = (None, None)
    one, two = next(_entries(before), ends), next(_entries(now), ends)
    while one != ends or two != ends:
        if two == ends or (one != ends and one[0] < two[0]):
            yield "gone", one[0]
            one = next(_entries(before), ends)
        elif one == ends or two[0] < one[0]:
            yield "new", two[0]
            two = next(_entries(now), ends)
        else:
            if one != two:
                yield "changed", one[0]
            one, two = next(_entries(before), ends), next(_entries(now), ends)


def _entries(lines: Iterator[bytes]) -> Iterator[tuple[str, list]]:
    for line in lines:
        name, file, *state = json.loads(line)
        yield file, [name, *state]
