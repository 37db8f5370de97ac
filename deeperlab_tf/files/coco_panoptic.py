"""Reading the COCO panoptic format: a PNG of segment ids per image, a JSON that names segments."""

from __future__ import annotations

import operator
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.large_json import LISTS
from deeperlab_tf.files.panoptic_json import image_key, read_content, to_dataset
from deeperlab_tf.files.panoptic_png import VOID, read_ids
from deeperlab_tf.files.panoptic_segments import Segments, check_segments
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.pixels.label_maps import dense, runs
from deeperlab_tf.schema import Dataset
from deeperlab_tf.work.names import kept_names, repeated_places
from deeperlab_tf.work.tables import by_key, text_of
from deeperlab_tf.work.values import Mapped, made_of


class Labels(NamedTuple):
    """Label maps of one image.

    Attributes:
      semantic: int32 [H, W], the dataset's `ignore_label` on void.
      instance: int32 [H, W], 1, 2, ... for each segment of a thing, 0 elsewhere.
      crowd: bool [H, W].
      scores: float64 [N], of instance 1 ... N.
    """

    semantic: np.ndarray
    instance: np.ndarray
    crowd: np.ndarray
    scores: np.ndarray


class PanopticFiles:
    """A panoptic JSON and its folder of PNGs. Of a long JSON, what it says lies on the disk.

    Args:
      json_path: the JSON file.
      folder: the folder of its PNGs.
      dataset: names the categories; default: from the JSON's `categories`.

    Attributes:
      dataset: `schema.Dataset`; classes are in the order of the categories.
      image_ids: of the annotated images, in the order of the JSON.

    Raises:
      UserError: the JSON or the folder is missing or broken.

    Example:
      files = PanopticFiles("panoptic_val2017.json", "panoptic_val2017")
      for image_id in files.image_ids:
          semantic, instance, crowd = files.read_labels(image_id)
    """

    def __init__(self, json_path: str, folder: str, dataset: Dataset | None = None) -> None:
        self.json_path, self.folder = json_path, folder
        content = self._read_content()
        if not storage.isdir(folder):
            raise UserError(f"there is no folder {folder} with the PNGs of {json_path}.")

        self.dataset = dataset or self._to_dataset(content.get("categories"))
        self._class_of = {
            category.original_id: index for index, category in enumerate(self.dataset.categories)
        }
        self.image_ids: Sequence[Hashable] = kept_names(self._ids(content["annotations"]))
        self._annotations = self._by_image(content["annotations"])
        images = content.get("images")
        self._photos = _photo_names(images if isinstance(images, LISTS) else ())
        self._has_scores = self._all_things_have_scores(self._annotations.values())

    def __contains__(self, image_id: int | str) -> bool:
        return image_key(image_id) in self._annotations

    def annotation(self, image_id: int | str) -> dict:
        """The JSON's annotation of an image."""
        return self._annotations[image_key(image_id)]

    def png_path(self, image_id: int | str) -> str:
        """Path of an image's PNG; names that leave the folder are refused."""
        return path_inside(self.folder, self.annotation(image_id)["file_name"])

    def photo_name(self, image_id: int | str) -> str | None:
        """File name of the photo itself, as the JSON has it, or None."""
        return self._photos.get(image_key(self.annotation(image_id)["image_id"]))

    def has_scores(self) -> bool:
        """True if every segment of a thing has a score, as predictions may."""
        return self._has_scores

    def read(self, image_id: int | str) -> tuple[np.ndarray, Segments]:
        """Reads one image.

        Returns:
          uint32 [H, W], the id of each pixel's segment; `Segments`.

        Raises:
          UserError: the PNG is missing or broken; in the JSON an id occurs twice or is void's, or
            a category is unknown.
        """
        return read_ids(self.png_path(image_id)), self._segments(image_id)

    def lookup(self, image_id: int | str, present: np.ndarray, segments: Segments) -> np.ndarray:
        """Finds the segments of the ids in a PNG, and checks that PNG and JSON agree.

        Args:
          image_id: of both.
          present: int64 [K], ids in the PNG.
          segments: of the JSON.

        Returns:
          int64 [K], index into `segments`; -1 for void, where their last entry stands.

        Raises:
          UserError: a segment is in one of them only.
        """
        index = segments.find(present)
        where = f"{self.png_path(image_id)} and {self.json_path} disagree"
        strange = present[(index < 0) & (present != VOID)]
        if strange.size:
            raise UserError(f"{where}: segment {strange[0]} is in the PNG but not in the JSON.")

        empty = np.setdiff1d(segments.ids, present)
        if empty.size:
            raise UserError(
                f"{where}: segment {empty[0]} is in the JSON but has no pixel in the PNG."
            )
        return index

    def read_labels(self, image_id: int | str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Semantic, instance and crowd map of one image; see `Labels`.

        Raises:
          UserError: as of `read` and `lookup`.
        """
        return self.to_labels(image_id, *self.read(image_id))[:3]

    def to_labels(self, image_id: int | str, ids: np.ndarray, segments: Segments) -> Labels:
        """What `read` gave, as label maps; errors are those of `lookup`."""
        lengths, (values,) = runs([ids.reshape(-1)])
        present, place = dense(values.astype(np.int64))
        index = self.lookup(image_id, present, segments)

        # Of each id in the PNG: [K].
        classes = segments.classes[index].astype(np.int32)
        crowd = segments.crowd[index].astype(bool)
        is_instance = np.isin(classes, self.dataset.thing_classes) & ~crowd
        numbers = np.where(is_instance, np.cumsum(is_instance), 0).astype(np.int32)

        def to_map(table):
            return np.repeat(table[place], lengths).reshape(ids.shape)

        scores = segments.scores[index[is_instance]]
        return Labels(to_map(classes), to_map(numbers), to_map(crowd), scores)

    # === How the files are read; `panoptic_official` has other ways ===

    def _read_content(self):
        return read_content(self.json_path)

    def _to_dataset(self, categories):
        return to_dataset(categories, self.json_path)

    def _ids(self, annotations):
        """Yields the ids of their images."""
        for annotation in annotations:
            yield annotation["image_id"]

    def _by_image(self, annotations):
        """The annotations by `image_key`."""
        keys = Mapped(self.image_ids, image_key)
        if repeated := repeated_places(Mapped(keys, text_of)):
            image_id = self.image_ids[repeated[1]]
            raise UserError(f"{self.json_path} annotates image {image_id} twice; keep one.")
        return by_key(keys, annotations)

    def _segments(self, image_id):
        """The `Segments` of an image."""
        infos = self.annotation(image_id)["segments_info"]
        infos = sorted(infos, key=lambda info: info["id"])
        ids = np.array([info["id"] for info in infos], np.int64)
        check_segments(ids, infos, self._class_of, f"image {image_id} in {self.json_path}")
        return Segments.of(ids, infos, self._class_of, self.dataset.ignore_label)

    def _all_things_have_scores(self, annotations):
        categories = self.dataset.categories
        things = {category.original_id for category in categories if category.is_thing}
        return all(
            isinstance(info.get("score"), (int, float))
            for annotation in annotations
            for info in annotation["segments_info"]
            if info["category_id"] in things
        )


def _photo_names(images):
    """Of the JSON's `images`, which nothing else depends on: what is broken there is left out."""
    usable = (image for image in images if isinstance(image, dict) and "id" in image)
    pairs = kept_names([image_key(image["id"]), image.get("file_name")] for image in usable)
    keys, names = (made_of(pairs, operator.itemgetter(place)) for place in (0, 1))
    return by_key(keys, names)
