"""Writing parses in the COCO panoptic format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.atomic import write_pieces
from deeperlab_tf.files.panoptic_json import image_key, to_json_categories
from deeperlab_tf.files.panoptic_png import write_ids
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.files.reports import check_absent
from deeperlab_tf.files.written import Written
from deeperlab_tf.schema import Dataset


class Parse(Protocol):
    """What writers need of a `prediction.parsing.Parsing`, which stands a floor above them."""

    semantic: np.ndarray
    instance: np.ndarray
    panoptic: np.ndarray
    segments: list
    dataset: Dataset

    def to_coco(self) -> tuple[np.ndarray, list[dict]]:
        """uint32 [H, W] segment ids, and the JSON's `segments_info`."""


class PanopticWriter:
    """Collects parses and writes them: PNGs at once, the JSON by `close`; till then what it is to
    say lies in a temporary file.

    Args:
      folder: where the PNGs go.
      json_path: the JSON.
      dataset: what the classes mean.

    Raises:
      UserError: the JSON is there already; nothing is written over.

    Example:
      writer = PanopticWriter("parses", "parses/parses.json", predictor.dataset)
      for name in ("cat", "dog"):
          writer.add(predictor(f"{name}.jpg"), image_id=name, name=name)
      writer.close()
    """

    def __init__(self, folder: str, json_path: str, dataset: Dataset) -> None:
        check_absent(json_path)
        self.folder, self.json_path, self._dataset = folder, json_path, dataset
        self._written = Written()

    def add(
        self, parsing: Parse, image_id: int | str, name: str, photo_name: str | None = None
    ) -> None:
        """Writes one parse as `folder`/`name`.png.

        Args:
          parsing: the parse.
          image_id: digits alone are written as a number, which the official tools look for.
          name: of the PNG, without extension; may have folders.
          photo_name: of the photo; default: that of the PNG.

        Raises:
          UserError: `name` leaves the folder or was there before, or the PNG is there already or
            cannot be written.
        """
        plain = take_name(name, self._written)
        path = path_inside(self.folder, f"{name}.png")
        check_absent(path)
        png_name = storage.relpath(path, storage.abspath(self.folder))
        ids, segments = parsing.to_coco()
        write_ids(path, ids)
        image, annotation = panoptic_entries(ids.shape, segments, image_id, png_name)
        image["file_name"] = photo_name or f"{name}.png"
        self._written.describe(plain, images=image, annotations=annotation)

    def close(self) -> None:
        """Writes the JSON, whole or not at all.

        Raises:
          UserError: another is there by now, or it cannot be written.
        """
        check_absent(self.json_path)
        write_pieces(self.json_path, panoptic_pieces(self._written, "", self._dataset))


def take_name(name: str, written: Written) -> str:
    """Adds the name of a parse to those that a writer has had.

    Returns:
      the name without detours, by which it is known there.

    Raises:
      UserError: it had it before; one parse would replace the other.
    """
    plain = storage.normpath(name)
    if not written.take(plain):
        raise UserError(f"two photos are called {name!r}; give each a name of its own.")
    return plain


def panoptic_entries(
    size: tuple[int, int], segments: list[dict], image_id: int | str, file_name: str
) -> tuple[dict, dict]:
    """What a panoptic JSON says of one image: its entry in `images`, and that in `annotations`.

    Args:
      size: (height, width).
      segments: its `segments_info`.
      image_id: digits alone become a number.
      file_name: of the PNG; the photo takes the same.
    """
    key, (height, width) = image_key(image_id), size
    image = dict(id=key, file_name=file_name, height=height, width=width)
    return image, dict(image_id=key, file_name=file_name, segments_info=segments)


def panoptic_content(images: list[dict], annotations: list[dict], dataset: Dataset) -> dict:
    """A panoptic JSON, of what `panoptic_entries` gave."""
    categories = to_json_categories(dataset)
    return dict(images=images, annotations=annotations, categories=categories)


def panoptic_pieces(written: Written, part: str, dataset: Dataset) -> Iterator[str]:
    """The text of a panoptic JSON, of any length.

    Args:
      written: describes what `panoptic_entries` gave as `images` and `annotations`.
      part: which part of it.
      dataset: what the classes mean.
    """
    for key, start in (("images", '{"images": ['), ("annotations", '], "annotations": [')):
        yield start
        separator = ""
        for description in written.descriptions(part):
            yield separator + json.dumps(description[key])
            separator = ", "
    yield f'], "categories": {json.dumps(to_json_categories(dataset))}}}'
