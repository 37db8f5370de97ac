"""The JSON of COCO's formats: where it lies, its images, categories and annotations."""

from __future__ import annotations

import typing
from collections.abc import Sequence

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.large_json import LISTS, read_large_json
from deeperlab_tf.files.panoptic_json import image_key
from deeperlab_tf.work.names import kept_names, repeated_places
from deeperlab_tf.work.values import Mapped
from input_pipeline.datasets.values import shown, to_name, to_whole

# In whose files a photo is looked for before it is called stray.
SPLITS = ("train", "val", "test")
_SPLIT = "{split}"


class JsonFile(typing.NamedTuple):
    """Where a JSON is.

    Attributes:
      path: of the file.
      has_split: whether its name tells the split.
    """

    path: str
    has_split: bool


class CocoJson(typing.NamedTuple):
    """The checked content of a JSON; of a long one, images and annotations lie on the disk.

    Attributes:
      images: dicts with `id`, unique, and `file_name`.
      categories: dicts with `id`, an int and unique, and `name`.
      annotations: dicts with `image_id`.
      keys: of the images of the annotations.
      used: categories of the annotations.
      has_outlines: whether an annotation has a segmentation.
    """

    images: Sequence[dict]
    categories: list[dict]
    annotations: Sequence[dict]
    keys: Sequence[int | str]
    used: set[int | None]
    has_outlines: bool


Places = tuple[Sequence[str], Sequence[str]]  # with {split}, and without


def find_json(root: str, given: str, places: Places, splits: Sequence[str]) -> JsonFile:
    """The JSON of a split.

    Args:
      root: folder of the data.
      given: its path, from the root or from here, with {split} in it or not; "": one of `places`.
      places: where it usually is.
      splits: what the split may be called.

    Raises:
      UserError: there is none; says what was looked for.
    """
    with_split, without = places
    if given:
        with_split = [given] if _SPLIT in given else []
        without = [] if _SPLIT in given else [given]
    looked_for = [name.replace(_SPLIT, split) for name in with_split for split in splits]
    for name, has_split in [*((n, True) for n in looked_for), *((n, False) for n in without)]:
        for path in (storage.join(root, name), name) if given else (storage.join(root, name),):
            if storage.isfile(path):
                return JsonFile(path, has_split)
    raise UserError(
        f"there is no annotation file in {root}: looked for {', '.join([*looked_for, *without])}; "
        "check the split and config.data.root, or set config.data.classes to the file's name."
    )


def read_coco_json(path: str) -> CocoJson:
    """Reads and checks a JSON.

    Raises:
      UserError: it is not in COCO's format.
    """
    content = read_large_json(path, "annotation file", ("images", "annotations"))
    if not isinstance(content, dict):
        raise UserError(f"{path} is not in COCO's format: it is not an object.")
    images, categories = (_objects(content, key, path) for key in ("images", "categories"))
    annotations = _list(content, "annotations", path)
    seen = _Annotations(annotations, path)
    if not categories:
        raise UserError(f"{path} names no categories; add them, or export it again.")

    for image in images:
        if not isinstance(image.get("file_name"), str) or not image["file_name"]:
            raise UserError(f"{path} has an image without a file name: {shown(image)}; add it.")
        if not isinstance(image.get("id"), (int, str)):
            raise UserError(f"image {image['file_name']!r} in {path} has no id; give it one.")
    for category in categories:
        number, name = to_whole(category.get("id")), to_name(category.get("name"))
        if number is None or name is None:
            raise UserError(
                f"{path} has the category {shown(category)}; it needs a whole number as its id and "
                "a text as its name."
            )
        category.update(id=number, name=name)
    if seen.first_without_image is not None:
        given = shown(seen.first_without_image)
        raise UserError(f"{path} has an annotation without image_id: {given}.")

    _check_unique(Mapped(images, _id), "image id", path)
    _check_unique(Mapped(images, _file_name), "image", path)
    _check_unique(Mapped(categories, _id), "category", path)
    return CocoJson(images, categories, annotations, seen.keys, seen.used, seen.has_outlines)


class _Annotations:
    """What one look at all annotations tells: as of `CocoJson`, and the first without an image."""

    def __init__(self, annotations: Sequence[dict], path: str):
        self.used, self.has_outlines, self.first_without_image = set(), False, None
        self.keys = kept_names(self._look_at(annotation, path) for annotation in annotations)

    def _look_at(self, annotation: typing.Any, path: str) -> int | str | None:
        """Key of its image."""
        if not isinstance(annotation, dict):
            raise _not_objects("annotations", path)
        self.used.add(to_whole(annotation.get("category_id")))
        self.has_outlines = self.has_outlines or bool(annotation.get("segmentation"))
        image_id = annotation.get("image_id")
        if isinstance(image_id, (int, str)):
            return image_key(image_id)
        if self.first_without_image is None:
            self.first_without_image = annotation
        return None


def check_same_categories(
    root: str, given: str, places: Places, found: JsonFile, content: CocoJson
) -> None:
    """Fails if the JSON of `val` has other categories: numbers would change their meaning.

    Args:
      root, given, places: as of `find_json`.
      found, content: the JSON that was read.

    Raises:
      UserError: names both files.
    """
    if not found.has_split:
        return
    try:
        other = find_json(root, given, places, ("val", "valid", "validation"))
    except UserError:
        return
    if other.path == found.path or not other.has_split:
        return
    others = read_coco_json(other.path).categories
    if _named(others) != _named(content.categories):
        raise UserError(
            f"{found.path} and {other.path} have different categories; export both with the same."
        )


def _named(categories):
    return [(category["id"], category["name"]) for category in categories]


def _objects(content, key, path):
    value = _list(content, key, path)
    if not all(isinstance(entry, dict) for entry in value):
        raise _not_objects(key, path)
    return value


def _list(content, key, path):
    value = content.get(key, [])
    if not isinstance(value, LISTS):
        raise _not_objects(key, path)
    return value


def _not_objects(key, path):
    return UserError(f"{path} is not in COCO's format: {key!r} is not a list of objects.")


def _id(entry):
    return image_key(entry["id"])


def _file_name(image):
    return image["file_name"]


def _check_unique(values, what, path):
    if repeated := repeated_places(Mapped(values, str)):
        value = values[repeated[1]]
        raise UserError(f"{path} has the {what} {value!r} twice; keep one.")
