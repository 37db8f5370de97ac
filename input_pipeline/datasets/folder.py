"""Anybody's own data: a folder of images and masks, and a small YAML or JSON file that says what
they mean.

    name: pennfudan
    images: PNGImages/{id}.png            # where the image called {id} is, relative to the data's
    folder
    semantic: labels/{id}.png             # mask of class ids; left out where there is one thing
    class only
    instances: PedMasks/{id}_mask.png     # mask of object numbers: 0 = no object, k = object k
    classes:
      - {name: background, type: stuff}
      - {name: person, type: thing, color: [220, 20, 60], id: 1}
    ignore: [255]                         # ids of the semantic mask that do not count
    split: {every_nth: 5}                 # or {train: train.txt, val: val.txt}, files of one {id} a
    line

`id` is the class' value in the semantic mask, by default its place in the list. Without a semantic
mask there are just one stuff and one thing class: objects are the thing, everything else is the
stuff. With `every_nth: n` the sorted names at index n - 1, 2n - 1, … are `val`, all others `train`.
Pixels of things that no object number covers count as crowd.
"""

import glob
import json
import os

import numpy as np
import yaml

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image, read_mask
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.schema import IGNORE_LABEL, Category, Dataset, distinct_colors
from input_pipeline.datasets.labels import check_size, map_ids, number_instances, read_list

DEFAULT_EVERY_NTH = 10
_DEFAULT_DESCRIPTIONS = ("classes.yaml", "classes.yml", "classes.json")
_KEYS = {"name", "images", "semantic", "instances", "classes", "ignore", "split"}
_CLASS_KEYS = {"name", "type", "color", "id"}


def open_split(config, split):
    """The `Folder` that `config.data` describes."""
    return Folder(config.data.root, split, config.data.classes)


