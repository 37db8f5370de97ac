"""The files that parses become: whole or not at all, and never over a file of the user's.

The results of one input are NAME.json and files whose names begin with NAME. The JSON's `info`
lists them with their checksums, by which a program knows its own results again: it replaces these,
and does not take them for pictures to parse. Whatever else there is stays as it is.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import os
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import removing_new_folders, scratch_folder
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.files.reports import read_json_object
from deeperlab_tf.files.stamp import MAKER

PICTURES = ("semantic", "instances", "detection", "heatmap", "offsets", "sheet")
OVERLAYS = ("_overlay.jpg", "_overlay.png", "_overlay.mp4")
# How the names of one input's results end.
ENDINGS = (".json", ".png", *OVERLAYS, *(f"_{kind}.png" for kind in PICTURES))

_NAME_BYTES = 255  # of a file, where the disk does not tell


class ResultFiles(NamedTuple):
    """The results of one input while they are made.

    Attributes:
      scratch: folder in which files are made, all of whose names begin with `stem`.
      stem: the last part of NAME.
      content: what NAME.json is to hold; to be filled.
    """

    scratch: str
    stem: str
    content: dict[str, Any]

    def path(self, ending: str) -> str:
        """Where to write the result whose name has this ending."""
        return storage.join(self.scratch, self.stem + ending)


@contextlib.contextmanager
def writing_results(
    folder: str | os.PathLike, name: str, source: str = ""
) -> Iterator[ResultFiles]:
    """The results `folder`/`name`*, all of which are there when the block ends, or none.

    Args:
      folder: made where missing.
      name: may have subfolders.
      source: path of the input; results of another input are not replaced. "": not known.

    Raises:
      UserError: `name` leaves the folder; a file that is no result of `name`'s is in the way; a
        name is too long; the disk is full.

    Example:
      with writing_results("parses", "photo") as files:
          write_image(files.path("_overlay.jpg"), picture)
          files.content["frames"] = []
    """
    prefix = _prefix(folder, name)
    parent, stem = storage.split(prefix)
    what = f"the results {prefix}*"
    with removing_new_folders(parent), scratch_folder(parent, what) as scratch:
        files = ResultFiles(scratch, stem, {})
        yield files
        written = sorted(storage.listdir(scratch))
        own = _own_files(prefix, source)
        _check_free(parent, [f"{stem}.json", *written], own)

        checksums = {name: storage.sha256(storage.join(scratch, name)) for name in written}
        kept = {name: checksum for name, checksum in own.items() if name != f"{stem}.json"}
        info = dict(**_identity(source), files={**kept, **checksums})
        _write_json(files.path(".json"), files.content, info)
        # The list first: what it names is this program's, even if the next step fails.
        for name in (f"{stem}.json", *written):
            storage.place(storage.join(scratch, name), storage.join(parent, name))


def check_results(
    folder: str | os.PathLike, name: str, endings: Iterable[str], source: str = ""
) -> None:
    """Fails where `writing_results` would find files in the way, so that it is known before the
    work.

    Args:
      folder, name, source: as of `writing_results`.
      endings: of the results that will be written.

    Raises:
      UserError: `name` leaves the folder, or a file that is no result of `name`'s is in the way.
    """
    check_all_results(folder, {name: source}, endings)


def check_all_results(
    folder: str | os.PathLike, sources: Mapping[str, str], endings: Iterable[str]
) -> None:
    """`check_results` of many inputs.

    Args:
      folder, endings: as of `check_results`.
      sources: from each input's name to its path; "": not known.

    Raises:
      UserError: as of `check_results`.
    """
    listed, there = None, set()
    for name, source in sources.items():
        prefix = _prefix(folder, name)
        parent, stem = storage.split(prefix)
        # Inputs come folder by folder.
        if parent != listed:
            listed, there = parent, set(storage.listdir(parent) if storage.isdir(parent) else ())
        names = [stem + ending for ending in endings]
        if not there.isdisjoint(names):
            _check_free(parent, names, _own_files(prefix, source))


def check_lengths(folder: str | os.PathLike, name: str, endings: Iterable[str]) -> None:
    """Fails if the disk does not take names of results as long as these.

    Args:
      folder, name, endings: as of `check_results`.

    Raises:
      UserError: the longest name, and what the disk takes.
    """
    parent, stem = storage.split(_prefix(folder, name))
    limit = _longest_name(parent)
    longest = max((stem + ending for ending in endings), key=lambda name: len(os.fsencode(name)))
    size = len(os.fsencode(longest))
    if size > limit:
        raise UserError(
            f"the result {longest} would have a name of {size} bytes, of which the disk takes "
            f"{limit}; give the picture a shorter name."
        )


def is_result(path: str, jsons: Collection[str] | None = None) -> bool:
    """Whether a file is among the results that a NAME.json beside it lists.

    Args:
      path: the file.
      jsons: paths of the JSONs that there are, where that is known.
    """
    for ending in ENDINGS:
        if path.endswith(ending):
            prefix = path[: -len(ending)]
            json_path = f"{prefix}.json"
            there = storage.isfile(json_path) if jsons is None else json_path in jsons
            if there and storage.basename(path) in _own_files(prefix):
                return True
    return False


def result_names(files: Collection[str], root: str) -> dict[str, str]:
    """Which results' name each input has.

    It is the input's path below `root` without its ending: `a.jpg` becomes `a`. Where results of
    two inputs would have one name, all of these keep their ending: `a.jpg` beside `a.png` become
    `a_jpg` and `a_png`, and `b.jpg` beside `b_semantic.jpg` `b_jpg` and `b_semantic_jpg`.

    Args:
      files: paths of the inputs.
      root: the folder they are in or below.

    Returns:
      dict name -> path, in the order of `files`.
    """
    root = root or "."
    names = {file: storage.splitext(storage.relpath(file, root))[0] for file in files}
    tries = collections.Counter()
    while clashing := _clashing(names):
        for number, file in enumerate(clashing, start=1):
            tries[file] += 1
            longer = "_".join(_split(storage.relpath(file, root)))
            is_new = names[file] != longer and tries[file] == 1
            # `a.jpg` beside `a.JPG`, which some disks take for one name.
            further = "" if is_new else "_" * max(tries[file] - 1, 1) + str(number)
            names[file] = longer + further
    return {name: file for file, name in names.items()}


# === Whose files they are ===


def _longest_name(folder):
    if storage.is_remote(folder) or not hasattr(os, "pathconf"):
        return _NAME_BYTES
    while not storage.isdir(folder):
        folder = storage.dirname(folder)
    return os.pathconf(folder, "PC_NAME_MAX")


def _prefix(folder, name):
    return path_inside(storage.expanduser(os.fspath(folder)), name)


def _own_files(prefix, source=""):
    """dict name -> checksum of the results that are as NAME.json says; empty if it is another's,
    or of another source.
    """
    parent, stem = storage.split(prefix)
    content = read_json_object(f"{prefix}.json")
    info = content.pop("info", None) if content else None
    if not isinstance(info, dict) or info.get("made_by") != MAKER:
        return {}
    stated = info.get("source_path")
    if source and stated and stated != _identity(source)["source_path"]:
        return {}
    # Somebody may have changed the parse by hand.
    if info.get("content") != _content_checksum(content):
        return {}
    own = {f"{stem}.json": None}
    listed = info.get("files")
    for name, checksum in listed.items() if isinstance(listed, dict) else ():
        path = storage.join(parent, name)
        is_there = storage.basename(name) == name and storage.isfile(path)
        if is_there and storage.sha256(path) == checksum:
            own[name] = checksum
    return own


def _identity(source):
    """What `info` says of an input: its name, and its place, which is nobody else's business."""
    if not source:
        return dict(source="", source_path="")
    place = os.fsencode(storage.realpath(source))
    return dict(source=storage.basename(source), source_path=hashlib.sha256(place).hexdigest())


