"""The JSON of the COCO panoptic format: its categories, its annotations, and what may be wrong.

See https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.large_json import LISTS, read_large_json
from deeperlab_tf.files.panoptic_png import ID_LIMIT
from deeperlab_tf.schema import Category, Dataset, distinct_colors


def read_content(json_path: str) -> dict:
    """The checked content of a panoptic JSON; its categories and images are not looked at.

    Raises:
      UserError: the file is missing or broken, or an annotation lacks what is read of it.
    """
    content = read_list(json_path)
    for annotation in content["annotations"]:
        _check_annotation(annotation, json_path)
    return content


def read_list(json_path: str) -> dict:
    """The content of a panoptic JSON, of which nothing is checked but that it lists annotations.

    Of a long one, annotations and images lie on the disk: see `read_large_json`.

    Raises:
      UserError: the file is missing or broken, or has no such list.
    """
    content = read_large_json(json_path, "panoptic JSON", ("images", "annotations"))
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), LISTS):
        raise UserError(f"{json_path} is not a COCO panoptic JSON: it has no list of annotations.")
    return content


def image_key(image_id: int | str) -> int | str:
    """The id of an image as COCO has it: a number, also where it is written as in the file's name
    ("000000142238").
    """
    text = str(image_id)
    return int(text) if text.isascii() and text.isdigit() else text


def to_json_categories(dataset: Dataset) -> list[dict]:
    """The `categories` list of a panoptic JSON."""
    return [
        dict(
            id=category.original_id,
            name=category.name,
            isthing=int(category.is_thing),
            color=list(category.color),
        )
        for category in dataset.categories
    ]


def to_dataset(categories: Any, json_path: str) -> Dataset:
    """The description of the classes in a panoptic JSON.

    Args:
      categories: the JSON's `categories`, not checked yet. Colours that are missing or broken are
        replaced.
      json_path: gives the dataset its name, and is named in errors.

    Raises:
      UserError: there are none, or one lacks a part; two have one id or one name.
    """
    check_categories(categories, ("id", "name", "isthing"), json_path)
    for entry in categories:
        if not isinstance(entry["id"], int):
            raise UserError(
                f"category {entry['name']!r} in {json_path} has an id that is not a whole number."
            )

    repeated = _first_repeated(entry["id"] for entry in categories)
    if repeated is not None:
        raise UserError(f"{json_path} has category {repeated} twice; give each its own id.")
    names = [str(entry["name"]) for entry in categories]
    return Dataset(name_of(json_path), to_categories(categories, names))


def check_categories(categories: Any, keys: Sequence[str], json_path: str) -> None:
    """Raises UserError unless `categories` is a list of objects that all have the `keys`."""
    if not isinstance(categories, list) or not categories:
        raise UserError(f"{json_path} names no categories; the truth's JSON needs them.")
    for category in categories:
        entry = category if isinstance(category, dict) else {}
        for key in keys:
            if key not in entry:
                raise UserError(f"a category in {json_path} lacks {key!r}.")


def to_categories(entries: Sequence[dict], names: Sequence[str]) -> tuple[Category, ...]:
    """The classes of a JSON's categories; colours that are missing or broken are replaced."""
    categories = []
    for entry, name, default in zip(entries, names, distinct_colors(len(entries))):
        color = entry.get("color")
        color = tuple(color) if _is_color(color) else default
        categories.append(Category(name, entry["isthing"] == 1, color, entry["id"]))
    return tuple(categories)


def name_of(json_path: str) -> str:
    """What a dataset is called whose JSON this is."""
    return storage.splitext(storage.basename(json_path))[0]


def _is_color(value):
    if not isinstance(value, list) or len(value) != 3:
        return False
    return all(isinstance(channel, int) and 0 <= channel <= 255 for channel in value)


def _check_annotation(annotation, json_path):
    """UserError unless all that is read of an image's annotation is there and of the right type."""
    if not isinstance(annotation, dict):
        raise UserError(
            f"{json_path} has an annotation that is not an object of image_id, file_name and "
            "segments_info."
        )
    for key in ("image_id", "file_name", "segments_info"):
        if key not in annotation:
            raise UserError(f"an annotation in {json_path} lacks {key!r}.")

    where = f"image {annotation['image_id']} in {json_path}"
    file_name, segments = annotation["file_name"], annotation["segments_info"]
    if not isinstance(file_name, str) or not isinstance(segments, list):
        raise UserError(f"{where} needs a file name and a list of segments.")
    for segment in segments:
        _check_segment(segment, where)


def _check_segment(segment, where):
    entry = segment if isinstance(segment, dict) else {}
    number, category = entry.get("id"), entry.get("category_id")
    if not isinstance(number, int) or not isinstance(category, int):
        raise UserError(
            f"{where} has a segment whose id and category_id are not both whole numbers."
        )
    if not 0 <= number < ID_LIMIT:
        raise UserError(f"{where} has segment {number}; the PNG can hold ids below {ID_LIMIT}.")


def _first_repeated(values):
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
