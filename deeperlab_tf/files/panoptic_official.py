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
from deeperlab_tf.work.names import repeats
from deeperlab_tf.work.tables import by_key, text_of
from deeperlab_tf.work.values import Mapped, Picked, is_held, made_of

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

    def _ids(self, annotations):
        for annotation in annotations:
            entry = annotation if isinstance(annotation, dict) else {}
            image_id = entry.get("image_id", ())
            if not isinstance(image_id, _ID_TYPES):
                raise UserError(f"{self.json_path} has an annotation without an image_id; add it.")
            yield image_id

    def _by_image(self, annotations):
        self.image_ids = keys = self._keys()
        backwards = range(len(keys) - 1, -1, -1)
        ids = keys[::-1] if is_held(keys) else Picked(keys, backwards)
        # Of several ids that are one number, the first.
        self._same_number = by_key(made_of(ids, image_key), ids)
        return by_key(keys, annotations)

    def _keys(self):
        """Of each annotation; says what is odd where an image has several."""
        raise NotImplementedError

    def _repeats(self, oddity):
        """Places of the annotations whose image had one before, which is noted as odd."""
        for _, place in repeats(Mapped(self.image_ids, text_of)):
            self.oddities.append(Found(oddity, f"image {self.image_ids[place]}"))
            yield place

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
        complete = (one for one in annotations if _are_segments(one.get("segments_info")))
        return super()._all_things_have_scores(complete)


class OfficialTruth(OfficialFiles):
    """A truth, whose JSON and PNGs need not agree; see `OfficialFiles`.

    In `image_ids` there is a `Repeat` where an image comes again.
    """

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

    def _keys(self):
        ids, numbers, last = self.image_ids, {}, {}
        for place in self._repeats(Oddity.REPEATED_TRUTH):
            numbers[place] = last[ids[place]] = last.get(ids[place], 1) + 1
        if not numbers:
            return ids

        def key(place):
            return Repeat(ids[place], numbers[place]) if place in numbers else ids[place]

        keys = Mapped(range(len(ids)), key)
        return list(keys) if is_held(ids) else keys


class OfficialPrediction(OfficialFiles):
    """A prediction, whose segments are all in both JSON and PNG; see `OfficialFiles`."""

    def _keys(self):
        for _ in self._repeats(Oddity.REPEATED_PREDICTION):
            pass  # the last one counts
        return self.image_ids

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
