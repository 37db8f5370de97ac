"""COCO's panoptic format: a PNG of segment ids for each photo, and one JSON a split.

    annotations/panoptic_{train,val}2017.json
    annotations/panoptic_{train,val}2017/*.png     (unpacked from the zip beside the JSON)
    {train,val}2017/*.jpg

Kirillov et al., Panoptic Segmentation, 2018; https://cocodataset.org/#format-data. Without the year
works too, and so does `images/{split}` for the photos. Another place of the JSON is given as
config.data.classes, {split} in it standing for the split; the PNGs lie in a folder of its name.

The classes are the JSON's `categories`; where these are COCO's 133, or there are none, COCO's.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.large_json import LISTS
from deeperlab_tf.files.panoptic_json import image_key, read_content, read_list
from deeperlab_tf.files.panoptic_png import VOID, read_ids
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.schema import IGNORE_LABEL, Dataset
from deeperlab_tf.work.names import NameSet, kept_names, sorted_names
from deeperlab_tf.work.tables import by_key, text_of
from deeperlab_tf.work.values import Mapped, Picked
from input_pipeline.datasets import Problem, Sample, Source
from input_pipeline.datasets.coco_classes import DATASET, read_classes
from input_pipeline.datasets.coco_json import SPLITS, find_json
from input_pipeline.datasets.labels import check_size, labels_by_id
from input_pipeline.datasets.layout import check_root, unique_names, walk_files
from input_pipeline.datasets.orientation import orientation_problems
from input_pipeline.datasets.photos import (
    PhotoFinder,
    check_photos_once,
    find_photo,
    unnamed_photos,
)

__all__ = ["DATASET", "CocoPanoptic", "labels_of_segments", "open_split"]

DISAGREE = "segments of which PNG and JSON tell different things"

_SPLIT_NAMES = {"val": ("val", "validation", "valid")}
_PLACES = (
    (
        "annotations/panoptic_{split}2017.json",
        "annotations/panoptic_{split}.json",
        "panoptic_{split}.json",
    ),
    (),
)


def open_split(config: ConfigDict, split: str) -> CocoPanoptic:
    """The `CocoPanoptic` that `config.data` describes."""
    return CocoPanoptic(config.data.root, split, config.data.classes)


class CocoPanoptic(Source):
    """Source of a split: train | val.

    Args:
      root: folder of the data.
      split: see above.
      json_path: of the JSON, with {split} in it or not; "": one of the usual places.

    Attributes:
      annotations: those of the JSON, in the order of their file names.

    Raises:
      UserError: a file is missing, or the JSON is not in COCO's panoptic format.
    """

    def __init__(self, root: str | os.PathLike, split: str, json_path: str = ""):
        check_root(root)
        names = _SPLIT_NAMES.get(split, (split,))
        root = os.fspath(root)
        self._root, self._given = root, json_path
        self._json = find_json(root, json_path, _PLACES, names).path
        content = read_content(self._json)
        self.dataset = read_classes(content, self._json, root)
        self._label_of_id = labels_by_id(self.dataset)
        self._masks = _folder_of_pngs(self._json)

        self._file_names = _photo_names(content, self._json)
        self._list_photos(content["annotations"], names)

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, index: int) -> Sample:
        image_path, mask_path = self.paths(index)
        image = read_image(image_path)
        ids = read_ids(mask_path)
        check_size(ids, mask_path, image.shape, image_path)

        segments = self.annotations[index]["segments_info"]
        labels = labels_of_segments(ids, segments, mask_path, self.dataset)
        semantic, instance, crowd = labels
        sample = {
            "image": image,
            "semantic": semantic,
            "instance": instance,
            "crowd": crowd,
            "image_id": self._names[index],
            "coco_id": self._entries[index].image_id,
        }
        crowds = [segment for segment in segments if segment.get("iscrowd", 0)]
        if len(crowds) > len({segment["category_id"] for segment in crowds}):
            # COCO's evaluator tells them apart.
            sample["crowd_regions"] = np.zeros_like(instance)
            for number, segment in enumerate(crowds, start=1):
                sample["crowd_regions"][ids == segment["id"]] = number
        return sample

    def paths(self, index: int) -> tuple[str, str]:
        """Paths of the photo and of the panoptic PNG.

        Raises:
          UserError: the image is not described, or a name leaves the dataset's folder.
        """
        entry = self._entries[index]
        if entry.photo is None:
            raise UserError(
                f"{self._json} annotates image {entry.image_id}, which is not among its images; "
                "restore the file."
            )
        return entry.photo, path_inside(self._masks, entry.png)

    def shared_files(self) -> tuple[str, ...]:
        """Path of the JSON."""
        return (self._json,)

    def incomplete(self) -> dict[int, str]:
        """Annotations whose photo or PNG is missing."""
        found = {}
        for index, entry in enumerate(self._entries):
            if entry.photo is None:
                continue  # which reading tells
            png = path_inside(self._masks, entry.png)
            for what, path in (("photo", entry.photo), ("panoptic PNG", png)):
                if not storage.isfile(path):
                    name = self._names[index]
                    found[index] = f"image {name!r} has no {what}: {path} does not exist"
                    break
        return found

    def unlabelled(self) -> list[str]:
        """Sentences about images of the JSON that have no annotation, PNGs that it does not name,
        and photos that no JSON names; they are not samples.
        """
        annotated = NameSet(text_of(image_key(entry.image_id)) for entry in self._entries)
        images = self._file_names.values()
        missing = sorted(name for number, name in images if text_of(number) not in annotated)
        sentences = [f"image {name!r} of {self._json} has no annotation" for name in missing]
        # Beside the JSON there may be other splits' PNGs, too.
        if self._masks == storage.splitext(self._json)[0]:
            pngs = NameSet(path_inside(self._masks, entry.png) for entry in self._entries)
            found = map(storage.abspath, walk_files(self._masks, (".png",)))
            strays = sorted(path for path in found if path not in pngs)
            sentences += [f"panoptic PNG {path} is not in {self._json}" for path in strays]
        photos = Mapped(self._entries, lambda entry: entry.photo or "")
        return sentences + unnamed_photos(photos, self._other_photos, self._masks)

    def problems(self, index: int) -> list[Problem]:
        """Segments of which PNG and JSON tell different things; photos that are turned."""
        photo, mask_path = self.paths(index)
        ids, areas = np.unique(read_ids(mask_path), return_counts=True)
        area_of_id = dict(zip(ids.tolist(), areas.tolist()))
        texts = []
        for segment in self.annotations[index]["segments_info"]:
            segment_id = segment["id"]
            area = area_of_id.get(segment_id, 0)
            described = segment.get("area", area)
            if not area:
                texts.append(f"segment {segment_id} of the JSON is not in {mask_path}")
            elif area != described:
                texts.append(
                    f"segment {segment_id} of {mask_path} has {area} pixels, not {described}"
                )
        found = [Problem(DISAGREE, text) for text in texts]
        return found + orientation_problems(self._names[index], photo)

    def _other_photos(self) -> Iterator[str]:
        """Paths of the photos that are in a JSON without an annotation, or in other splits."""
        for split in SPLITS:
            names = _SPLIT_NAMES.get(split, (split,))
            with contextlib.suppress(UserError):  # a split that is broken is told when it is opened
                path = find_json(self._root, self._given, _PLACES, names).path
                folders = _photo_folders(self._root, path, names)
                for _, file in _photo_names(read_list(path), path).values():
                    yield find_photo(file, folders) or ""

    def _list_photos(self, annotations: Sequence[dict], names: tuple[str, ...]) -> None:
        """Sets what is known of each sample, and what it is called."""
        lines = sorted_names(
            [annotation["file_name"], place, annotation["image_id"]]
            for place, annotation in enumerate(annotations)
        )
        places = np.fromiter((place for _, place, _ in lines), np.uint32, len(lines))
        self.annotations = Picked(annotations, places)
        neighbours = zip(lines, itertools.islice(lines, 1, None))
        if twice := next((one for (one, *_), (two, *_) in neighbours if one == two), None):
            raise UserError(f"{self._json} has two annotations for {twice!r}; remove one.")

        find = PhotoFinder(_photo_folders(self._root, self._json, names), self._json)
        rows = kept_names(self._entry(png, image_id, find) for png, _, image_id in lines)
        find.check(len(rows))
        self._entries = Mapped(rows, _Entry._make)
        pngs = Mapped(self._entries, lambda entry: entry.png)
        check_photos_once(Mapped(self._entries, lambda entry: entry.photo), pngs, self._json)
        self._names = unique_names(Mapped(self._entries, lambda entry: entry.file or entry.png))

    def _entry(self, png: str, image_id: int | str, find: PhotoFinder) -> _Entry:
        _, file = self._file_names.get(image_key(image_id), (None, None))
        return _Entry(png, image_id, file, file and find(file))


class _Entry(NamedTuple):
    """What is known of a sample: its PNG and the id of its image, and of the photo the name in the
    JSON and the path; None where the JSON does not list it.
    """

    png: str
    image_id: Any
    file: str | None
    photo: str | None


def labels_of_segments(
    ids: np.ndarray, segments: list[dict], mask_path: str, dataset: Dataset = DATASET
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label maps of a panoptic PNG.

    Args:
      ids: uint32 [H, W], segment of each pixel, 0 = void.
      segments: `segments_info` of the JSON.
      mask_path: for errors.
      dataset: the classes.

    Returns:
      semantic int32, instance int32 (≥ 1 in the order of the segments), crowd bool, each [H, W].

    Raises:
      UserError: the PNG holds a segment that the JSON does not describe, or its category is not
        one of the classes.
    """
    label_of_id = labels_by_id(dataset)
    # Semantic, instance and crowd of each segment id.
    rows = {VOID: (IGNORE_LABEL, 0, False)}
    for segment in segments:
        category_id = segment["category_id"]
        if category_id not in label_of_id:
            raise UserError(
                f"{mask_path} has a segment of category {category_id}, which {dataset.name} does "
                "not list; correct its JSON."
            )
        label = label_of_id[category_id]
        crowd = bool(segment.get("iscrowd", 0))
        is_instance = dataset.categories[label].is_thing and not crowd
        rows[segment["id"]] = (label, len(rows) if is_instance else 0, crowd)

    values, place = np.unique(ids, return_inverse=True)
    for value in values.tolist():
        if value not in rows:
            raise UserError(
                f"{mask_path} holds the segment id {value}, which its JSON does not describe; "
                "correct one of the two."
            )
    # [ids that occur, 3], then [H, W, 3].
    table = np.array([rows[value] for value in values.tolist()], np.int32)
    labels = table[place.reshape(ids.shape)]
    semantic, instance, crowd = np.moveaxis(labels, -1, 0)
    return semantic, instance, crowd.astype(bool)


