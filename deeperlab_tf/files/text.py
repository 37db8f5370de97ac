"""Text files from whatever editor or tool wrote them: UTF-8, with or without a byte order mark, and
UTF-16.
"""

from __future__ import annotations

import codecs
import collections
import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from typing import IO, Any

import yaml

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DEEPEST = 32  # brackets in brackets, on a line of YAML
_HEAD_BYTES = 64  # in which UTF-16 without a mark shows
_BLOCK_BYTES = 1 << 16  # of a long file that are decoded at once


def decode_text(data: bytes) -> str:
    """The text of a file's bytes, without its byte order mark.

    Raises:
      ValueError: it is neither UTF-8 nor UTF-16.
    """
    return data.decode(_encoding(data[:_HEAD_BYTES]))


def _encoding(head: bytes) -> str:
    """Of a file that begins so."""
    if head.startswith(_UTF_16_MARKS):
        return "utf-16"
    # Every other byte of Latin letters is 0 in UTF-16, and none is in UTF-8.
    if b"\0" in head:
        return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    return "utf-8-sig"


def lines_of(file: IO[bytes]) -> Iterator[str]:
    """The lines of an open text file of any length, which is never held.

    Raises:
      ValueError: as of `decode_text`.
    """
    rest = ""
    for text in blocks_of(file):
        *lines, rest = (rest + text).split("\n")
        yield from lines
    yield rest


def blocks_of(file: IO[bytes]) -> Iterator[str]:
    """What an open text file of any length holds, in pieces.

    Raises:
      ValueError: as of `decode_text`.
    """
    head = file.read(_HEAD_BYTES)
    blocks = itertools.chain([head], iter(lambda: file.read(_BLOCK_BYTES), b""))
    return codecs.iterdecode(blocks, _encoding(head))


def read_lines(path: str | os.PathLike, what: str = "list") -> Iterator[str]:
    """The lines of a text file without the space around them, empty ones left out, unheld.

    Args:
      path: the file.
      what: the file should have been, for errors.

    Raises:
      UserError: it is missing, or not text.
    """
    with naming(path, what), storage.open_large(path) as file:
        for part in lines_of(file):
            # Old editors end lines so, or the one before the feed.
            lines = map(str.strip, part.split("\r"))
            yield from filter(None, lines)


def read_text(path: str | os.PathLike, what: str = "file") -> str:
    """Reads a text file.

    Args:
      path: the file.
      what: the file should have been, for errors.

    Raises:
      UserError: it is missing, or not text.
    """
    with naming(path, what), storage.open(path, "rb") as file:
        return decode_text(file.read())


@contextlib.contextmanager
def naming(path: str | os.PathLike, what: str) -> Iterator[None]:
    """Context whose errors name the file that is read in it."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read the {what} {path}: {error.strerror}.") from error
    except ValueError as error:
        raise UserError(f"the {what} {path} is not text in UTF-8; save it as such.") from error


def parse_json(text: str, path: str | os.PathLike, what: str = "file") -> Any:
    """The value of a JSON text.

    Args:
      text: JSON.
      path, what: of the file it is from, for errors.

    Raises:
      UserError: it is broken, or nested too deeply.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the {what} {path} is not valid JSON ({error}).") from error


def read_yaml(path: str | os.PathLike, what: str = "file") -> Any:
    """Reads a YAML file without guessing: every scalar is the text that stands there.

    Other readers make False of `no` and `off`, 8 of `010` and 90 of `1:30`.

    Args:
      path: the file.
      what: the file should have been, for errors.

    Returns:
      dicts, lists and str.

    Raises:
      UserError: it is missing or broken, or has a key twice.
    """
    text = read_text(path, what)
    # The parser looks ahead from every bracket of a line, which takes for ever if there are many.
    if any(_depth(line) > _DEEPEST for line in text.splitlines()):
        raise UserError(f"the {what} {path} is not valid YAML (it is nested too deeply).")
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except (ValueError, TypeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the {what} {path} is not valid YAML ({reason}).") from error


def _depth(line: str) -> int:
    """The most brackets that are open at one place of a line."""
    depth = deepest = 0
    for character in line:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


class _PlainLoader(yaml.BaseLoader):
    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        key, count = next(iter(collections.Counter(keys).most_common(1)), ("", 0))
        if count > 1:
            problem = f"it has the key {key[:40]!r} twice"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)
