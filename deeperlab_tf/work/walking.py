"""Walks through folders of any size; patterns of names, and lists of them in files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from deeperlab_tf.files import storage, text
from deeperlab_tf.work.names import sorted_names

# Folders that unpacking, disk stations and file systems add; the last may not be read.
_NOT_THE_USERS = ("__MACOSX", "@eaDir", "lost+found")
_ANY_DEPTH = "**"


def walk(
    folder: str, fits: Callable[[str], bool], way: tuple[str, ...] = (), depth: int = -1
) -> Iterator[str]:
    """Paths of the files that fit in a folder, sorted, then those of each of its subfolders.

    Hidden files and folders are passed over, links are followed.

    Args:
      folder: where to look.
      fits: whether a path is wanted.
      way: the real folders above it that were walked through.
      depth: how many folders deep to look; -1: all.
    """
    way, folders = (*way, storage.realpath(folder)), []

    def names():
        for name, is_folder in storage.scan(folder):
            if is_folder:
                folders.append(name)
            elif not name.startswith(".") and fits(storage.join(folder, name)):
                yield name

    for name in sorted_names(names()):
        yield storage.join(folder, name)
    for name in sorted(folders) if depth else ():
        if _is_below(folder, name, way):
            yield from walk(storage.join(folder, name), fits, way, depth - 1)


def _is_below(where: str, name: str, way: tuple[str, ...]) -> bool:
    """Whether a subfolder is to be looked into; a link to a folder on or above the way to it would
    never end.
    """
    if name.startswith(".") or name in _NOT_THE_USERS:
        return False
    if storage.is_remote(where):
        return True
    target = storage.realpath(storage.join(where, name))
    return not any((real + os.sep).startswith(target + os.sep) for real in way)


# === Patterns ===


def is_pattern(path: str) -> bool:
    """Whether a path has what stands for any name: `*`, `?` or `[…]`."""
    return any(character in path for character in "*?[")


def matching(pattern: str) -> tuple[str, Iterator[str]]:
    """The folder before the first part that is a pattern, and the files below it that fit, as of
    `walk`; `**` stands for any folders.

    Example:
      root, files = matching("photos/*/left_?.jpg")
    """
    root, parts = pattern, []
    while is_pattern(root):
        root, name = storage.split(root.rstrip("/"))
        parts.insert(0, name)
    root = root or "."
    last = ".*" if parts[-1] == _ANY_DEPTH else _regex(parts[-1])[: -len("/")]
    wanted = re.compile("".join(map(_regex, parts[:-1])) + last)
    depth = -1 if _ANY_DEPTH in parts else len(parts) - 1
    start = len(storage.join(root, ""))
    return root, walk(root, lambda path: wanted.fullmatch(path[start:]) is not None, depth=depth)


def _regex(part: str) -> str:
    """Of one part of a pattern, with the slash after it."""
    if part == _ANY_DEPTH:
        return "(?:.*/)?"
    pieces = re.findall(r"\*+|\?|\[!?[^]]+\]|.", part, re.DOTALL)
    return "".join(map(_regex_of_piece, pieces)) + "/"


def _regex_of_piece(piece: str) -> str:
    if piece[0] == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if len(piece) > 1:
        inside = piece[1:-1].replace("\\", r"\\")
        return f"[^/{inside[1:]}]" if inside[0] == "!" else f"[{inside}]"
    return re.escape(piece)


# === Lists ===


def read_lines(path: str) -> Iterator[str]:
    """The files that the lines of a text file name, without ever holding it; from its folder.

    Raises:
      UserError: it cannot be read, or is not text.
    """
    folder = storage.dirname(path)
    for name in text.read_lines(path):
        yield storage.join(folder, storage.expanduser(name))


def common_folder(first: str, last: str) -> str:
    """The lowest folder that all of some sorted paths are below, of which these are the ends."""
    first, last = storage.dirname(first) + "/", storage.dirname(last) + "/"
    differing = (n for n, (one, two) in enumerate(zip(first, last)) if one != two)
    same = first[: next(differing, min(len(first), len(last)))]
    return same.rpartition("/")[0] or ("/" if same else ".")
