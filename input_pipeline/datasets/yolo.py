"""YOLO's segmentation format: a `data.yaml`, and for each photo a text file of polygons.

    path: .                       # where the data lie; a folder of another machine is passed over
    train: images/train           # a folder with its subfolders, a list of photos, or several
    val: images/val
    names: {0: road, 1: car}      # or [road, car]

The labels of images/train/a.jpg are in labels/train/a.txt: a line `class x y x y …` for each
object, in shares of the width and height. A photo without such a file, or with an empty one, is a
picture of the background. Roboflow's `../train/images` is found beside data.yaml.
https://docs.ultralytics.com/datasets/segment/
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import os
import re
import typing
from collections.abc import Iterable, Iterator, Sequence

from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.images import IMAGE_ENDINGS
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.files.text import read_text, read_yaml
from deeperlab_tf.schema import IGNORE_LABEL
from deeperlab_tf.work.names import NameSet, kept_names, repeats, sorted_names
from deeperlab_tf.work.values import Mapped
from input_pipeline.datasets.coco_json import SPLITS
from input_pipeline.datasets.layout import (
    check_root,
    described_by,
    existing_file,
    existing_files,
    read_list,
    unique_names,
    walk_files,
)
from input_pipeline.datasets.outlined import (
    BOX_ONLY,
    NO_AREA,
    Found,
    Outlined,
    Photo,
    kept_photos,
)
from input_pipeline.datasets.outlines import (
    FaultyOutline,
    Region,
    Size,
    box_runs,
    polygon_runs,
)
from input_pipeline.datasets.photos import unnamed_photos
from input_pipeline.datasets.rules import OutlinedClass, Rules, list_classes
from input_pipeline.datasets.values import shown, to_name, to_whole

_DESCRIPTIONS = ("data.yaml", "data.yml", "dataset.yaml")
_SPLIT_KEYS = {"val": ("val", "valid", "validation")}
_BOX_VALUES = 4  # of a line of YOLO's detection format
_SLACK = 0.01  # so far out of 0-1 a share may be, as ultralytics has it


def open_split(config: ConfigDict, split: str) -> Yolo:
    """The `Yolo` that `config.data` describes."""
    return Yolo(config.data.root, split, config.data.classes, Rules.of(config))


class Yolo(Outlined):
    """Source of a split of a YOLO dataset.

    Args:
      root: folder of the data.
      split: train | val | test.
      description: path of `data.yaml`; "": in the root.
      rules: what the files leave open.

    Raises:
      UserError: the description is missing or broken, there is no photo, or two photos share their
        labels.
    """

    def __init__(self, root: str, split: str, description: str = "", rules: Rules | None = None):
        check_root(root)
        rules = rules or Rules()
        self._root = storage.abspath(root)
        given = description and described_by(root, description)
        self._description = given or _find_description(root)
        content = read_yaml(self._description, "dataset description")
        if not isinstance(content, dict):
            raise UserError(f"{self._description} must map train, val and names to values.")

        name = storage.basename(self._root)
        classes = list_classes(name, _classes(content, self._description), rules, self._description)
        paths = self._photos_of(content, split)
        names = unique_names(Mapped(paths, lambda path: storage.relpath(path, self._root)))
        pairs = zip(names, paths)
        photos = kept_photos(Photo(name, path, self._label_path(path)) for name, path in pairs)
        _check_labels_exist(photos, split)
        _check_own_labels(photos)
        self._named = paths
        self._skipped = []
        if rules.without_labels == "skip":
            self._skipped = kept_names(p.name for p in photos if not storage.isfile(p.key))
            photos = kept_photos(photo for photo in photos if storage.isfile(photo.key))
        super().__init__(classes, photos, rules)

    def find_regions(self, photo: Photo, size: Size) -> Found:
        """The regions of a photo's text file."""
        regions, odd = [], collections.Counter()
        if not storage.isfile(photo.key):
            return Found(regions, odd)
        for number, line in enumerate(read_text(photo.key, "label file").splitlines(), start=1):
            words = line.split()
            if not words:
                continue
            label, values = self._read_line(words, f"has in line {number} of {photo.key}")
            box = _box(values, size) if len(values) == _BOX_VALUES else None
            if box is not None:
                odd[BOX_ONLY] += 1
                regions.append(Region(IGNORE_LABEL, box))
                continue
            runs = polygon_runs(_to_pixels(values, size), size)
            if runs is None:
                odd[NO_AREA] += 1
            else:
                regions.append(Region(label, runs))
        return Found(regions, odd)

    def label_files(self, index: int) -> tuple[str, ...]:
        """Path of the photo's text file, if there is one."""
        path = self._photos[index].key
        return (path,) if storage.isfile(path) else ()

    def shared_files(self) -> tuple[str, ...]:
        """Path of the description."""
        return (self._description,)

    def incomplete(self) -> dict[int, str]:
        """Photos of a list that are missing."""
        return {
            index: f"image {photo.name!r} has no image: {photo.path} does not exist"
            for index, photo in enumerate(self._photos)
            if not storage.isfile(photo.path)
        }

    def unlabelled(self) -> list[str]:
        """Photos without a text file or a split, and text files without a photo."""
        bare = [photo.name for photo in self._photos if not storage.isfile(photo.key)]
        sentences = []
        if bare:
            sentences.append(
                f"{len(bare)} photos have no label file, and count as pictures of the background: "
                f"{', '.join(bare)}"
            )
        if self._skipped:
            sentences.append(
                f"{len(self._skipped)} photos have no label file, and are left out: "
                f"{', '.join(self._skipped)}"
            )
        sentences += unnamed_photos(self._named, self._photos_of_others)
        return sentences + self._stray_labels()

    def _stray_labels(self) -> list[str]:
        """Text files without a photo."""
        sentences = []
        known = NameSet(map(self._label_path, self._named))
        folders = {storage.dirname(self._label_path(path)) for path in self._named}
        for folder in sorted(folders):
            if not storage.isdir(folder) or storage.dirname(self._description) == folder:
                continue
            names = (name for name, _ in storage.scan(folder) if name.lower().endswith(".txt"))
            paths = (storage.join(folder, name) for name in names if name != "classes.txt")
            strays = sorted_names(path for path in paths if path not in known)
            strays = (path for path in strays if not self._has_photo(path))
            sentences += [f"label file {path} has no photo" for path in strays]
        return sentences

    def _photos_of_others(self) -> Iterator[str]:
        """Paths of the photos of all splits."""
        content = read_yaml(self._description, "dataset description")
        for split in SPLITS:
            with contextlib.suppress(UserError):  # a split that is broken is told when it is opened
                yield from self._photos_of(content, split)

    def _has_photo(self, label_path: str) -> bool:
        """Whether any split has the photo of a text file."""
        stem = storage.splitext(storage.relpath(label_path, self._root))[0]
        stems = (_swap_last(stem, "labels", "images"), stem)
        return any(existing_files(storage.join(self._root, f"{name}.*")) for name in stems)

    # === Labels ===

    def _label_path(self, photo: str) -> str:
        """Path of a photo's text file: with `labels` for the last of its folders that is called
        `images`, or beside it.
        """
        stem = storage.splitext(storage.relpath(photo, self._root))[0]
        places = [f"{name}.txt" for name in (_swap_last(stem, "images", "labels"), stem)]
        paths = [storage.join(self._root, place) for place in places]
        return next((path for path in map(existing_file, paths) if path), paths[0])

    def _read_line(self, words: list[str], where: str) -> tuple[int, list[float]]:
        """Class and shares of a line."""
        try:
            values = [float(word) for word in words]
        except ValueError as error:
            raise FaultyOutline(f"{where} something that is not a number") from error
        key = to_whole(values[0])
        if key not in self._classes.label_of_key:
            raise FaultyOutline(
                f"{where} the class {words[0]}, which {self._description} does not name"
            )
        values = values[1:]
        if not all(-_SLACK <= value <= 1 + _SLACK for value in values):  # NaN, too
            raise FaultyOutline(f"{where} a value outside 0-1; outlines are in shares of the sides")
        if len(values) % 2:
            raise FaultyOutline(f"{where} an odd number of values; give x and y of each point")
        return self._classes.label_of_key[key], values

    # === Photos ===

    def _photos_of(self, content: dict, split: str) -> Sequence[str]:
        """Sorted paths of a split's photos."""
        keys = [key for key in _SPLIT_KEYS.get(split, (split,)) if content.get(key)]
        if not keys:
            raise UserError(
                f"split {split!r} is unknown: {self._description} has no key {split!r}; add "
                f"{split}: with the folder of its photos."
            )
        places = content[keys[0]]
        places = places if isinstance(places, list) else [places]
        if not all(isinstance(place, str) for place in places):
            raise UserError(f"{self._description}: {keys[0]!r} must be a folder or a list of some.")
        paths = sorted_names(path for place in places for path in self._photos_at(place, content))
        if not paths:
            raise UserError(
                f"there is no photo in {', '.join(places)} of {self._description}; "
                "check its folders and config.data.root."
            )
        return kept_names(path for path, _ in itertools.groupby(paths))

    def _photos_at(self, place: str, content: dict) -> Iterable[str]:
        path = self._find(place, content)
        if storage.isdir(path):
            return walk_files(path, IMAGE_ENDINGS)
        if path.lower().endswith(IMAGE_ENDINGS):
            return [path]
        lines = read_list(path, "photos")
        folders = [storage.dirname(path), self._root]
        return (_listed(line, folders) for line in lines)

    def _find(self, place: str, content: dict) -> str:
        """Path of a folder or a list that the description names."""
        # Where the data lay on the machine that wrote the description says nothing here.
        given = content.get("path")
        below = [given] if isinstance(given, str) and _is_inside(given) else []
        name = re.sub(r"^(\.\./)+", "", place.replace("\\", "/"))
        for folder in (*below, "."):
            path = path_inside(path_inside(self._root, folder), name)
            if storage.exists(path):
                return path
        raise UserError(
            f"{self._description} names {place!r}, which is not in {self._root}; "
            "check config.data.root."
        )


