"""The COCO panoptic format: one PNG an image, id = R + 256 G + 65536 B, 0 = void, and a JSON that
names segments.
"""

import json
import os

import cv2
import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.atomic import atomic_path, path_inside, read_json
from deeperlab_tf.label_maps import count_combinations, dense, runs
from deeperlab_tf.metrics.overlaps import table_from_counts
from deeperlab_tf.schema import Category, Dataset, distinct_colors

VOID = 0
_ID_LIMIT = 1 << 24


def read_ids(path):
    """Segment ids of a panoptic PNG: uint32 [H, W]. UserError names a file that is missing or no
    RGB image.
    """
    if not os.path.isfile(path):
        raise UserError(f"there is no file {path}.")
    pixels = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UserError(f"{path} is no panoptic PNG (8 bits, RGB without transparency).")
    # Four bytes a pixel are one little-endian number.
    rgba = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGBA)
    return rgba.view("<u4")[..., 0] & 0xFFFFFF


def write_ids(path, ids):
    """Writes segment ids, integer [H, W] below 2^24, as a panoptic PNG (whole or not at all)."""
    rgba = np.ascontiguousarray(ids, "<u4").view(np.uint8).reshape(*ids.shape, 4)
    with atomic_path(path) as temporary:
        if not cv2.imwrite(temporary, cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGR)):
            raise UserError(f"cannot write {path}; check the folder and the free space.")


def color_to_id(color):
    """Id of an (r, g, b) colour."""
    red, green, blue = (int(channel) for channel in color)
    return red + 256 * green + 65536 * blue


def image_key(image_id):
    """The id of an image as COCO has it: a number, also where it is written as in the file's name
    ("000000142238").
    """
    text = str(image_id)
    return int(text) if text.isascii() and text.isdigit() else text


def to_json_categories(dataset):
    """The `categories` list of a panoptic JSON for a `schema.Dataset`."""
    return [
        dict(
            id=category.original_id,
            name=category.name,
            isthing=int(category.is_thing),
            color=list(category.color),
        )
        for category in dataset.categories
    ]


