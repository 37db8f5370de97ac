"""The YAML or JSON file that describes a folder of images and masks; see folder.py for its format.

Whatever is wrong in it is named, with the key and what to write instead.
"""

from __future__ import annotations

import json
import os
import typing

import yaml

from deeperlab_tf.errors import UserError
from deeperlab_tf.schema import IGNORE_LABEL, Category, Dataset, distinct_colors

KINDS = ("images", "semantic", "instances")
DEFAULT_EVERY_NTH = 10

_DEFAULT_NAMES = ("classes.yaml", "classes.yml", "classes.json")
_KEYS = {"name", *KINDS, "classes", "ignore", "split"}
_CLASS_KEYS = {"name", "type", "color", "id"}


class Description(typing.NamedTuple):
    """What is in a folder.

    Attributes:
      dataset: the classes.
      patterns: from each of `KINDS` that there is to its file name, which has one `{id}`.
      ignored_ids: ids of the semantic mask that do not count.
      every_nth: every n-th image is `val`, all others `train`; 0: `lists` says.
      lists: from a split to its file of names.
    """

    dataset: Dataset
    patterns: dict[str, str]
    ignored_ids: list[int]
    every_nth: int
    lists: dict[str, str]


def find_description(root: str) -> str:
    """Path of the description in a folder; UserError if there is none."""
    for name in _DEFAULT_NAMES:
        path = os.path.join(root, name)
        if os.path.isfile(path):
            return path
    raise UserError(
        f"there is no classes.yaml or classes.json in {root}; write one or set config.data.classes."
    )


def read_description(path: str, root: str) -> Description:
    """Reads and checks a description.

    Args:
      path: of the YAML or JSON file.
      root: folder of the data, which gives the dataset its name where the file does not.

    Raises:
      UserError: the file cannot be read, or a key is missing, unknown or without a meaning.
    """
    content = _load(path)
    try:
        ignored_ids = _ignored_ids(content)
        name = content.get("name") or os.path.basename(os.path.abspath(root))
        dataset = Dataset(str(name), _classes(content, ignored_ids))
        patterns = _patterns(content, dataset)
        every_nth, lists = _split_rule(content)
    except _Faulty as error:
        raise UserError(f"{path}: {error}") from error
    return Description(dataset, patterns, ignored_ids, every_nth, lists)


class _Faulty(Exception):
    """What is wrong, in a sentence that does not yet name the file."""


def _load(path: str) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file) if path.endswith(".json") else yaml.safe_load(file)
    except OSError as error:
        raise UserError(f"cannot read the dataset description {path}: {error.strerror}.") from error
    except (ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not valid YAML or JSON ({reason}).") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must map keys such as 'images' and 'classes' to values.")
    unknown = sorted(str(key) for key in set(content) - _KEYS)
    if unknown:
        known = ", ".join(sorted(_KEYS))
        raise UserError(f"{path} has the unknown key {unknown[0]!r}; known keys are {known}.")
    return content


# === Classes ===


def _classes(content: dict, ignored_ids: list[int]) -> tuple[Category, ...]:
    entries = content.get("classes")
    if not isinstance(entries, list) or not entries:
        raise _Faulty(
            "'classes' must be a list such as "
            "[{name: road, type: stuff}, {name: car, type: thing}]."
        )
    categories = []
    for place, color in enumerate(distinct_colors(len(entries))):
        categories.append(_class(entries[place], place, color))

    ids = [category.original_id for category in categories]
    repeated = {i for i in ids if ids.count(i) > 1}
    ambiguous = repeated | set(ids).intersection(ignored_ids)
    if ambiguous:
        raise _Faulty(
            f"the id {min(ambiguous)} has two meanings; "
            "give each class its own and keep it out of 'ignore'."
        )
    return tuple(categories)


def _class(entry: typing.Any, place: int, default_color: tuple[int, int, int]) -> Category:
    """The class that stands at a place of the list."""
    described = isinstance(entry, dict) and "name" in entry
    if not described or entry.get("type") not in ("thing", "stuff"):
        raise _Faulty(
            f"class number {place} is {entry!r}; write it as {{name: …, type: thing or stuff}}."
        )
    name = entry["name"]
    unknown = sorted(set(entry) - _CLASS_KEYS)
    if unknown:
        known = sorted(_CLASS_KEYS)
        raise _Faulty(f"class {name!r} has the unknown key {unknown[0]!r}; known: {known}.")
    color = entry.get("color", default_color)
    if not _is_color(color):
        raise _Faulty(
            f"class {name!r} has the color {color!r}; give [red, green, blue], each 0-255."
        )
    original_id = entry.get("id", place)
    if not _is_id(original_id):
        raise _Faulty(
            f"class {name!r} has the id {original_id!r}; give a whole number, at least 0."
        )
    return Category(str(name), entry["type"] == "thing", tuple(color), original_id)


def _ignored_ids(content: dict) -> list[int]:
    ids = content.get("ignore", [IGNORE_LABEL])
    if not isinstance(ids, list) or not all(_is_id(item) for item in ids):
        raise _Faulty(f"'ignore' is {ids!r}; give a list of ids such as [255].")
    return ids


# === Files ===


def _patterns(content: dict, dataset: Dataset) -> dict[str, str]:
    patterns = {kind: content[kind] for kind in KINDS if kind in content}
    for kind, pattern in patterns.items():
        if not _has_one_id(pattern):
            raise _Faulty(
                f"{kind!r} is {pattern!r}; "
                "give a file name with one {id} such as images/{id}.jpg."
            )
    if "images" not in patterns:
        raise _Faulty("'images' is missing; say where the images are, such as images/{id}.jpg.")
    # One kind of mask says enough where it leaves no choice.
    things, stuff = len(dataset.thing_classes), len(dataset.stuff_classes)
    if "semantic" not in patterns and (things, stuff) != (1, 1):
        raise _Faulty(
            "'semantic' is missing; without such masks there must be one stuff and one thing "
            f"class, not {stuff} and {things}."
        )
    if "instances" not in patterns and things:
        raise _Faulty(
            "'instances' is missing but there are thing classes; say where the instance masks are."
        )
    return patterns


def _split_rule(content: dict) -> tuple[int, dict[str, str]]:
    """`every_nth` and `lists` of the `Description`."""
    rule = content.get("split", {"every_nth": DEFAULT_EVERY_NTH})
    if not isinstance(rule, dict):
        raise _Faulty(
            f"'split' is {rule!r}; give {{every_nth: 5}} or {{train: train.txt, val: val.txt}}."
        )
    if "every_nth" not in rule:
        return 0, rule
    nth = rule["every_nth"]
    if not _is_id(nth) or nth < 2:
        raise _Faulty(f"'every_nth' is {nth!r}; give a whole number, at least 2.")
    return nth, {}


def _has_one_id(pattern: typing.Any) -> bool:
    if not isinstance(pattern, str) or pattern.count("{id}") != 1:
        return False
    return "{id}" in os.path.basename(pattern)


def _is_color(value: typing.Any) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        return False
    return all(_is_id(channel) and channel < 256 for channel in value)


def _is_id(value: typing.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