def _find_description(root: str) -> str:
    for name in _DESCRIPTIONS:
        path = storage.join(root, name)
        if storage.isfile(path):
            return path
    raise UserError(
        f"there is no data.yaml in {root}; write one, or set config.data.classes to its name."
    )


def _classes(content: dict, where: str) -> list[OutlinedClass]:
    names = content.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise UserError(f"{where} has no names; write names: [road, car], say.")
    classes = []
    for key, value in names.items():
        number, name = to_whole(key), to_name(value)
        if number is None or name is None:
            raise UserError(
                f"{where} names the class {shown(key)} {shown(value)}; "
                "give a whole number and a text."
            )
        classes.append(OutlinedClass(number, name))
    classes.sort(key=lambda entry: entry.key)
    keys = [entry.key for entry in classes]
    if len(set(keys)) < len(keys):
        raise UserError(f"{where} names a class twice; give each its own number.")
    count = to_whole(content["nc"]) if "nc" in content else len(classes)
    if count != len(classes):
        raise UserError(f"{where} has nc {shown(content['nc'])} but {len(classes)} names.")
    return classes


def _box(values: list[float], size: Size) -> typing.Any:
    """The region of YOLO's box: centre, width and height, in shares."""
    x, y, width, height = values
    rows, columns = size
    corner = ((x - width / 2) * columns, (y - height / 2) * rows)
    return box_runs([*corner, width * columns, height * rows], size)


