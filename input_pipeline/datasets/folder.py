"""Anybody's own data: a folder of images and masks, and a small YAML or JSON file that says what
they mean.

    name: pennfudan
    # Where the image called {id} is, relative to the folder of the data; {id}.* for any kind.
    images: PNGImages/{id}.png
    # Mask of class ids; left out where there is one thing class only.
    semantic: labels/{id}.png
    # Mask of object numbers: 0 = no object, k = object k.
    instances: PedMasks/{id}_mask.png
    classes:
      - {name: background, type: stuff}
      - {name: person, type: thing, color: [220, 20, 60], id: 1}
    # Ids of the semantic mask, or names of classes, that do not count.
    ignore: [255]
    # Or {train: train.txt, val: val.txt}, files of one {id} per line.
    split: {every_nth: 5}

`id` is the class' value in the semantic mask, by default its place in the list. Without a semantic
mask there are just one stuff and one thing class: objects are the thing, everything else is the
stuff. With `every_nth: n` the sorted names at index n - 1, 2n - 1, … are `val`, all others `train`.
Pixels of things that no object number covers count as crowd.

Masks in colour: `semantic_in: colors` takes the classes' colours, `semantic_in: red` ids from the
red channel; `instances_in: colors` takes each colour but black for an object, `instances_in:
green+blue` the number green + 256 blue. `classes: labelmap.txt` reads names and colours from CVAT's
table; `stuff: [background, road]` then says which are no things.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.images import image_file_size, open_image, read_image
from deeperlab_tf.files.lossless import LOSSY_ENDINGS, check_lossless
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.schema import IGNORE_LABEL
from deeperlab_tf.work.names import kept_names
from input_pipeline.datasets import Problem, Sample, Source
from input_pipeline.datasets.folder_description import MASKS, find_description, read_description
from input_pipeline.datasets.folder_files import FolderFiles
from input_pipeline.datasets.labels import check_size, map_ids, things_and_crowd
from input_pipeline.datasets.layout import check_root, described_by, read_list
from input_pipeline.datasets.mask_problems import mask_problems
from input_pipeline.datasets.masks import CHANNELS, read_numbers, unpack_color
from input_pipeline.datasets.orientation import mask_orientation_problems, orientation_problems
from input_pipeline.datasets.rules import IGNORE, Rules

_DEFAULT_RULES = Rules()


def open_split(config: ConfigDict, split: str) -> Folder:
    """The `Folder` that `config.data` describes."""
    return Folder(config.data.root, split, config.data.classes, Rules.of(config))


class Folder(Source):
    """Source of the images in a folder.

    Args:
      root: folder of the data.
      split: train | val, or any split for which the description names a list.
      description: path of the YAML or JSON file; "" for `classes.yaml` or `classes.json` in the
        folder.
      rules: `without_labels` says what becomes of photos without masks, `uncovered` which class an
        empty one has.

    Raises:
      UserError: the folder or the description is missing or does not fit, or several photos or
        masks have one name.
    """

    def __init__(self, root: str, split: str, description: str = "", rules: Rules = _DEFAULT_RULES):
        check_root(root)
        self._root, self._rules = root, rules
        given = description and described_by(root, description)
        self._description_path = given or find_description(root)
        self._description = read_description(self._description_path, root)
        self.dataset = self._description.dataset
        self._files = FolderFiles(root, self._description.patterns)
        names = self._split_names(split)
        self._files.check_single(names)
        self._skipped = []
        if rules.without_labels == "skip":
            skipped = (name for name in names if self._lacking(name, self._masks()))
            self._skipped = kept_names(skipped)
            names = kept_names(n for n in names if not self._lacking(n, self._masks()))
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Sample:
        name = self._names[index]
        image = read_image(self._path("images", name))
        numbers = self._numbers(name, image.shape[:2])
        semantic = self._semantic(name, image.shape[:2], numbers)
        objects = numbers.get("instances", np.zeros(semantic.shape, np.int32))
        instance, crowd = things_and_crowd(semantic, objects, objects > 0, self.dataset)
        return {
            "image": image,
            "semantic": semantic,
            "instance": instance,
            "crowd": crowd,
            "image_id": name,
        }

    def paths(self, index: int) -> tuple[str, ...]:
        """Paths of the image and of the masks that there are."""
        name = self._names[index]
        masks = [self._files.path(kind, name) for kind in self._masks()]
        return (self._path("images", name), *(path for path in masks if path))

    def shared_files(self) -> tuple[str, ...]:
        """Path of the description."""
        return (self._description_path,)

    def incomplete(self) -> dict[int, str]:
        """Images that lack their photo or, unless the rules allow it, a mask."""
        kinds = ["images"]
        if self._rules.without_labels == "error":
            kinds += self._masks()
        found = {}
        for index, name in enumerate(self._names):
            for kind in self._lacking(name, kinds):
                what = "image" if kind == "images" else f"{kind} mask"
                path = self._files.wanted(kind, name)
                found[index] = f"image {name!r} has no {what}: {path} does not exist"
                break
        return found

    def unlabelled(self) -> list[str]:
        """Sentences about masks without a photo, and about pictures that are left out."""
        sentences = self._files.unlabelled(self._on_lists())
        if self._skipped:
            skipped = ", ".join(self._skipped)
            sentences.append(f"{len(self._skipped)} photos without masks are left out: {skipped}")
        return sentences

    def faults(self) -> list[str]:
        """The first mask whose ending is that of a photo, if it is stored with losses."""
        for kind in self._masks():
            paths = (self._files.path(kind, name) for name in self._names)
            suspicious = next((p for p in paths if p and p.lower().endswith(LOSSY_ENDINGS)), None)
            if suspicious is None:
                continue
            try:
                with open_image(suspicious, "mask", load=False) as image:
                    check_lossless(image, suspicious)
            except UserError as error:
                return [str(error)]
        return []

    def problems(self, index: int) -> list[Problem]:
        """Objects without a class, masks of noise or of 0 and 255, photos that are turned."""
        name = self._names[index]
        path = self._path("images", name)
        size = image_file_size(path)
        numbers = self._numbers(name, size)
        semantic = self._semantic(name, size, numbers)
        label_of_id = self._description.label_of_id
        found = mask_problems(name, numbers, semantic, self.dataset, label_of_id)
        for kind in numbers:
            found += mask_orientation_problems(self._path(kind, name))
        return found + orientation_problems(name, path)

    # === Samples ===

    def _path(self, kind: str, name: str) -> str:
        return self._files.path(kind, name) or self._files.wanted(kind, name)

    def _masks(self) -> list[str]:
        return [kind for kind in MASKS if kind in self._description.patterns]

    def _numbers(self, name: str, size: tuple[int, int]) -> dict[str, np.ndarray]:
        """int32 [H, W] of each mask that there is, as they stand in the files."""
        numbers = {}
        for kind in self._masks():
            path = self._files.path(kind, name)
            if path is None and self._rules.without_labels == "empty":
                continue
            path = path or self._files.wanted(kind, name)
            mask = read_numbers(path, self._description.channels[kind])
            check_size(mask, path, size, self._path("images", name))
            if mask.min() < 0:
                raise UserError(f"mask {path} holds the id {mask.min()}; ids must not be negative.")
            numbers[kind] = mask
        return numbers

    def _semantic(
        self, name: str, size: tuple[int, int], numbers: dict[str, np.ndarray]
    ) -> np.ndarray:
        """int32 [H, W], classes."""
        description = self._description
        if "semantic" in numbers:
            path = self._path("semantic", name)
            self._check_colors(numbers["semantic"], path)
            labels, ignored = description.label_of_id, description.ignored_ids
            return map_ids(numbers["semantic"], labels, path, ignored)
        if "semantic" in description.patterns:
            return np.full(size, self._uncovered(), np.int32)
        # The description has just one of each.
        (thing,) = self.dataset.thing_classes
        (stuff,) = self.dataset.stuff_classes
        objects = numbers.get("instances", np.zeros(size, np.int32))
        return np.where(objects > 0, thing, stuff).astype(np.int32)

    def _check_colors(self, mask: np.ndarray, path: str) -> None:
        """Of masks in colour: names the first colour that stands for nothing."""
        if len(self._description.channels["semantic"]) < len(CHANNELS):
            return
        values, counts = np.unique(mask, return_counts=True)
        known = set(self._description.label_of_id) | self._description.ignored_ids
        strange = [pair for pair in zip(values.tolist(), counts.tolist()) if pair[0] not in known]
        if strange:
            number, count = max(strange, key=lambda pair: pair[1])
            raise UserError(
                f"mask {path} holds {len(strange)} colours that no class has, such as "
                f"{unpack_color(number)} on {count} pixels; add it to the classes or to 'ignore', "
                "or write the mask without smoothing."
            )

    def _uncovered(self) -> int:
        """The class of an image in which nothing is."""
        names, stuff = self.dataset.class_names, self.dataset.stuff_classes
        if self._rules.uncovered in names:
            return names.index(self._rules.uncovered)
        if len(stuff) == 1:
            return stuff[0]
        if self._rules.uncovered == IGNORE:
            return IGNORE_LABEL
        raise UserError(
            "an image without a class mask needs a class for its pixels: set "
            f"config.data.annotations.uncovered to one of {', '.join(names)}, or to ignore."
        )

    # === Which images ===

    def _lacking(self, name: str, kinds: list[str]) -> list[str]:
        return [kind for kind in kinds if self._files.path(kind, name) is None]

    def _split_names(self, split: str) -> Sequence[str]:
        description = self._description
        if description.every_nth:
            return self._every_nth(split)
        if not isinstance(description.lists.get(split), str):
            known = sorted(description.lists)
            raise UserError(f"split {split!r} is unknown: {self._description_path} lists {known}.")
        path = path_inside(self._root, description.lists[split])
        return self._files.listed(read_list(path, f"split {split!r}"), path)

    def _on_lists(self) -> Iterator[str] | None:
        """Paths of the photos of all lists; None where there are no lists."""
        return None if self._description.every_nth else self._paths_on_lists()

    def _paths_on_lists(self) -> Iterator[str]:
        for split, name in self._description.lists.items():
            # Of its own: what one list chooses by an ending is not what another does.
            files = FolderFiles(self._root, self._description.patterns)
            with contextlib.suppress(UserError):  # a list that is broken is told with its split
                path = path_inside(self._root, name)
                names = files.listed(read_list(path, f"split {split!r}"), path)
                yield from (files.path("images", name) or "" for name in names)

    def _every_nth(self, split: str) -> Sequence[str]:
        if split not in ("train", "val"):
            raise UserError(
                f"split {split!r} is unknown: {self._description_path} makes train and val."
            )
        names = self._files.photos()
        if not names:
            pattern = self._description.patterns["images"]
            raise UserError(
                f"there is no image {pattern} in {self._root}; check the folder and 'images'."
            )
        nth = self._description.every_nth
        is_val = ((number + 1) % nth == 0 for number in itertools.count())
        chosen = kept_names(n for n, held_out in zip(names, is_val) if held_out == (split == "val"))
        if not chosen:
            raise UserError(
                f"split {split!r} of {self._root} is empty: {len(names)} images, every_nth {nth}; "
                "add images."
            )
        return chosen
