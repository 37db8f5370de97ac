"""Anybody's own data: a folder of images and masks, and a small YAML or JSON file that says what
they mean.

    name: pennfudan
    # Where the image called {id} is, relative to the folder of the data.
    images: PNGImages/{id}.png
    # Mask of class ids; left out where there is one thing class only.
    semantic: labels/{id}.png
    # Mask of object numbers: 0 = no object, k = object k.
    instances: PedMasks/{id}_mask.png
    classes:
      - {name: background, type: stuff}
      - {name: person, type: thing, color: [220, 20, 60], id: 1}
    # Ids of the semantic mask that do not count.
    ignore: [255]
    # Or {train: train.txt, val: val.txt}, files of one {id} per line.
    split: {every_nth: 5}

`id` is the class' value in the semantic mask, by default its place in the list. Without a semantic
mask there are just one stuff and one thing class: objects are the thing, everything else is the
stuff. With `every_nth: n` the sorted names at index n - 1, 2n - 1, … are `val`, all others `train`.
Pixels of things that no object number covers count as crowd.
"""

from __future__ import annotations

import os

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import read_image, read_mask
from deeperlab_tf.files.paths import path_inside
from input_pipeline.datasets import Sample, Source
from input_pipeline.datasets.folder_description import find_description, read_description
from input_pipeline.datasets.labels import check_size, labels_by_id, map_ids, things_and_crowd
from input_pipeline.datasets.layout import check_root, find_names, read_list


def open_split(config: ConfigDict, split: str) -> Folder:
    """The `Folder` that `config.data` describes."""
    return Folder(config.data.root, split, config.data.classes)


class Folder(Source):
    """Source of the images in a folder.

    Args:
      root: folder of the data.
      split: train | val, or any split for which the description names a list.
      description: path of the YAML or JSON file; "" for `classes.yaml` or `classes.json` in the
        folder.

    Raises:
      UserError: the folder, the description or a mask is missing or does not fit.
    """

    def __init__(self, root: str, split: str, description: str = ""):
        check_root(root)
        self._root = root
        self._description_path = description or find_description(root)
        self._description = read_description(self._description_path, root)
        self.dataset = self._description.dataset
        self._label_of_id = labels_by_id(self.dataset)
        self._names = self._split_names(split)
        self._check_files_exist()

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Sample:
        name = self._names[index]
        image = read_image(self._path("images", name))
        objects = np.zeros(image.shape[:2], np.int32)
        if "instances" in self._description.patterns:
            objects = self._mask("instances", name, image)
        semantic = self._semantic(name, image, objects)
        instance, crowd = things_and_crowd(semantic, objects, objects > 0, self.dataset)
        return {
            "image": image,
            "semantic": semantic,
            "instance": instance,
            "crowd": crowd,
            "image_id": name,
        }

    def paths(self, index: int) -> tuple[str]:
        """Path of the image."""
        return (self._path("images", self._names[index]),)

    # === Samples ===

    def _path(self, kind: str, name: str) -> str:
        pattern = self._description.patterns[kind]
        return path_inside(self._root, pattern.replace("{id}", name))

    def _semantic(self, name: str, image: np.ndarray, objects: np.ndarray) -> np.ndarray:
        if "semantic" in self._description.patterns:
            mask = self._mask("semantic", name, image)
            path = self._path("semantic", name)
            return map_ids(mask, self._label_of_id, path, self._description.ignored_ids)
        # The description has just one of each.
        (thing,) = self.dataset.thing_classes
        (stuff,) = self.dataset.stuff_classes
        return np.where(objects > 0, thing, stuff).astype(np.int32)

    def _mask(self, kind: str, name: str, image: np.ndarray) -> np.ndarray:
        path = self._path(kind, name)
        mask = read_mask(path)
        check_size(mask, path, image, self._path("images", name))
        if mask.min() < 0:
            raise UserError(f"mask {path} holds the id {mask.min()}; ids must not be negative.")
        return mask

    # === Which images ===

    def _split_names(self, split: str) -> list[str]:
        description = self._description
        if description.every_nth:
            return self._every_nth(split)
        if not isinstance(description.lists.get(split), str):
            known = sorted(description.lists)
            raise UserError(f"split {split!r} is unknown: {self._description_path} lists {known}.")
        path = path_inside(self._root, description.lists[split])
        return read_list(path, f"split {split!r}")

    def _every_nth(self, split: str) -> list[str]:
        if split not in ("train", "val"):
            raise UserError(
                f"split {split!r} is unknown: {self._description_path} makes train and val."
            )
        nth = self._description.every_nth
        names = self._found_names()
        held_out = names[nth - 1 :: nth]
        chosen = held_out if split == "val" else sorted(set(names) - set(held_out))
        if not chosen:
            raise UserError(
                f"split {split!r} of {self._root} is empty: {len(names)} images, every_nth {nth}; "
                "add images."
            )
        return chosen

    def _found_names(self) -> list[str]:
        pattern = self._description.patterns["images"]
        before, after = pattern.split("{id}")
        path_inside(self._root, before)
        names = find_names(os.path.join(self._root, before), after)
        if not names:
            raise UserError(
                f"there is no image {pattern} in {self._root}; check the folder and 'images'."
            )
        return names

    def _check_files_exist(self) -> None:
        for name in self._names:
            for kind in self._description.patterns:
                path = self._path(kind, name)
                if os.path.isfile(path):
                    continue
                what = "image" if kind == "images" else f"{kind} mask"
                raise UserError(f"image {name!r} has no {what}: {path} does not exist; add it.")
