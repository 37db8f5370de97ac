"""JSON of any length, of whose top-level lists one value at a time is held; the others lie on the
disk.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import read_json
from deeperlab_tf.files.text import blocks_of, naming, parse_json
from deeperlab_tf.work.values import ValueList

HELD = 2**25  # bytes of a file that is read as one: 5,000 photos of COCO's
LISTS = (list, ValueList)  # what a list of the JSON may be
_READ = 2**20  # characters that are looked at together; more where one value has more
_AHEAD = 16  # characters behind a value that show that it ends there, even if it is a number
_SPACE = re.compile(r"[ \t\n\r]*")


def read_large_json(path: str | os.PathLike, what: str, lists: Collection[str]) -> Any:
    """As `atomic.read_json`, of a file of any length.

    Args:
      path: the file.
      what: the file should have been, for errors.
      lists: keys of the top-level object whose lists may be long.

    Returns:
      the value; of a long file, those lists are `ValueList`s.

    Raises:
      UserError: it is missing or broken.

    Example:
      content = read_large_json("panoptic_train2017.json", "panoptic JSON", ("annotations",))
    """
    found = storage.facts(path)
    if found is None or found.is_folder or found.size <= HELD:
        return read_json(path, what)
    with naming(path, what), storage.open_large(path) as file:
        blocks = blocks_of(file)
        text = _Text(blocks)
        if text.character() != "{":
            return parse_json(text.rest(), path, what)
        try:
            return _object(text, lists)
        except UnicodeError:
            raise
        except (ValueError, RecursionError) as error:
            reason = str(error)
            for _ in blocks:
                pass  # what is no text at all is told first
        raise UserError(f"the {what} {path} is not valid JSON ({reason}).")


def _object(text: _Text, lists: Collection[str]) -> dict[str, Any]:
    """The object that the whole text is."""
    content = {}
    for before in text.items("}", "{", '{"":0'):
        if text.character() != '"':
            text.fail(before)
        key = text.value()
        if text.character() != ":":
            text.fail('{""')
        text.step()
        is_long = text.character() == "[" and key in lists
        content[key] = ValueList(text.elements()) if is_long else text.value()
    if text.character():
        text.fail("{}")
    return content


class _Text:
    """A place in a text of which a part is held.

    What is wrong is said as `json.loads` says it of the whole.

    Args:
      blocks: of the text, one after the other.
    """

    def __init__(self, blocks: Iterable[str]):
        self._blocks, self._decode = iter(blocks), json.JSONDecoder().raw_decode
        self._held, self._place = "", 0
        # What has been let go of: characters, lines, and where the last line feed was.
        self._before, self._lines, self._feed = 0, 0, -1

    def character(self, after: int = 0) -> str:
        """The first one, from so many after the place on, that is no space; "": none is left."""
        while True:
            place = _SPACE.match(self._held, self._place + after).end()
            if place < len(self._held):
                return self._held[place]
            if not self._read_on():
                return ""

    def step(self) -> None:
        """Goes behind the next character that is no space."""
        self._to_character()
        self._place += 1

    def value(self) -> Any:
        """The value that begins here; afterwards the place is behind it."""
        value, self._place = self._value()
        return value

    def elements(self) -> Iterator[str]:
        """The JSON of each value of the list that begins here."""
        for _ in self.items("]", "[", "[0"):
            _, end = self._value()
            start, self._place = self._place, end
            yield self._held[start:end]

    def items(self, end: str, empty: str, filled: str) -> Iterator[str]:
        """Goes to each item of the object or list that begins here, and in the end behind it; the
        items are read by the caller.

        Args:
          end: its bracket.
          empty, filled: how one begins that has no item yet, and one that has.

        Yields:
          how one begins that is as far as this, for `fail`.
        """
        self.step()
        if self.character() != end:
            yield empty
            while (character := self.character()) != end:
                self._to_character()
                if character != "," or self.character(after=1) == end:
                    self.fail(filled)
                self.step()
                yield filled + ","
        self.step()

    def rest(self) -> str:
        """All of a text of which nothing has been let go of yet."""
        return "".join([self._held, *self._blocks])

    def fail(self, before: str) -> None:
        """Says what is wrong here, in a text that begins as `before`."""
        self._to_character()
        try:
            json.loads(before + self._held[self._place :])
        except json.JSONDecodeError as error:
            raise self._told(error, self._place - len(before)) from error

    def _to_character(self) -> None:
        self.character()  # so that it is held
        self._place = _SPACE.match(self._held, self._place).end()

    def _value(self) -> tuple[Any, int]:
        """The value that begins here, and where it ends."""
        self._to_character()
        while True:
            try:
                value, end = self._decode(self._held, self._place)
            except json.JSONDecodeError as error:
                if not self._may_be_cut(error) or not self._read_on():
                    raise self._told(error) from error
            else:
                if end + _AHEAD <= len(self._held) or not self._read_on():
                    return value, end

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether more of the text may mend it."""
        return "Unterminated" in error.msg or error.pos + _AHEAD > len(self._held)

    def _read_on(self) -> bool:
        """Lets go of what is before the place, and reads more; False: there is no more."""
        block = next(self._blocks, "")
        if not block:
            return False
        gone, kept = self._held[: self._place], self._held[self._place :]
        if "\n" in gone:
            self._feed = self._before + gone.rindex("\n")
            self._lines += gone.count("\n")
        self._before += len(gone)
        # As much as is there, so that a long value is not looked at again and again.
        pieces, wanted = [kept], max(_READ, len(kept))
        while block:
            pieces.append(block)
            wanted -= len(block)
            block = next(self._blocks, "") if wanted > 0 else ""
        self._held, self._place = "".join(pieces), 0
        return True

    def _told(self, error: json.JSONDecodeError, start: int = 0) -> ValueError:
        """An error in the text that begins at `start` of what is held, as one in the whole."""
        place = error.pos + start
        place_in_all = self._before + place
        line = 1 + self._lines + self._held.count("\n", 0, place)
        feed = self._held.rfind("\n", 0, place)
        column = place - feed if feed >= 0 else place_in_all - self._feed
        return ValueError(f"{error.msg}: line {line} column {column} (char {place_in_all})")
