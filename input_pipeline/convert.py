"""Any dataset, written as a folder of masks or in COCO's panoptic format."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from ml_collections import ConfigDict
from PIL import Image
from tqdm import tqdm

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_pieces, write_text
from deeperlab_tf.files.images import IMAGE_ENDINGS
from deeperlab_tf.files.panoptic_png import write_ids
from deeperlab_tf.files.panoptic_writer import panoptic_entries, panoptic_pieces
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.files.written import Written
from deeperlab_tf.schema import IGNORE_LABEL, Dataset
from input_pipeline.datasets import Sample
from input_pipeline.sources import open_source

_MOST_IN_BYTE = 2**8 - 1
_MOST_IN_MASK = 2**16 - 1


def convert(config: ConfigDict, splits: Sequence[str], to: str, folder: str) -> dict[str, int]:
    """Writes splits of `config.data`.

    Args:
      config: the full config.
      splits: such as train and val.
      to: a key of `FORMATS`.
      folder: to write into; it need not exist.

    Returns:
      the number of images of each split.

    Raises:
      UserError: images are bad, all of which have been named; the splits have different classes.
    """
    sources = {split: open_source(config, split) for split in splits}
    datasets = [source.dataset for source in sources.values()]
    if any(dataset != datasets[0] for dataset in datasets):
        raise UserError(
            f"the splits {', '.join(splits)} have different classes; convert each alone."
        )
    writer = FORMATS[to](folder, datasets[0])
    errors = []
    for split, source in sources.items():
        for index in tqdm(range(len(source)), desc=split, unit="img"):
            try:
                sample, photo = source[index], next(iter(source.paths(index)), None)
            except UserError as error:
                errors.append(error)  # all that is bad is told at once
                tqdm.write(f"bad: {error}", file=sys.stderr)
                continue
            if not errors:
                writer.add(split, sample, photo)
    total = sum(map(len, sources.values()))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise UserError(
            f"{len(errors)} of {total} images cannot be converted, for the reasons above, and "
            "nothing was written; mend them, or take them out of the dataset."
        )
    writer.close()
    return {split: len(source) for split, source in sources.items()}


class Writer(Protocol):
    """Writer of one format; made with the folder to write into and the classes."""

    def __init__(self, folder: str, dataset: Dataset) -> None: ...

    def add(self, split: str, sample: Sample, photo: str | None) -> None:
        """Writes a sample; `photo` is the file of its picture, or None."""

    def close(self) -> None:
        """Writes what describes the samples."""


class FolderWriter:
    """Photos, class masks (id = place in the list, 255 = ignore), object masks, `classes.yaml`."""

    def __init__(self, folder: str, dataset: Dataset) -> None:
        self._folder, self._dataset = folder, dataset
        self._written = Written()

    def add(self, split: str, sample: Sample, photo: str | None) -> None:
        """Writes photo and masks."""
        name = _new_name(self._written, split, sample["image_id"])
        _copy_photo(sample, photo, path_inside(self._folder, f"photos/{name}"))
        _write_mask(path_inside(self._folder, f"classes/{name}.png"), sample["semantic"])
        if self._dataset.thing_classes:
            _write_mask(path_inside(self._folder, f"objects/{name}.png"), sample["instance"])

    def close(self) -> None:
        """Writes the description and the lists."""
        classes = [
            {
                "name": category.name,
                "type": "thing" if category.is_thing else "stuff",
                "id": label,
                "color": list(category.color),
            }
            for label, category in enumerate(self._dataset.categories)
        ]
        description = {
            "name": self._dataset.name,
            "images": "photos/{id}.*",
            "semantic": "classes/{id}.png",
            "instances": "objects/{id}.png",
            "classes": classes,
            "ignore": [IGNORE_LABEL],
            "split": {split: f"{split}.txt" for split in self._written.parts()},
        }
        if not self._dataset.thing_classes:
            del description["instances"]
        for split in self._written.parts():
            lines = (f"{name}\n" for name in self._written.names(split))
            write_pieces(storage.join(self._folder, f"{split}.txt"), lines)
        # JSON keeps every name as it is, and is YAML, too.
        text = json.dumps(description, indent=2, ensure_ascii=False)
        write_text(storage.join(self._folder, "classes.json"), text + "\n")


class CocoWriter:
    """COCO's panoptic format, a JSON and a folder of PNGs for each split."""

    def __init__(self, folder: str, dataset: Dataset) -> None:
        self._folder, self._dataset = folder, dataset
        self._written, self._count = Written(), 0

    def add(self, split: str, sample: Sample, photo: str | None) -> None:
        """Writes photo and PNG."""
        name = _new_name(self._written, split, sample["image_id"])
        file_name = _copy_photo(sample, photo, path_inside(self._folder, f"{split}/{name}"))
        ids, segments = _segments(sample, self._dataset)
        png = path_inside(self._folder, f"annotations/panoptic_{split}/{name}.png")
        write_ids(png, ids)

        self._count += 1
        image, annotation = panoptic_entries(ids.shape, segments, self._count, f"{name}.png")
        image["file_name"] = storage.join(storage.dirname(name), file_name)
        self._written.describe(_plain(name), images=image, annotations=annotation)

    def close(self) -> None:
        """Writes a JSON for each split."""
        for split in self._written.parts():
            path = storage.join(self._folder, "annotations", f"panoptic_{split}.json")
            write_pieces(path, panoptic_pieces(self._written, split, self._dataset))


