"""Photos without labels: a benchmark's test split, or a list of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import IMAGE_ENDINGS, read_image
from deeperlab_tf.files.large_json import LISTS, read_large_json
from deeperlab_tf.files.made import results_among
from deeperlab_tf.files.panoptic_json import image_key
from deeperlab_tf.work.names import kept_names, repeated_places
from deeperlab_tf.work.tables import text_of
from deeperlab_tf.work.values import Mapped, made_of
from input_pipeline.datasets.layout import (
    check_root,
    first_unique,
    read_list,
    unique_names,
    walk_files,
)
from input_pipeline.datasets.photos import find_photo

_CITYSCAPES_PHOTO = "_leftImg8bit"
_COCO_LISTS = ("annotations/image_info_{split}2017.json", "annotations/image_info_{split}.json")
_VISTAS_FOLDERS = {"test": "testing", "val": "validation", "train": "training"}


class Photos(Sequence):
    """Random access to photos: dicts of `image` uint8 [H, W, 3], `image_id` str and, where a JSON
    of COCO's lists them, `coco_id` int or str.

    Args:
      names: what each is called, as the servers of the benchmarks know it.
      paths: of the image files.
      ids: of each, what the JSON has as its id; () where there is none.

    Attributes:
      passed_over: how many pictures that lie among them are results of earlier parses.
    """

    passed_over = 0

    def __init__(self, names: Sequence[str], paths: Sequence[str], ids: Sequence[int | str] = ()):
        self.names, self.paths, self.ids = names, paths, ids

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = {"image": read_image(self.paths[index]), "image_id": self.names[index]}
        if self.ids:
            sample["coco_id"] = self.ids[index]
        return sample


def open_photos(config: ConfigDict, split: str, image_list: str = "") -> Photos:
    """The photos of a split, for which there need be no labels.

    Args:
      config: the full config; `data` says which dataset, and where; its root may be a photo.
      split: test, test-dev, ….
      image_list: a text file with one image a line, or a JSON with COCO's `images`; "": the usual
        place of the dataset, or all pictures in its folder.

    Raises:
      UserError: there are none, or one is missing.

    Example:
      photos = open_photos(config, "test-dev")
      predictor.predict_all(photos, batch_size=4)
    """
    root, dataset = config.data.root, config.data.dataset
    if storage.isfile(root):
        return _only(root, image_list)
    check_root(root)
    image_list = image_list or _usual_list(root, dataset, split)
    if image_list:
        photos = _listed(image_list, root, split)
    else:
        photos = _found(_folder(root, dataset, split))
    if not len(photos):
        results = photos.passed_over
        besides = f" besides {results} results of earlier parses" if results else ""
        raise UserError(
            f"there is no photo of split {split!r} in {root}{besides}; check config.data.root."
        )
    if dataset == "cityscapes":
        photos.names = first_unique(made_of(photos.names, _cityscapes_names))
    return photos


def _only(path, image_list):
    """A single photo, named by its path."""
    if image_list:
        raise UserError(
            f"{path} is one photo; give the folder of the photos that {image_list} lists."
        )
    name = storage.splitext(storage.basename(path))[0]
    return Photos([name], [path])


def _cityscapes_names(name):
    """What the server calls a photo; where two cities have that name, with the city."""
    plain = name.replace(_CITYSCAPES_PHOTO, "")
    return storage.basename(plain), plain, name


def _usual_list(root, dataset, split):
    """Path of the list that a benchmark's archive holds; "" if there is none."""
    names = ()
    if dataset == "coco":
        names = [name.format(split=split) for name in _COCO_LISTS]
    elif dataset == "voc":
        listed = f"ImageSets/Segmentation/{split}.txt"
        names = [storage.join(place, listed) for place in ("VOCdevkit/VOC2012", "VOC2012", ".")]
    paths = [storage.join(root, name) for name in names]
    return next((path for path in paths if storage.isfile(path)), "")


