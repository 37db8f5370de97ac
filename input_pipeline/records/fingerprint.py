"""What records were made from, so that it shows if the data have changed since.

{split}.sources.gz is compressed text. Its first line is a JSON object: the values of the config
that decide what is in a record, a checksum of the classes, the numbers of images and shards. Then
each source file has a line, in the order of the samples: bytes, time of its last change in
nanoseconds, and its path from the root, as JSON.

As there may be millions, it is read and written as a file, and never held.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import gzip
import hashlib
import itertools
import json
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from input_pipeline.datasets import Source

_NAMED = 5  # files that an error names of each kind
_ASKED_AT_ONCE = 32  # files of a bucket
_CHUNK = 1024  # samples
_LONGEST = 2**16  # bytes of a line
_COPIED_AT_ONCE = 2**20  # bytes
_NUM_SHARDS = "the number of shards"  # as an error says that it differs


def describe(source: Source, config: ConfigDict, num_shards: int) -> IO[bytes]:
    """What {split}.sources.gz is to be for a source as it is now, in an open temporary file.

    Args:
      source: the split.
      config: the full config that it was opened with.
      num_shards: number of files that the records are divided into.

    Raises:
      UserError: a file of the source is missing.
    """
    described = tempfile.TemporaryFile(prefix="deeperlab_sources_")  # noqa: SIM115
    with gzip.GzipFile("", "wb", fileobj=described, mtime=0) as file:
        for line in _lines(source, config, num_shards):
            file.write(line.encode() + b"\n")
    described.seek(0)
    return described


def save(description: IO[bytes], path: str) -> None:
    """Writes an open description into a file."""
    description.seek(0)
    with storage.open(path, "wb") as file:
        file.writelines(iter(lambda: description.read(_COPIED_AT_ONCE), b""))


def digest(description: IO[bytes]) -> str:
    """SHA-256 of what an open description says, whatever the compression."""
    with _reading(description) as file:
        return storage.sha256_of(file)


def changes(old: IO[bytes], new: IO[bytes]) -> str:
    """What differs between two open descriptions, for an error; "": nothing.

    Raises:
      ValueError: the old one cannot be read.
    """
    if digest(old) == digest(new):
        return ""
    with _reading(old) as before_text, _reading(new) as after_text:
        before, after = _read_header(before_text), _read_header(after_text)
        differing = _differing(before_text, after_text)
    keys = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    sentences = [f"{key} differs" for key in keys if key != "images"]
    sentences += [f"{kind}: {some}" for kind, some in differing.items() if some.count]
    return "; ".join(sentences) or "the order of the images differs"


def num_shards(description: IO[bytes]) -> int:
    """The number of shards that were planned, of an open description.

    Raises:
      ValueError: the description cannot be read.
    """
    with _reading(description) as file:
        count = _read_header(file).get(_NUM_SHARDS)
    if not isinstance(count, int):
        raise ValueError("it does not say the number of shards")
    return count


# === The text ===


def _lines(source: Source, config: ConfigDict, num_shards: int) -> Iterator[str]:
    yield json.dumps(_header(source, config, num_shards), sort_keys=True)
    root = config.data.root or "."
    yield from _facts(source.shared_files(), root)
    samples = iter(range(len(source)))
    while chunk := list(itertools.islice(samples, _CHUNK)):
        paths = [(*source.paths(index), *source.label_files(index)) for index in chunk]
        yield from _facts(itertools.chain.from_iterable(paths), root)


def _header(source: Source, config: ConfigDict, num_shards: int) -> dict[str, Any]:
    data = config.data
    values = {"config.data.dataset": data.dataset}
    values["config.data.annotations"] = data.annotations.to_dict()
    if data.dataset == "shapes":  # which has no files
        values["config.data.shapes"] = data.shapes.to_dict()
        values["config.data.seed"] = data.seed
    classes = hashlib.sha256(source.dataset.to_json().encode()).hexdigest()
    numbers = {"images": len(source), _NUM_SHARDS: num_shards}
    return {**values, **numbers, "the list of classes": classes}


def _facts(paths: Iterable[str], root: str) -> list[str]:
    """A line for each file."""
    paths = list(paths)
    if storage.is_remote(root):
        with concurrent.futures.ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            found = list(pool.map(storage.facts, paths))
    else:
        found = map(storage.facts, paths)
    lines = []
    for path, facts in zip(paths, found):
        if facts is None:
            raise UserError(f"{path} does not exist; restore it or take its image off the list.")
        name = json.dumps(storage.relpath(path, root), ensure_ascii=False)
        lines.append(f"{facts.size} {facts.changed} {name}")
    return lines


@contextlib.contextmanager
def _reading(description: IO[bytes]) -> Iterator[IO[bytes]]:
    """The text of a description, as a file; ValueError if it is cut off or damaged."""
    description.seek(0)
    try:
        with gzip.open(description) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(str(error)) from error


def _read_header(file: IO[bytes]) -> dict[str, Any]:
    header = json.loads(file.readline(_LONGEST))
    if not isinstance(header, dict):
        raise ValueError("it does not begin with what decides about the records")
    return header


class _Some:
    """Names, of which an error says the first."""

    def __init__(self) -> None:
        self.count, self._first = 0, []

    def add(self, name: str) -> None:
        self.count += 1
        self._first = sorted([*self._first, name])[:_NAMED]

    def __str__(self) -> str:
        more = f" and {self.count - _NAMED} more" if self.count > _NAMED else ""
        return f"{', '.join(self._first)}{more}"


def _differing(before: IO[bytes], after: IO[bytes]) -> dict[str, _Some]:
    """The files that are not the same in both texts; what lies at its place in both is not held."""
    differing = {kind: _Some() for kind in ("changed", "new", "gone")}
    old, new = {}, {}  # name -> bytes and time, of what was not seen in the other text so far

    def note(line, own, others):
        if line is None:
            return
        size, changed, name = line.decode().split(" ", 2)
        state, name = f"{size} {changed}", json.loads(name)
        if name not in others:
            own[name] = state
        elif others.pop(name) != state:
            differing["changed"].add(name)

    for one, two in itertools.zip_longest(_lines_of(before), _lines_of(after)):
        if one != two:
            note(one, old, new)
            note(two, new, old)
    for kind, names in (("new", new), ("gone", old)):
        for name in names:
            differing[kind].add(name)
    return differing


def _lines_of(file: IO[bytes]) -> Iterator[bytes]:
    # Compressed, a line without an end may be of any length.
    while line := file.readline(_LONGEST):
        if not line.endswith(b"\n"):
            raise ValueError("it ends within a line, or has one that is too long")
        yield line