FORMATS: dict[str, type[Writer]] = {"folder": FolderWriter, "coco": CocoWriter}


def _segments(sample: Sample, dataset: Dataset) -> tuple[np.ndarray, list[dict]]:
    """Segment ids uint32 [H, W], 0 = void, and the `segments_info` of a panoptic JSON."""
    semantic, instance, crowd = (sample[key] for key in ("semantic", "instance", "crowd"))
    # A segment is a triple of these.
    key = (semantic.astype(np.int64) << 33) | (instance.astype(np.int64) << 1) | crowd
    values, place = np.unique(key, return_inverse=True)
    place = place.reshape(semantic.shape)
    areas = np.bincount(place.ravel())
    ids, segments = np.zeros(len(values), np.uint32), []
    for index, value in enumerate(values.tolist()):
        label = value >> 33
        if label == IGNORE_LABEL:
            continue
        ids[index] = len(segments) + 1
        rows, columns = np.nonzero(place == index)
        x, y = int(columns.min()), int(rows.min())
        box = [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1]
        segments.append(
            dict(
                id=int(ids[index]),
                category_id=dataset.categories[label].original_id,
                area=int(areas[index]),
                bbox=box,
                iscrowd=value & 1,
            )
        )
    return ids[place], segments


def _write_mask(path: str, numbers: np.ndarray) -> None:
    most = int(numbers.max(initial=0))
    if most > _MOST_IN_MASK:
        raise UserError(f"{path} would need numbers up to {most}; a mask holds {_MOST_IN_MASK}.")
    storage.makedirs(storage.dirname(path))
    _save_png(path, numbers.astype(np.uint8 if most <= _MOST_IN_BYTE else np.uint16))


def _copy_photo(sample: Sample, photo: str | None, path: str) -> str:
    """Name of the file that was written: `path` with the ending of the photo's, or as a PNG where
    nothing would find it by its ending.
    """
    storage.makedirs(storage.dirname(path))
    if photo is None or not photo.lower().endswith(IMAGE_ENDINGS):
        path += ".png"
        _save_png(path, sample["image"])
    else:
        path += storage.splitext(photo)[1]
        storage.copy(photo, path)
    return storage.basename(path)


def _save_png(path: str, pixels: np.ndarray) -> None:
    with storage.open(path, "wb") as file:
        Image.fromarray(pixels).save(file, "PNG")


def _new_name(written: Written, split: str, image_id: str) -> str:
    """The sample's name; where another one has the same, be it in capitals, with a number."""
    name, number = image_id, 1
    while not written.take(name, split, _plain(name)):
        number += 1
        name = f"{image_id}_{number}"
    return name


def _plain(name: str) -> str:
    return name.lower()