class PanopticFiles:
    """A panoptic JSON and its folder of PNGs.

    Args:
      json_path: the JSON file.
      folder: the folder of its PNGs.
      dataset: `schema.Dataset` that names the categories; default: from the JSON's `categories`.

    Attributes:
      dataset: `schema.Dataset`; classes are in the order of the categories.
      image_ids: ids of the annotated images, in the order of the JSON.

    Raises:
      UserError: the JSON or the folder is missing or broken.
    """

    def __init__(self, json_path, folder, dataset=None):
        self.json_path, self.folder = json_path, folder
        content = read_json(json_path, "panoptic JSON")
        if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
            raise UserError(f"{json_path} is no COCO panoptic JSON: it has no list of annotations.")
        if not os.path.isdir(folder):
            raise UserError(f"there is no folder {folder} with the PNGs of {json_path}.")
        self.dataset = dataset or _dataset_from_categories(content.get("categories"), json_path)
        self._class_of = {
            category.original_id: index for index, category in enumerate(self.dataset.categories)
        }
        self._annotations = {}
        for annotation in content["annotations"]:
            _check_annotation(annotation, json_path)
            key = image_key(annotation["image_id"])
            if key in self._annotations:
                raise UserError(
                    f"{json_path} annotates image {annotation['image_id']} twice; keep one."
                )
            self._annotations[key] = annotation
        images = content.get("images") if isinstance(content.get("images"), list) else []
        images = [image for image in images if isinstance(image, dict) and "id" in image]
        self._photos = {image_key(image["id"]): image.get("file_name") for image in images}

        things = {
            self.dataset.categories[index].original_id for index in self.dataset.thing_classes
        }
        self._has_scores = all(
            isinstance(segment.get("score"), (int, float))
            for annotation in content["annotations"]
            for segment in annotation["segments_info"]
            if segment["category_id"] in things
        )

    @property
    def image_ids(self):
        return [annotation["image_id"] for annotation in self._annotations.values()]

    def __contains__(self, image_id):
        return image_key(image_id) in self._annotations

    def png_path(self, image_id):
        """Path of an image's PNG; names that leave the folder are refused."""
        return path_inside(self.folder, self._annotations[image_key(image_id)]["file_name"])

    def has_scores(self):
        """True if every segment of a thing has a score, as predictions may."""
        return self._has_scores

    def photo_name(self, image_id):
        """File name of the photo itself, as the JSON has it, or None."""
        return self._photos.get(image_key(image_id))

    def read(self, image_id):
        """Ids and segments of one image.

        Returns:
          uint32 [H, W] segment ids; dict of int64 `ids` [S], ascending, float64 `scores` [S] (NaN
          where the JSON has none), and int64 `classes`, `crowd` [S + 1], whose last entry stands
          for void.

        Raises:
          UserError: the PNG is missing or broken, has an id that the JSON lacks or the reverse, an
            id occurs twice, a category is unknown.
        """
        path = self.png_path(image_id)
        ids = read_ids(path)
        return ids, self._segments(image_id)

    def _segments(self, image_id):
        segments = sorted(
            self._annotations[image_key(image_id)]["segments_info"],
            key=lambda segment: segment["id"],
        )
        where = f"image {image_id} in {self.json_path}"
        ids = np.array([segment["id"] for segment in segments], np.int64)
        repeated = ids[1:][ids[1:] == ids[:-1]]
        if repeated.size:
            raise UserError(f"{where} has segment {repeated[0]} twice; segments may not overlap.")
        if (ids == VOID).any():
            raise UserError(
                f"{where} has a segment with id 0, which means void; give it another id."
            )
        unknown = [s["category_id"] for s in segments if s["category_id"] not in self._class_of]
        if unknown:
            raise UserError(
                f"{where} has a segment of category {unknown[0]}, which is not among the categories."
            )
        return dict(
            ids=ids,
            scores=np.array([_score(segment.get("score")) for segment in segments], np.float64),
            classes=np.array(
                [self._class_of[s["category_id"]] for s in segments] + [self.dataset.ignore_label],
                np.int64,
            ),
            crowd=np.array([bool(s.get("iscrowd", 0)) for s in segments] + [False], np.int64),
        )

    def lookup(self, image_id, present, segments):
        """Index into `segments` of each id of int64 `present` (void: -1), checking that JSON and
        PNG agree.
        """
        index = np.searchsorted(segments["ids"], present)
        found = index < len(segments["ids"])
        found[found] = segments["ids"][index[found]] == present[found]
        where = f"{self.png_path(image_id)} and {self.json_path} disagree"
        strange = present[~found & (present != VOID)]
        if strange.size:
            raise UserError(f"{where}: segment {strange[0]} is in the PNG but not in the JSON.")
        empty = np.setdiff1d(segments["ids"], present)
        if empty.size:
            raise UserError(
                f"{where}: segment {empty[0]} is in the JSON but has no pixel in the PNG."
            )
        return np.where(found, index, -1)

    def read_labels(self, image_id):
        """Label maps of one image.

        Returns:
          `semantic` int32 [H, W] (`dataset.ignore_label` on void); `instance` int32 [H, W], 1, 2,
          ... for each segment of a thing, 0 elsewhere; `crowd` bool [H, W].
        """
        return self.to_labels(image_id, *self.read(image_id))[:3]

    def to_labels(self, image_id, ids, segments):
        """What `read` gave, as the label maps of `read_labels`, and float64 [N], the scores of
        instance 1 ... N.
        """
        lengths, (values,) = runs([ids.reshape(-1)])
        present, inverse = dense(values.astype(np.int64))
        index = self.lookup(image_id, present, segments)
        classes, crowd = segments["classes"][index], segments["crowd"][index].astype(bool)
        is_instance = np.isin(classes, self.dataset.thing_classes) & ~crowd
        numbers = np.where(is_instance, np.cumsum(is_instance), 0)
        scores = segments["scores"][index[is_instance]]
        tables = (classes.astype(np.int32), numbers.astype(np.int32), crowd)
        return *(np.repeat(table[inverse], lengths).reshape(ids.shape) for table in tables), scores


def read_pair(truth, prediction, image_id):
    """Reads one image of two `PanopticFiles`: what `PanopticFiles.read` gives for each.

    Raises:
      UserError: what `PanopticFiles.read` raises; the sizes differ; the prediction lacks the image.
    """
    if image_id not in prediction:
        raise UserError(
            f"{prediction.json_path} has no annotation for image {image_id} of {truth.json_path}."
        )
    gt, pred = truth.read(image_id), prediction.read(image_id)
    if gt[0].shape != pred[0].shape:
        raise UserError(
            f"{prediction.png_path(image_id)} is {_size(pred[0])} pixels, {truth.png_path(image_id)} {_size(gt[0])}; "
            "predictions must have the size of the truth."
        )
    return gt, pred


