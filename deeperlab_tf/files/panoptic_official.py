"""The COCO panoptic format as its official evaluator reads it: whatever that accepts is accepted
here, with the same meaning. What is odd is kept, to be told.

The rules are those of `panopticapi`, the evaluator that COCO, Cityscapes and Mapillary Vistas use:
of entries with one id the last counts, equal ids need not look alike (7 and 7.0), and of crowd
regions of one category only the last excuses what is predicted there.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.coco_panoptic import PanopticFiles
from deeperlab_tf.files.oddities import Found, Oddity
from deeperlab_tf.files.panoptic_json import (
    check_categories,
    image_key,
    name_of,
    read_list,
    to_categories,
)
from deeperlab_tf.files.panoptic_png import ID_LIMIT, VOID, has_sixteen_bits, read_ids
from deeperlab_tf.files.panoptic_segments import Segments, is_crowd
from deeperlab_tf.schema import IGNORE_LABEL, Dataset

_ID_TYPES = (int, float, str, type(None))  # those of JSON's that can be looked up


class Repeat(NamedTuple):
    """Stands for the second (third ...) annotation that a truth has of an image."""

    image_id: Hashable
    number: int

    def __str__(self) -> str:
        return f"{self.image_id} ({self.number})"


class OfficialFiles(PanopticFiles):
    """Base of `OfficialTruth` and `OfficialPrediction`; see `PanopticFiles`.

    Attributes:
      oddities: list of `Found`, about the files as a whole.
    """

    oddities: list[Found]

    def __contains__(self, image_id: Hashable) -> bool:
        return self._key(image_id) in self._annotations

    def annotation(self, image_id: Hashable) -> dict:
        """The JSON's annotation of an image.

        Raises:
          UserError: it lacks what is read of it.
        """
        annotation = self._annotations[self._key(image_id)]
        where = f"image {image_id} in {self.json_path}"
        if not isinstance(annotation.get("file_name"), str):
            raise UserError(f"{where} has no file_name; add it.")
        if not _are_segments(annotation.get("segments_info")):
            raise UserError(
                f"{where} needs segments_info, a list of objects with an id and a category_id."
            )
        return annotation

    def read(self, image_id: Hashable) -> tuple[np.ndarray, Segments]:
        """As of `PanopticFiles`; the PNG may be of any mode that has three channels."""
        return read_ids(self.png_path(image_id), strict=False), self._segments(image_id)

    def oddities_of(self, image_id: Hashable) -> list[Oddity]:
        """What is odd about one image, as far as its own JSON and the head of its PNG tell."""
        entries = self._entries(image_id)
        checks = {
            Oddity.REPEATED_SEGMENT: len(entries) < len(self.annotation(image_id)["segments_info"]),
            Oddity.VOID_SEGMENT: VOID in entries,
            Oddity.SIXTEEN_BITS: has_sixteen_bits(self.png_path(image_id)),
        }
        return [oddity for oddity, is_there in checks.items() if is_there]

    def _entries(self, image_id):
        """`segments_info` by id; of those with one id the last, in the place of the first."""
        return {info["id"]: info for info in self.annotation(image_id)["segments_info"]}

    def _key(self, image_id):
        """The key of an image's annotation; a number may be written as in the file's name."""
        if image_id in self._annotations:
            return image_id
        return self._same_number.get(image_key(image_id), image_id)

    def _read_content(self):
        self.oddities = []
        return read_list(self.json_path)

    def _to_dataset(self, categories):
        dataset, found = _read_categories(categories, self.json_path)
        self.oddities += found
        return dataset

    def _by_image(self, annotations):
        found = {}
        for annotation in annotations:
            entry = annotation if isinstance(annotation, dict) else {}
            image_id = entry.get("image_id", ())
            if not isinstance(image_id, _ID_TYPES):
                raise UserError(f"{self.json_path} has an annotation without an image_id; add it.")
            self._keep(found, image_id, annotation)
        self._same_number = {image_key(key): key for key in reversed(list(found))}
        return found

    def _keep(self, found, image_id, annotation):
        """Enters an annotation into the dict `found`."""
        raise NotImplementedError

    def _segments(self, image_id):
        # An id that no PNG can hold becomes a number that no PNG can hold.
        entries = {
            _png_id(key, ID_LIMIT + number): info
            for number, (key, info) in enumerate(self._entries(image_id).items())
        }
        ids = sorted(entries)
        infos = [entries[key] for key in ids]
        segments = Segments.of(ids, infos, self._class_of, self.dataset.ignore_label)

        # Of the crowd regions of a category the last.
        last = {info["category_id"]: key for key, info in entries.items() if is_crowd(info)}
        return segments._replace(excuses=np.isin(segments.ids, list(last.values())))

    def _all_things_have_scores(self, annotations):
        complete = [one for one in annotations if _are_segments(one.get("segments_info"))]
        return super()._all_things_have_scores(complete)


class OfficialTruth(OfficialFiles):
    """A truth, whose JSON and PNGs need not agree; see `OfficialFiles`."""

    @property
    def image_ids(self) -> list[Hashable]:
        """Ids of the annotated images, in the order of the JSON; `Repeat` where one comes again."""
        return list(self._annotations)

    def lookup(self, image_id: Hashable, present: np.ndarray, segments: Segments) -> np.ndarray:
        """As of `PanopticFiles`; ids that are not in the JSON get -1 as well."""
        return segments.find(present)

    def oddities_of(self, image_id: Hashable) -> list[Oddity]:
        """What is odd about one image, as far as its own JSON and the head of its PNG tell."""
        infos = self._entries(image_id).values()
        crowds = [info["category_id"] for info in infos if is_crowd(info)]
        checks = {
            Oddity.CROWDS: len(set(crowds)) < len(crowds),
            Oddity.UNKNOWN_CATEGORY: any(
                info["category_id"] not in self._class_of for info in infos
            ),
        }
        here = [oddity for oddity, is_there in checks.items() if is_there]
        return super().oddities_of(image_id) + here

    def _keep(self, found, image_id, annotation):
        key, number = image_id, 1
        while key in found:
            number += 1
            key = Repeat(image_id, number)
        if number > 1:
            self.oddities.append(Found(Oddity.REPEATED_TRUTH, f"image {image_id}"))
        found[key] = annotation


class OfficialPrediction(OfficialFiles):
    """A prediction, whose segments are all in both JSON and PNG; see `OfficialFiles`."""

    def _keep(self, found, image_id, annotation):
        if image_id in found:
            self.oddities.append(Found(Oddity.REPEATED_PREDICTION, f"image {image_id}"))
        found[image_id] = annotation

    def _segments(self, image_id):
        for info in self._entries(image_id).values():
            if info["category_id"] not in self._class_of:
                raise UserError(
                    f"image {image_id} in {self.json_path} has a segment of category "
                    f"{info['category_id']}, which is not among the categories."
                )
        return super()._segments(image_id)


def _read_categories(categories: Any, json_path: str) -> tuple[Dataset, list[Found]]:
    """The classes of a truth's JSON, and what is odd about them."""
    check_categories(categories, ("id", "isthing"), json_path)
    found, by_id = [], {}
    for entry in categories:
        category_id = entry["id"]
        if not isinstance(category_id, _ID_TYPES):
            raise UserError(f"{json_path} has a category whose id is neither number nor text.")
        place = f"category {category_id}"
        if category_id in by_id:
            found.append(Found(Oddity.CATEGORY_TWICE, place))
        if entry["isthing"] not in (0, 1):
            found.append(Found(Oddity.CATEGORY_KIND, place))
        by_id[category_id] = entry

    names = []
    for category_id, entry in by_id.items():
        name = str(entry.get("name", "category"))
        if "name" not in entry or name in names:
            found.append(Found(Oddity.CATEGORY_NAME, f"category {category_id}"))
            name = f"{name} {category_id}"
        while name in names:
            name += "'"
        names.append(name)

    classes = to_categories(list(by_id.values()), names)
    # More classes than a byte can tell are no matter here, for nothing is written.
    return Dataset(name_of(json_path), classes, max(IGNORE_LABEL, len(classes))), found


def _are_segments(infos):
    """Whether this is a list of objects that have ids and categories."""
    return isinstance(infos, list) and all(
        isinstance(info, dict)
        and isinstance(info.get("id", ()), _ID_TYPES)
        and isinstance(info.get("category_id", ()), _ID_TYPES)
        for info in infos
    )


def _png_id(value, otherwise):
    """The number in a PNG that equals an id of a JSON; `otherwise` where there is none."""
    is_number = isinstance(value, (int, float))
    return int(value) if is_number and 0 <= value < ID_LIMIT and value == int(value) else otherwise