def _folder(root, dataset, split):
    """Where a split's photos lie without a list."""
    folders = [split, f"images/{split}", "images"]
    if dataset == "cityscapes":
        folders.insert(0, f"leftImg8bit/{split}")
    elif dataset == "vistas":
        folders.insert(0, f"{_VISTAS_FOLDERS.get(split, split)}/images")
    paths = [storage.join(root, folder) for folder in folders]
    return next((path for path in paths if storage.isdir(path)), root)


def _found(folder):
    pictures = kept_names(walk_files(folder, IMAGE_ENDINGS))
    is_ours = results_among(walk_files(folder, (".json",)))
    paths = kept_names(path for path in pictures if not is_ours(path))
    inside = Mapped(paths, lambda path: storage.relpath(path, folder))
    photos = Photos(unique_names(inside), paths)
    photos.passed_over = len(pictures) - len(paths)
    return photos


def _listed(path, root, split):
    """The photos that a list names, from the root, from the list or from their usual folder."""
    if path.lower().endswith(".json"):
        files, ids = _read_image_info(path)
    else:
        files, ids = read_list(path, "images"), ()
    if repeated := repeated_places(files):
        name = files[repeated[0]]
        count = sum(file == name for file in files)
        raise UserError(f"{path} names {name!r} {count} times; name each image once.")
    beside = storage.dirname(path) or "."
    voc = storage.normpath(storage.join(beside, "..", "..", "JPEGImages"))
    # COCO's test-dev are photos of test2017.
    of_split = [f"{name}{year}" for name in (split, split.split("-")[0]) for year in ("2017", "")]
    folders = [storage.join(root, name) for name in (".", *of_split, "images")] + [beside, voc]
    folders += [storage.join(root, "images", name) for name in of_split]
    folders = [folder for folder in folders if storage.isdir(folder)]
    paths = kept_names(find_photo(f, folders) or find_photo(f"{f}.*", folders) for f in files)
    lacking = sum(found is None for found in paths)
    if lacking:
        first = next(file for file, found in zip(files, paths) if found is None)
        raise UserError(
            f"{lacking} of the {len(files)} images of {path} are missing, such as {first!r}: "
            f"looked in {', '.join(folders)}."
        )
    has_endings = all(file.lower().endswith(IMAGE_ENDINGS) for file in files)
    return Photos(unique_names(files) if has_endings else files, paths, ids)


def _read_image_info(path):
    """File names of a JSON with COCO's `images`, and their ids; () where it has none."""
    content = read_large_json(path, "image list", ("images",))
    images = content.get("images") if isinstance(content, dict) else None
    given = images if isinstance(images, LISTS) else ()
    images = kept_names(image for image in given if isinstance(image, dict))
    files = made_of(images, lambda image: image.get("file_name"))
    if not files or not all(isinstance(file, str) for file in files):
        raise UserError(f"{path} has no images with file names; give COCO's image_info.")
    return files, _ids_of(images, path)


def _ids_of(images: Sequence[Mapping[str, Any]], path: str) -> Sequence[int | str]:
    """The ids of all images, all different; () where none has one."""
    ids = made_of(images, lambda image: image.get("id"))
    missing = sum(number is None for number in ids)
    if missing == len(ids):
        return ()
    if missing:
        raise UserError(
            f"{missing} of the {len(ids)} images of {path} have no id; give all images one, or "
            "none."
        )
    for image, number in zip(images, ids):
        if isinstance(number, bool) or not isinstance(number, (int, str)):
            file = image["file_name"]
            raise UserError(f"image {file!r} of {path} has no id; give all images one, or none.")
    if repeated := repeated_places(Mapped(ids, lambda number: text_of(image_key(number)))):
        one, other = (images[place]["file_name"] for place in repeated)
        number = ids[repeated[1]]
        raise UserError(
            f"{path} gives {one!r} and {other!r} the id {number!r}; give each image its own."
        )
    return ids
