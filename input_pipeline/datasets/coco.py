"""COCO panoptic 2017, as downloaded and unpacked into one folder.

    annotations/panoptic_{train,val}2017.json
    annotations/panoptic_{train,val}2017/*.png     (unpacked from the zip beside the JSON)
    {train,val}2017/*.jpg

Kirillov et al., Panoptic Segmentation, 2018; https://cocodataset.org/#format-data. Without the year
works too, and so does `images/{split}` for the photos: then it is anybody's data in COCO's format
with COCO's classes.
"""

import collections
import os

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import read_json
from deeperlab_tf.files.images import read_image
from deeperlab_tf.files.panoptic_png import VOID, read_ids
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.schema import IGNORE_LABEL
from input_pipeline.datasets.coco_classes import DATASET
from input_pipeline.datasets.labels import check_size, first_existing

_LABEL_OF_ID = {category.original_id: label for label, category in enumerate(DATASET.categories)}


def open_split(config, split):
    """The `CocoPanoptic` that `config.data` describes."""
    return CocoPanoptic(config.data.root, split)


class CocoPanoptic:
    """Random-access source of a split; see `input_pipeline.datasets`.

    Args:
      root: folder of the download.
      split: train | val.
    """

    dataset = DATASET

    def __init__(self, root, split):
        names = (f"{split}2017", split)
        self._json = first_existing(
            root, [f"annotations/panoptic_{name}.json" for name in names], "panoptic JSON"
        )
        self._masks = first_existing(
            root, [f"annotations/panoptic_{name}" for name in names], "folder of panoptic PNGs"
        )
        folders = [folder for name in names for folder in (name, f"images/{name}")]
        self._images = first_existing(root, folders, "folder of photos")
        content = read_json(self._json, "panoptic annotation file")
        try:
            self._file_names = {image["id"]: image["file_name"] for image in content["images"]}
            self.annotations = sorted(
                content["annotations"], key=lambda annotation: annotation["file_name"]
            )
            repeated = collections.Counter(
                annotation["file_name"] for annotation in self.annotations
            ).most_common(1)
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{self._json} is not in COCO's panoptic format: {error} is missing or misplaced."
            ) from error
        if repeated and repeated[0][1] > 1:
            raise UserError(f"{self._json} has two annotations for {repeated[0][0]!r}; remove one.")

    def __len__(self):
        return len(self.annotations)

    def paths(self, index):
        """(path of the photo, path of the panoptic PNG); UserError if a name leaves the dataset's
        folder.
        """
        annotation = self.annotations[index]
        if annotation["image_id"] not in self._file_names:
            raise UserError(
                f"{self._json} annotates image {annotation['image_id']}, which is not among its images."
            )
        photo = path_inside(self._images, self._file_names[annotation["image_id"]])
        return photo, path_inside(self._masks, annotation["file_name"])

    def __getitem__(self, index):
        image_path, mask_path = self.paths(index)
        image, ids = read_image(image_path), read_ids(mask_path)
        check_size(ids, mask_path, image, image_path)
        segments = self.annotations[index]["segments_info"]
        semantic, instance, crowd = labels_of_segments(ids, segments, mask_path)
        image_id = os.path.splitext(self._file_names[self.annotations[index]["image_id"]])[0]
        return {
            "image": image,
            "semantic": semantic,
            "instance": instance,
            "crowd": crowd,
            "image_id": image_id,
        }

    def unlabeled(self):
        """Sentences about images of the JSON that have no annotation; they are not samples."""
        labeled = {annotation["image_id"] for annotation in self.annotations}
        missing = (name for number, name in self._file_names.items() if number not in labeled)
        return [f"image {name!r} of {self._json} has no annotation" for name in sorted(missing)]

    def problems(self, index):
        """Sentences about segments that PNG and JSON do not tell alike; an unknown id in the PNG is
        an error.
        """
        mask_path = self.paths(index)[1]
        areas = dict(
            zip(*(values.tolist() for values in np.unique(read_ids(mask_path), return_counts=True)))
        )
        found = []
        for segment in self.annotations[index]["segments_info"]:
            area = areas.get(segment["id"], 0)
            if not area:
                found.append(f"segment {segment['id']} of the JSON is not in {mask_path}")
            elif area != segment.get("area", area):
                found.append(
                    f"segment {segment['id']} of {mask_path} has {area} pixels, not {segment['area']}"
                )
        return found


def labels_of_segments(ids, segments, mask_path):
    """Label maps of a panoptic PNG.

    Args:
      ids: uint32 [H, W], segment of each pixel, 0 = void.
      segments: `segments_info` of the JSON.
      mask_path: for errors.

    Returns:
      semantic int32, instance int32 (1 … n in the order of the segments), crowd bool, each [H, W].
    """
    rows = {VOID: (IGNORE_LABEL, 0, False)}
    for segment in segments:
        if segment["category_id"] not in _LABEL_OF_ID:
            raise UserError(
                f"{mask_path} has a segment of category {segment['category_id']}, which COCO does not list."
            )
        label = _LABEL_OF_ID[segment["category_id"]]
        crowd = bool(segment.get("iscrowd", 0))
        is_instance = DATASET.categories[label].is_thing and not crowd
        rows[segment["id"]] = (label, len(rows) if is_instance else 0, crowd)
    values, place = np.unique(ids, return_inverse=True)
    unknown = [value for value in values.tolist() if value not in rows]
    if unknown:
        raise UserError(
            f"{mask_path} holds the segment id {unknown[0]}, which its JSON does not describe; mend either."
        )
    table = np.array([rows[value] for value in values.tolist()], np.int32)[place.reshape(ids.shape)]
    return table[..., 0], table[..., 1], table[..., 2].astype(bool)