def _to_pixels(values: list[float], size: Size) -> list[float]:
    rows, columns = size
    return [value * (rows if place % 2 else columns) for place, value in enumerate(values)]


def _is_inside(name: str) -> bool:
    return not storage.isabs(name) and os.pardir not in name.replace("\\", "/").split("/")


def _listed(line: str, folders: list[str]) -> str:
    """Path of a photo that a list names, from the list's folder or from the root."""
    paths = [path_inside(folder, line.replace("\\", "/")) for folder in folders]
    return next((path for path in map(existing_file, paths) if path), paths[0])


def _check_labels_exist(photos: Sequence[Photo], split: str) -> None:
    """Photos without label files are pictures of the background, but not all of a split whose
    folder of labels is missing.
    """
    first = photos[0]
    folder = storage.dirname(first.key)
    has_folder = storage.isdir(folder) and folder != storage.dirname(first.path)
    if not has_folder and not any(storage.isfile(photo.key) for photo in photos):
        raise UserError(
            f"none of the {len(photos)} photos of split {split!r} has a label file, such as "
            f"{first.key}; put them there."
        )


def _check_own_labels(photos: Sequence[Photo]) -> None:
    """Photos whose names differ in the ending alone have one label file, but it is of one."""
    for before, place in repeats(Mapped(photos, lambda photo: photo.key)):
        one, two = photos[before], photos[place]
        if storage.isfile(two.key):
            raise UserError(
                f"{one.path} and {two.path} share the label file {two.key}; rename one of them, "
                "and its labels alike."
            )


def _swap_last(path: str, old: str, new: str) -> str:
    folder, name = storage.split(path)
    parts = folder.replace(os.sep, "/").split("/")
    if old in parts:
        place = len(parts) - 1 - parts[::-1].index(old)
        parts[place] = new
    return storage.join("/".join(parts), name)
