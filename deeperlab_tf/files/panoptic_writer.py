"""Writing parses in the COCO panoptic format."""

from __future__ import annotations

import json
import os
from typing import Protocol

import numpy as np

from deeperlab_tf.files.atomic import write_text
from deeperlab_tf.files.panoptic_json import image_key, to_json_categories
from deeperlab_tf.files.panoptic_png import write_ids
from deeperlab_tf.files.paths import path_inside
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
    """Collects parses and writes them: PNGs at once, the JSON by `close`.

    Args:
      folder: where the PNGs go.
      json_path: the JSON.
      dataset: what the classes mean.

    Example:
      writer = PanopticWriter("parses", "parses/parses.json", predictor.dataset)
      for name in ("cat", "dog"):
          writer.add(predictor(f"{name}.jpg"), image_id=name, name=name)
      writer.close()
    """

    def __init__(self, folder: str, json_path: str, dataset: Dataset) -> None:
        self.folder, self.json_path = folder, json_path
        self._categories = to_json_categories(dataset)
        self._images, self._annotations = [], []

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
          UserError: `name` leaves the folder, or the PNG cannot be written.
        """
        path = path_inside(self.folder, f"{name}.png")
        ids, segments = parsing.to_coco()
        write_ids(path, ids)

        height, width = ids.shape
        image = dict(
            id=image_key(image_id),
            file_name=photo_name or f"{name}.png",
            height=height,
            width=width,
        )
        annotation = dict(
            image_id=image_key(image_id),
            file_name=os.path.relpath(path, os.path.realpath(self.folder)),
            segments_info=segments,
        )
        self._images.append(image)
        self._annotations.append(annotation)

    def close(self) -> None:
        """Writes the JSON, whole or not at all."""
        content = dict(
            images=self._images, annotations=self._annotations, categories=self._categories
        )
        write_text(self.json_path, json.dumps(content))