def _folder_of_pngs(json_path):
    """The folder of the JSON's name; where there is none, that of the JSON."""
    folder = storage.splitext(json_path)[0]
    if storage.isdir(folder):
        return folder
    beside = storage.dirname(json_path)
    if any(name.lower().endswith(".png") for name, _ in storage.scan(beside or ".")):
        return beside
    raise UserError(f"there is no folder {folder} with the PNGs of {json_path}; unpack them there.")


def _photo_names(content: dict, json_path: str) -> Mapping[int | str, tuple]:
    """From the key of each image to that key and its file name."""
    images = content.get("images")

    def lines():
        for place, image in enumerate(images if isinstance(images, LISTS) else [None]):
            entry = image if isinstance(image, dict) else {}
            number, name = entry.get("id"), entry.get("file_name")
            if not isinstance(number, (int, str)) or not isinstance(name, str) or not name:
                raise UserError(
                    f"{json_path} is not in COCO's panoptic format: its images need an id and a "
                    "file_name."
                )
            key = image_key(number)
            yield [isinstance(key, str), key, place, name]

    # In the order of the numbers, which mostly is that of the annotations that ask for them.
    pairs = Mapped(sorted_names(lines()), operator.itemgetter(1, 3))
    return by_key(Mapped(pairs, operator.itemgetter(0)), pairs)


def _photo_folders(root, json_path, names):
    """Where photos are looked for, the likeliest first."""
    beside = storage.dirname(json_path)
    folders = []
    for name in names:
        folders += [f"{name}2017", f"images/{name}2017", name, f"images/{name}"]
    paths = [storage.join(root, folder) for folder in (*folders, "images", ".")]
    paths += [storage.join(beside, name) for name in (*names, "images", ".")]
    return [path for path in dict.fromkeys(map(storage.normpath, paths)) if storage.isdir(path)]