class Folder:
    """Random-access source of the images in a folder.

    Args:
      root: folder of the data.
      split: train | val, or any split for which the description names a list.
      description: path of the YAML or JSON file; "" for `classes.yaml` or `classes.json` in the
        folder.

    Raises:
      UserError: the folder, the description or a mask is missing or does not fit.
    """

    def __init__(self, root, split, description=""):
        if not root or not os.path.isdir(root):
            raise UserError(
                f"dataset folder {root!r} does not exist; set config.data.root to the folder of the data."
            )
        self._root = root
        self._description_path = description or _default_description(root)
        self._description = _read_description(self._description_path)
        self._ignored_ids = self._list_of_ids("ignore", default=[IGNORE_LABEL])
        self.dataset = self._read_classes()
        self._label_of_id = {
            c.original_id: label for label, c in enumerate(self.dataset.categories)
        }
        self._check_masks_described()
        self._ids = self._split_ids(split)
        self._check_masks_exist()

    def __len__(self):
        return len(self._ids)

    def paths(self, index):
        """(path of the image,)."""
        return (self._path("images", self._ids[index]),)

    def __getitem__(self, index):
        """The sample `index`, see `input_pipeline.datasets`; UserError names an unreadable or
        ill-fitting file.
        """
        name = self._ids[index]
        image = read_image(self._path("images", name))
        has_objects = "instances" in self._description
        objects = (
            self._mask("instances", name, image)
            if has_objects
            else np.zeros(image.shape[:2], np.int32)
        )
        if "semantic" in self._description:
            mask = self._mask("semantic", name, image)
            semantic = map_ids(
                mask, self._label_of_id, self._path("semantic", name), self._ignored_ids
            )
        else:
            (thing,), (stuff,) = self.dataset.thing_classes, self.dataset.stuff_classes
            semantic = np.where(objects > 0, thing, stuff).astype(np.int32)
        is_thing = np.isin(semantic, self.dataset.thing_classes)
        return {
            "image": image,
            "semantic": semantic,
            "instance": number_instances(is_thing & (objects > 0), semantic, objects),
            "crowd": is_thing & (objects == 0),
            "image_id": name,
        }

    # === Samples ===

    def _path(self, key, name):
        return path_inside(self._root, self._description[key].replace("{id}", name))

    def _mask(self, key, name, image):
        path = self._path(key, name)
        mask = read_mask(path)
        check_size(mask, path, image, self._path("images", name))
        if mask.min() < 0:
            raise UserError(f"mask {path} holds the id {mask.min()}; ids must not be negative.")
        return mask

    # === Description ===

    def _error(self, message):
        return UserError(f"{self._description_path}: {message}")

    def _read_classes(self):
        classes = self._description.get("classes")
        if not isinstance(classes, list) or not classes:
            raise self._error(
                "'classes' must be a list such as [{name: road, type: stuff}, {name: car, type: thing}]."
            )
        colors = distinct_colors(len(classes))
        categories = tuple(
            self._read_class(entry, place, colors[place]) for place, entry in enumerate(classes)
        )
        ids = [category.original_id for category in categories]
        repeated = sorted(
            {i for i in ids if ids.count(i) > 1} | (set(ids) & set(self._ignored_ids))
        )
        if repeated:
            raise self._error(
                f"the id {repeated[0]} has two meanings; give each class its own and keep it off 'ignore'."
            )
        name = str(self._description.get("name") or os.path.basename(os.path.abspath(self._root)))
        return Dataset(name=name, categories=categories)

    def _read_class(self, entry, place, color):
        if (
            not isinstance(entry, dict)
            or "name" not in entry
            or entry.get("type") not in ("thing", "stuff")
        ):
            raise self._error(
                f"class number {place} is {entry!r}; write it as {{name: …, type: thing or stuff}}."
            )
        unknown = sorted(set(entry) - _CLASS_KEYS)
        if unknown:
            raise self._error(
                f"class {entry['name']!r} has the unknown key {unknown[0]!r}; known: {sorted(_CLASS_KEYS)}."
            )
        color, original_id = entry.get("color", color), entry.get("id", place)
        if (
            not isinstance(color, (list, tuple))
            or len(color) != 3
            or not all(_is_id(c) and c < 256 for c in color)
        ):
            raise self._error(
                f"class {entry['name']!r} has the color {color!r}; give [red, green, blue], each 0-255."
            )
        if not _is_id(original_id):
            raise self._error(
                f"class {entry['name']!r} has the id {original_id!r}; give a whole number from 0 on."
            )
        return Category(str(entry["name"]), entry["type"] == "thing", tuple(color), original_id)

    def _list_of_ids(self, key, default):
        value = self._description.get(key, default)
        if not isinstance(value, list) or not all(_is_id(item) for item in value):
            raise self._error(f"{key!r} is {value!r}; give a list of ids such as [255].")
        return value

    def _check_masks_described(self):
        for key in ("images", "semantic", "instances"):
            pattern = self._description.get(key, "{id}")
            if (
                not isinstance(pattern, str)
                or pattern.count("{id}") != 1
                or "{id}" not in os.path.basename(pattern)
            ):
                raise self._error(
                    f"{key!r} is {pattern!r}; give a file name with one {{id}} such as images/{{id}}.jpg."
                )
        if "images" not in self._description:
            raise self._error(
                "'images' is missing; say where the images are, such as images/{id}.jpg."
            )
        things, stuff = len(self.dataset.thing_classes), len(self.dataset.stuff_classes)
        if "semantic" not in self._description and (things, stuff) != (1, 1):
            raise self._error(
                f"'semantic' is missing; without such masks there must be one stuff and one thing class, not {stuff} "
                f"and {things}."
            )
        if "instances" not in self._description and things:
            raise self._error(
                "'instances' is missing but there are thing classes; say where the instance masks are."
            )

    # === Files ===

    def _split_ids(self, split):
        rule = self._description.get("split", {"every_nth": DEFAULT_EVERY_NTH})
        if not isinstance(rule, dict):
            raise self._error(
                f"'split' is {rule!r}; give {{every_nth: 5}} or {{train: train.txt, val: val.txt}}."
            )
        if "every_nth" not in rule:
            return self._listed_ids(rule, split)
        nth = rule["every_nth"]
        if not _is_id(nth) or nth < 2:
            raise self._error(f"'every_nth' is {nth!r}; give a whole number from 2 on.")
        if split not in ("train", "val"):
            raise UserError(
                f"split {split!r} is unknown: {self._description_path} makes train and val."
            )
        ids = self._found_ids()
        chosen = [
            name for place, name in enumerate(ids) if (place % nth == nth - 1) == (split == "val")
        ]
        if not chosen:
            raise UserError(
                f"split {split!r} of {self._root} is empty: {len(ids)} images, every_nth {nth}; add images."
            )
        return chosen

    def _found_ids(self):
        pattern = self._description["images"]
        before, after = pattern.split("{id}")
        path_inside(self._root, before)
        prefix = os.path.join(self._root, before)
        paths = glob.glob(glob.escape(prefix) + "*" + glob.escape(after))
        if not paths:
            raise UserError(
                f"there is no image {pattern} in {self._root}; check the folder and 'images'."
            )
        return sorted(path[len(prefix) : len(path) - len(after)] for path in paths)

    def _listed_ids(self, rule, split):
        if not isinstance(rule.get(split), str):
            raise UserError(
                f"split {split!r} is unknown: {self._description_path} lists {sorted(rule)}."
            )
        path = path_inside(self._root, rule[split])
        return read_list(path, f"split {split!r}")

    def _check_masks_exist(self):
        for name in self._ids:
            for key in ("images", "semantic", "instances"):
                if key in self._description and not os.path.isfile(self._path(key, name)):
                    what = "image" if key == "images" else f"{key} mask"
                    raise UserError(
                        f"image {name!r} has no {what}: {self._path(key, name)} does not exist; add it."
                    )


def _default_description(root):
    for name in _DEFAULT_DESCRIPTIONS:
        path = os.path.join(root, name)
        if os.path.isfile(path):
            return path
    raise UserError(
        f"there is no classes.yaml or classes.json in {root}; write one or set config.data.classes."
    )


def _read_description(path):
    try:
        with open(path, encoding="utf-8") as file:
            description = json.load(file) if path.endswith(".json") else yaml.safe_load(file)
    except OSError as error:
        raise UserError(f"cannot read the dataset description {path}: {error.strerror}.") from error
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"{path} is not valid YAML or JSON ({' '.join(str(error).split())})."
        ) from error
    if not isinstance(description, dict):
        raise UserError(f"{path} must map keys such as 'images' and 'classes' to values.")
    unknown = sorted(str(key) for key in set(description) - _KEYS)
    if unknown:
        raise UserError(
            f"{path} has the unknown key {unknown[0]!r}; known keys are {', '.join(sorted(_KEYS))}."
        )
    return description


def _is_id(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
