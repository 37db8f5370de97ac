"""The YAML or JSON file that describes a folder of images and masks; see folder.py for its format.

Whatever is wrong in it is named, with the key and what to write instead.
"""

from __future__ import annotations

import typing

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import read_json
from deeperlab_tf.files.text import read_yaml
from deeperlab_tf.schema import Dataset
from input_pipeline.datasets.folder_classes import read_classes
from input_pipeline.datasets.layout import ANY_ENDING
from input_pipeline.datasets.masks import CHANNELS
from input_pipeline.datasets.values import FaultyValue, shown, to_whole

MASKS = ("semantic", "instances")
KINDS = ("images", *MASKS)
DEFAULT_EVERY_NTH = 10

_DEFAULT_NAMES = ("classes.yaml", "classes.yml", "classes.json")
_ENCODINGS = tuple(f"{kind}_in" for kind in MASKS)
_KEYS = {"name", *KINDS, *_ENCODINGS, "classes", "stuff", "ignore", "split"}
_GREY, _COLORS = "grey", "colors"


class Description(typing.NamedTuple):
    """What is in a folder.

    Attributes:
      dataset: the classes.
      patterns: from each of `KINDS` that there is to its file name, which has one `{id}`.
      channels: from each of `MASKS` to the channels that hold its numbers; (): it is grey.
      label_of_id: the class of each number of the semantic mask.
      ignored_ids: numbers of the semantic mask that do not count.
      every_nth: every n-th image is `val`, all others `train`; 0: `lists` says.
      lists: from a split to its file of names.
    """

    dataset: Dataset
    patterns: dict[str, str]
    channels: dict[str, tuple[int, ...]]
    label_of_id: dict[int, int]
    ignored_ids: set[int]
    every_nth: int
    lists: dict[str, str]


def find_description(root: str) -> str:
    """Path of the description in a folder; UserError if there is none."""
    for name in _DEFAULT_NAMES:
        path = storage.join(root, name)
        if storage.isfile(path):
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
        channels = {kind: _channels(content, f"{kind}_in") for kind in MASKS}
        classes = read_classes(content, root, channels["semantic"])
        name = content.get("name") or storage.basename(storage.abspath(root))
        dataset = Dataset(str(name), classes.categories)
        patterns = _patterns(content, dataset)
        every_nth, lists = _split_rule(content)
    except FaultyValue as error:
        raise UserError(f"{path}: {error}") from error
    labels, ignored = classes.label_of_id, classes.ignored_ids
    return Description(dataset, patterns, channels, labels, ignored, every_nth, lists)


def _load(path: str) -> dict:
    what = "dataset description"
    content = read_json(path, what) if path.lower().endswith(".json") else read_yaml(path, what)
    if not isinstance(content, dict):
        raise UserError(f"{path} must map keys such as 'images' and 'classes' to values.")
    unknown = sorted(str(key) for key in set(content) - _KEYS)
    if unknown:
        known = ", ".join(sorted(_KEYS))
        raise UserError(f"{path} has the unknown key {unknown[0]!r}; known keys are {known}.")
    return content


# === Files ===


def _patterns(content: dict, dataset: Dataset) -> dict[str, str]:
    patterns = {kind: content[kind] for kind in KINDS if kind in content}
    for kind, pattern in patterns.items():
        if not _has_one_id(pattern):
            raise FaultyValue(
                f"{kind!r} is {shown(pattern)}; "
                "give a file name with one {id} such as images/{id}.jpg."
            )
    if "images" not in patterns:
        raise FaultyValue("'images' is missing; say where the images are, such as images/{id}.jpg.")
    # One kind of mask says enough where it leaves no choice.
    things, stuff = len(dataset.thing_classes), len(dataset.stuff_classes)
    if "semantic" not in patterns and (things, stuff) != (1, 1):
        raise FaultyValue(
            "'semantic' is missing; without such masks there must be one stuff and one thing "
            f"class, not {stuff} and {things}."
        )
    if "instances" not in patterns and things:
        raise FaultyValue(
            "'instances' is missing but there are thing classes; say where the instance masks are."
        )
    return patterns


def _has_one_id(pattern: typing.Any) -> bool:
    if not isinstance(pattern, str) or pattern.count("{id}") != 1 or "\0" in pattern:
        return False
    name = storage.basename(pattern)
    return "{id}" in name and (not name.endswith(ANY_ENDING) or name.count("*") == 1)


def _channels(content: dict, key: str) -> tuple[int, ...]:
    """Which of red, green and blue hold the numbers of a mask; () for a grey one."""
    value = content.get(key, _GREY)
    if value == _GREY:
        return ()
    if value == _COLORS:
        return tuple(range(len(CHANNELS)))
    names = value.split("+") if isinstance(value, str) else []
    names = [name.strip() for name in names]
    if not names or not set(names) <= set(CHANNELS) or len(set(names)) < len(names):
        raise FaultyValue(
            f"{key!r} is {shown(value)}; give grey, colors, or the channels that hold the numbers, "
            "such as red or green+blue."
        )
    return tuple(CHANNELS.index(name) for name in names)


def _split_rule(content: dict) -> tuple[int, dict[str, str]]:
    """`every_nth` and `lists` of the `Description`."""
    rule = content.get("split", {"every_nth": DEFAULT_EVERY_NTH})
    if not isinstance(rule, dict):
        raise FaultyValue(
            f"'split' is {shown(rule)}; give {{every_nth: 5}} or "
            "{train: train.txt, val: val.txt}."
        )
    if "every_nth" not in rule:
        return 0, rule
    nth = to_whole(rule["every_nth"])
    if nth is None or nth < 2:
        raise FaultyValue(
            f"'every_nth' is {shown(rule['every_nth'])}; give a whole number, at least 2."
        )
    return nth, {}