def _check_free(parent, names, own):
    for name in names:
        path = storage.join(parent, name)
        if storage.lexists(path) and name not in own:
            raise UserError(
                f"{path} exists already and is not a result of this input's, or was changed since; "
                "it stays as it is: choose another --output."
            )


def _write_json(path, content, info):
    info = dict(made_by=MAKER, content=_content_checksum(content), **info)
    with storage.open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps({"info": info, **content}))


def _content_checksum(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


# === Names ===


def _split(path):
    """("a", "jpg") of a.jpg; ("a",) of a file without an ending."""
    stem, ending = storage.splitext(path)
    return (stem, ending[1:]) if ending else (stem,)


def _clashing(names):
    """Those files, sorted, of whose results' names another file's have one, too."""
    owners = {}
    for file in _perhaps_clashing(names):
        for ending in ENDINGS:
            owners.setdefault(_folded(names[file] + ending), set()).add(file)
    shared = (files for files in owners.values() if len(files) > 1)
    return sorted(set().union(*shared))


def _perhaps_clashing(names):
    """Those files whose names another's begin with, or are; of millions, usually none.

    Two results have one name where `b` + `_semantic.png` is `b_semantic` + `.png`.
    """
    hashes = np.fromiter((_hash(_folded(name)) for name in names.values()), np.uint64, len(names))
    hashes.sort()
    repeated = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
    more = {one[: -len(two)] for one in ENDINGS for two in ENDINGS if one.endswith(two)} - {""}

    def is_name(text):
        value = np.uint64(_hash(text))
        place = np.searchsorted(hashes, value)
        return place < len(hashes) and hashes[place] == value

    found = set()
    for name in names.values():
        folded = _folded(name)
        if repeated and _hash(folded) in repeated:
            found.add(folded)
        for end in more:
            if folded.endswith(end) and is_name(folded[: -len(end)]):
                found.update((folded, folded[: -len(end)]))
    return [file for file, name in names.items() if found and _folded(name) in found]


def _folded(name):
    """As disks compare names that fold case and accents."""
    return unicodedata.normalize("NFC", name).casefold()


def _hash(text):
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
