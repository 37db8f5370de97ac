"""COCO panoptic 2017, as downloaded and unpacked into one folder.

    annotations/panoptic_{train,val}2017.json
    annotations/panoptic_{train,val}2017/*.png     (unpacked from the zip beside the JSON)
    {train,val}2017/*.jpg

Kirillov et al., Panoptic Segmentation, 2018; https://cocodataset.org/#format-data. Without the year
works too, and so does `images/{split}` for the photos: then it is anybody's data in COCO's format
with COCO's classes.
"""

from __future__ import annotations

import collections
import os

import numpy as np
from ml_collections import ConfigDict

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import read_json
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.panoptic_png import VOID, read_ids
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.schema import IGNORE_LABEL
from input_pipeline.datasets import Sample, Source
from input_pipeline.datasets.coco_classes import DATASET
from input_pipeline.datasets.labels import check_size, labels_by_id
from input_pipeline.datasets.layout import first_existing

_LABEL_OF_ID = labels_by_id(DATASET)


def open_split(config: ConfigDict, split: str) -> CocoPanoptic:
    """The `CocoPanoptic` that `config.data` describes."""
    return CocoPanoptic(config.data.root, split)


class CocoPanoptic(Source):
    """Source of a split: train | val.

    Args:
      root: folder of the download.
      split: see above.

    Attributes:
      annotations: those of the JSON, in the order of their file names.

    Raises:
      UserError: a file is missing, or the JSON is not in COCO's panoptic format.
    """

    dataset = DATASET

    def __init__(self, root: str, split: str):
        names = (f"{split}2017", split)
        jsons = [f"annotations/panoptic_{name}.json" for name in names]
        masks = [f"annotations/panoptic_{name}" for name in names]
        images = [folder for name in names for folder in (name, f"images/{name}")]
        self._json = first_existing(root, jsons, "panoptic JSON")
        self._masks = first_existing(root, masks, "folder of panoptic PNGs")
        self._images = first_existing(root, images, "folder of photos")
        self._read_json()

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, index: int) -> Sample:
        image_path, mask_path = self.paths(index)
        image = read_image(image_path)
        ids = read_ids(mask_path)
        check_size(ids, mask_path, image, image_path)

        annotation = self.annotations[index]
        semantic, instance, crowd = labels_of_segments(ids, annotation["segments_info"], mask_path)
        file_name = self._file_names[annotation["image_id"]]
        return {
            "image": image,
            "semantic": semantic,
            "instance": instance,
            "crowd": crowd,
            "image_id": os.path.splitext(file_name)[0],
        }

    def paths(self, index: int) -> tuple[str, str]:
        """Paths of the photo and of the panoptic PNG.

        Raises:
          UserError: the image is not described, or a name leaves the dataset's folder.
        """
        annotation = self.annotations[index]
        image_id = annotation["image_id"]
        if image_id not in self._file_names:
            raise UserError(
                f"{self._json} annotates image {image_id}, which is not among its images; "
                "restore the file."
            )
        photo = path_inside(self._images, self._file_names[image_id])
        return photo, path_inside(self._masks, annotation["file_name"])

    def unlabelled(self) -> list[str]:
        """Sentences about images of the JSON that have no annotation; they are not samples."""
        annotated = {annotation["image_id"] for annotation in self.annotations}
        missing = [name for number, name in self._file_names.items() if number not in annotated]
        return [f"image {name!r} of {self._json} has no annotation" for name in sorted(missing)]

    def problems(self, index: int) -> list[str]:
        """Sentences about segments of which PNG and JSON tell different things."""
        mask_path = self.paths(index)[1]
        ids, areas = np.unique(read_ids(mask_path), return_counts=True)
        area_of_id = dict(zip(ids.tolist(), areas.tolist()))
        found = []
        for segment in self.annotations[index]["segments_info"]:
            segment_id = segment["id"]
            area = area_of_id.get(segment_id, 0)
            described = segment.get("area", area)
            if not area:
                found.append(f"segment {segment_id} of the JSON is not in {mask_path}")
            elif area != described:
                found.append(
                    f"segment {segment_id} of {mask_path} has {area} pixels, not {described}"
                )
        return found

    def _read_json(self) -> None:
        content = read_json(self._json, "panoptic annotation file")
        try:
            self._file_names = {image["id"]: image["file_name"] for image in content["images"]}
            annotations = content["annotations"]
            self.annotations = sorted(annotations, key=lambda entry: entry["file_name"])
            counts = collections.Counter(entry["file_name"] for entry in self.annotations)
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{self._json} is not in COCO's panoptic format: {error} is missing or misplaced."
            ) from error
        for name, count in counts.most_common(1):
            if count > 1:
                raise UserError(f"{self._json} has two annotations for {name!r}; remove one.")


def labels_of_segments(
    ids: np.ndarray, segments: list[dict], mask_path: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label maps of a panoptic PNG.

    Args:
      ids: uint32 [H, W], segment of each pixel, 0 = void.
      segments: `segments_info` of the JSON.
      mask_path: for errors.

    Returns:
      semantic int32, instance int32 (1 … n in the order of the segments), crowd bool, each [H, W].

    Raises:
      UserError: the PNG holds a segment that the JSON does not describe, or COCO does not have its
        category.
    """
    # Semantic, instance and crowd of each segment id.
    rows = {VOID: (IGNORE_LABEL, 0, False)}
    for segment in segments:
        category_id = segment["category_id"]
        if category_id not in _LABEL_OF_ID:
            raise UserError(
                f"{mask_path} has a segment of category {category_id}, which COCO does not list; "
                "correct its JSON."
            )
        label = _LABEL_OF_ID[category_id]
        crowd = bool(segment.get("iscrowd", 0))
        is_instance = DATASET.categories[label].is_thing and not crowd
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