def compare(truth, prediction, image_id, pair=None):
    """`OverlapTable` of one image of two `PanopticFiles`, straight from the PNGs' ids.

    Instances in the table are positions of the segments in ascending order of their ids, from 1 on.
    `pair` is what `read_pair` gives, if it has been read already; errors are those of `read_pair`.
    """
    (gt_ids, gt_segments), (pred_ids, pred_segments) = pair or read_pair(
        truth, prediction, image_id
    )
    values, counts = count_combinations(gt=gt_ids, pred=pred_ids)
    gt = truth.lookup(image_id, values["gt"], gt_segments)
    pred = prediction.lookup(image_id, values["pred"], pred_segments)
    gt_columns = (gt_segments["classes"][gt], gt + 1, gt_segments["crowd"][gt])
    return table_from_counts(
        gt_columns, (pred_segments["classes"][pred], pred + 1), counts, truth.dataset.ignore_label
    )


class PanopticWriter:
    """Collects parses and writes them in the COCO panoptic format: PNGs at once, the JSON by
    `close`.

    Args:
      folder: where the PNGs go.
      json_path: the JSON.
      dataset: `schema.Dataset`.
    """

    def __init__(self, folder, json_path, dataset):
        self.folder, self.json_path = folder, json_path
        self._content = dict(images=[], annotations=[], categories=to_json_categories(dataset))

    def add(self, parsing, image_id, name, photo_name=None):
        """Writes one `Parsing` as `folder`/`name`.png. A name that leaves the folder is refused.

        An `image_id` of digits alone is written as a number, which the official tools look for.
        """
        path = path_inside(self.folder, f"{name}.png")
        ids, segments = parsing.to_coco()
        write_ids(path, ids)
        height, width = ids.shape
        self._content["images"].append(
            dict(
                id=image_key(image_id),
                file_name=photo_name or f"{name}.png",
                height=height,
                width=width,
            )
        )
        self._content["annotations"].append(
            dict(
                image_id=image_key(image_id),
                file_name=os.path.relpath(path, os.path.realpath(self.folder)),
                segments_info=segments,
            )
        )

    def close(self):
        """Writes the JSON."""
        with (
            atomic_path(self.json_path) as temporary,
            open(temporary, "w", encoding="utf-8") as file,
        ):
            json.dump(self._content, file)


def _check_annotation(annotation, json_path):
    """UserError unless all that is read of an image's annotation is there and of the right type."""
    if not isinstance(annotation, dict):
        raise UserError(
            f"{json_path} has an annotation that is no object of image_id, file_name and segments_info."
        )
    missing = [key for key in ("image_id", "file_name", "segments_info") if key not in annotation]
    if missing:
        raise UserError(f"an annotation in {json_path} lacks {missing[0]!r}.")
    where = f"image {annotation['image_id']} in {json_path}"
    if not isinstance(annotation["file_name"], str) or not isinstance(
        annotation["segments_info"], list
    ):
        raise UserError(f"{where} needs a file name and a list of segments.")
    for segment in annotation["segments_info"]:
        numbers = (
            [segment.get(key) for key in ("id", "category_id")]
            if isinstance(segment, dict)
            else [None]
        )
        if not all(isinstance(number, int) for number in numbers):
            raise UserError(
                f"{where} has a segment whose id and category_id are not both whole numbers."
            )
        if not 0 <= numbers[0] < _ID_LIMIT:
            raise UserError(
                f"{where} has segment {numbers[0]}; the PNG can hold ids below {_ID_LIMIT}."
            )


def _dataset_from_categories(categories, json_path):
    if not isinstance(categories, list) or not categories:
        raise UserError(f"{json_path} names no categories; the truth's JSON needs them.")
    found = []
    for category, default in zip(categories, distinct_colors(len(categories))):
        missing = (
            [key for key in ("id", "name", "isthing") if key not in category]
            if isinstance(category, dict)
            else ["id"]
        )
        if missing:
            raise UserError(f"a category in {json_path} lacks {missing[0]!r}.")
        if not isinstance(category["id"], int):
            raise UserError(
                f"category {category['name']!r} in {json_path} has an id that is no whole number."
            )
        color = category.get("color")
        color = tuple(color) if _is_color(color) else default
        found.append(
            Category(str(category["name"]), bool(category["isthing"]), color, category["id"])
        )
    ids = [category.original_id for category in found]
    repeated = [number for number in ids if ids.count(number) > 1]
    if repeated:
        raise UserError(f"{json_path} has category {repeated[0]} twice; give each its own id.")
    return Dataset(os.path.splitext(os.path.basename(json_path))[0], tuple(found))


def _is_color(value):
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(v, int) and 0 <= v <= 255 for v in value)
    )


def _score(value):
    return float(value) if isinstance(value, (int, float)) else np.nan


def _size(ids):
    return f"{ids.shape[0]} x {ids.shape[1]}"
