"""The classes of a folder dataset: a list in its description, or a table of colours in CVAT's
`labelmap.txt`.
"""

from __future__ import annotations

import re
import typing

from deeperlab_tf.files import storage
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.files.text import read_text
from deeperlab_tf.schema import IGNORE_LABEL, Category, distinct_colors
from input_pipeline.datasets.masks import CHANNELS, pack_color
from input_pipeline.datasets.values import FaultyValue, shown, to_color, to_name, to_whole

_CLASS_KEYS = {"name", "type", "color", "id"}
_BACKGROUND = "background"  # what is stuff in a table unless the description says otherwise
_TABLE_LINE = re.compile(r"(?P<name>.*?)\s*:\s*(?P<color>\d+\s*,\s*\d+\s*,\s*\d+)\s*(?::.*)?")


class Classes(typing.NamedTuple):
    """What the numbers of a semantic mask mean.

    Attributes:
      categories: the classes.
      label_of_id: the class of each number.
      ignored_ids: numbers that do not count.
    """

    categories: tuple[Category, ...]
    label_of_id: dict[int, int]
    ignored_ids: set[int]


class _Entry(typing.NamedTuple):
    """A class, and whether its colour was given."""

    category: Category
    has_color: bool


def read_classes(content: dict, root: str, channels: tuple[int, ...]) -> Classes:
    """The classes that a description names.

    Args:
      content: the description.
      root: folder of the data.
      channels: of the semantic mask, as of `read_numbers`; all three: a class is its colour.

    Raises:
      FaultyValue: a class, or what is ignored, has no meaning.
      UserError: the table cannot be read.
    """
    by_color = len(channels) == len(CHANNELS)
    entries = _entries(content, root)
    names = [entry.category.name for entry in entries]
    ignored_names, ignored_ids = _ignored(content, names, by_color)
    ignored_ids |= {_number(e, by_color) for e in entries if e.category.name in ignored_names}

    kept = [entry for entry in entries if entry.category.name not in ignored_names]
    numbers = [_number(entry, by_color) for entry in kept]
    ambiguous = {n for n in numbers if numbers.count(n) > 1} | ignored_ids.intersection(numbers)
    if ambiguous:
        what = "colour" if by_color else "id"
        raise FaultyValue(
            f"the {what} {_shown_number(min(ambiguous), by_color)} has two meanings; "
            "give each class its own and keep it out of 'ignore'."
        )
    label_of_id = {number: label for label, number in enumerate(numbers)}
    return Classes(tuple(entry.category for entry in kept), label_of_id, ignored_ids)


def _entries(content: dict, root: str) -> list[_Entry]:
    value = content.get("classes")
    if isinstance(value, str) and value:
        return _from_table(value, content, root)
    if not isinstance(value, list) or not value:
        raise FaultyValue(
            "'classes' must be a list such as "
            "[{name: road, type: stuff}, {name: car, type: thing}], or a file such as labelmap.txt."
        )
    if "stuff" in content:
        raise FaultyValue("'stuff' is for classes from a table; give each class its type instead.")
    colors = distinct_colors(len(value))
    return [_class(entry, place, colors[place]) for place, entry in enumerate(value)]


def _class(entry: typing.Any, place: int, default_color: tuple[int, int, int]) -> _Entry:
    """The class that stands at a place of the list."""
    described = isinstance(entry, dict) and "name" in entry
    if not described or entry.get("type") not in ("thing", "stuff"):
        raise FaultyValue(
            f"class number {place} is {shown(entry)}; "
            "write it as {name: …, type: thing or stuff}."
        )
    name = to_name(entry["name"])
    if name is None:
        raise FaultyValue(f"class number {place} has the name {shown(entry['name'])}; give a text.")
    unknown = sorted(str(key) for key in set(entry) - _CLASS_KEYS)
    if unknown:
        known = sorted(_CLASS_KEYS)
        raise FaultyValue(f"class {name!r} has the unknown key {unknown[0]!r}; known: {known}.")
    color = to_color(entry.get("color", default_color))
    if color is None:
        raise FaultyValue(
            f"class {name!r} has the color {shown(entry['color'])}; "
            "give [red, green, blue], each 0-255."
        )
    original_id = to_whole(entry.get("id", place))
    if original_id is None:
        raise FaultyValue(
            f"class {name!r} has the id {shown(entry['id'])}; "
            "give a whole number, at least 0 and without zeros before it."
        )
    category = Category(name, entry["type"] == "thing", color, original_id)
    return _Entry(category, "color" in entry)


# === CVAT's table ===


def _from_table(file_name: str, content: dict, root: str) -> list[_Entry]:
    """A class per line `name:red,green,blue:parts:actions`; lines with # are comments."""
    path = path_inside(root, file_name)
    lines = read_text(path, "table of classes").splitlines()
    rows = []
    for line in (line.strip() for line in lines):
        if not line or line.startswith("#"):
            continue
        match = _TABLE_LINE.fullmatch(line)
        color = to_color([part.strip() for part in match["color"].split(",")]) if match else None
        if color is None or not match["name"]:
            where = storage.basename(path)
            raise FaultyValue(f"{where} has the line {shown(line)}; write name:red,green,blue::.")
        rows.append((match["name"], color))
    if not rows:
        raise FaultyValue(f"{storage.basename(path)} has no line name:red,green,blue::; add some.")

    stuff = _stuff_names(content, [name for name, _ in rows])
    return [
        _Entry(Category(name, name not in stuff, color, place), True)
        for place, (name, color) in enumerate(rows)
    ]


def _stuff_names(content: dict, names: list[str]) -> set[str]:
    if "instances" not in content and "stuff" not in content:
        return set(names)
    value = content.get("stuff", [name for name in names if name.lower() == _BACKGROUND])
    stuff = [to_name(name) for name in value] if isinstance(value, list) else [None]
    strange = [name for name in stuff if name not in names]
    if strange:
        raise FaultyValue(f"'stuff' is {shown(value)}; give a list of names from the table.")
    return set(stuff)


# === What does not count ===


def _ignored(content: dict, names: list[str], by_color: bool) -> tuple[set[str], set[int]]:
    """Names of classes, and numbers, that `ignore` lists."""
    default = [] if by_color else [IGNORE_LABEL]
    value = content.get("ignore", default)
    if not isinstance(value, list):
        raise FaultyValue(f"'ignore' is {shown(value)}; give a list of ids such as [255].")
    found_names, numbers = set(), set()
    for item in value:
        color = to_color(item) if by_color else None
        number = pack_color(color) if color else None if by_color else to_whole(item)
        if number is not None:
            numbers.add(number)
        elif to_name(item) in names:
            found_names.add(to_name(item))
        else:
            wanted = "colours such as [0, 0, 0]" if by_color else "ids such as [255]"
            raise FaultyValue(
                f"'ignore' holds {shown(item)}; give a list of {wanted}, or of classes' names."
            )
    return found_names, numbers


def _number(entry: _Entry, by_color: bool) -> int:
    """The number that stands for a class in the semantic mask."""
    if not by_color:
        return entry.category.original_id
    if not entry.has_color:
        raise FaultyValue(
            f"class {entry.category.name!r} lacks its color, by which the masks know it; add it."
        )
    return pack_color(entry.category.color)


def _shown_number(number: int, by_color: bool) -> str:
    if not by_color:
        return str(number)
    return f"{number & 255}, {number >> 8 & 255}, {number >> 16}"
