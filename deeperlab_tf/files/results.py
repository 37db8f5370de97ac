"""The files that parses become: whole or not at all, and never over a file of the user's.

The results of one input are NAME.json and files whose names begin with NAME. The JSON's `info`
lists them with their checksums, by which a program knows its own results again: it replaces these,
and does not take them for pictures to parse. Whatever else there is stays as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import removing_new_folders, scratch_folder
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.files.reports import read_json_object
from deeperlab_tf.files.stamp import MAKER
from deeperlab_tf.work.names import NameSet

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
    listed, there = None, NameSet(())
    for name, source in sources.items():
        prefix = _prefix(folder, name)
        parent, stem = storage.split(prefix)
        # Inputs come folder by folder.
        if parent != listed:
            found = storage.scan(parent) if storage.isdir(parent) else ()
            listed, there = parent, NameSet(name for name, _ in found)
        names = [stem + ending for ending in endings]
        if any(name in there for name in names):
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


def is_result(path: str, jsons: Container[str] | None = None) -> bool:
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
