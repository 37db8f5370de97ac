"""The parse of one image, as people handle it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from deeperlab_tf.errors import UserError
from deeperlab_tf.files import storage
from deeperlab_tf.files.panoptic_png import VOID, color_to_id, write_ids
from deeperlab_tf.files.panoptic_writer import panoptic_content, panoptic_entries
from deeperlab_tf.files.results import writing_results
from deeperlab_tf.pixels.label_maps import dense
from deeperlab_tf.prediction.segments import LabelMaps, Segment, find_segments
from deeperlab_tf.schema import LABEL_DIVISOR, Dataset
from deeperlab_tf.visualize.drawing import LARGEST_JPEG_SIDE, Color, write_image
from deeperlab_tf.visualize.parses import draw_parsing, overlay_scale, segment_colors

_LARGEST_ID = np.iinfo(np.int32).max  # of panoptic maps


@dataclasses.dataclass(frozen=True)
class Parsing:
    """A panoptic parse: a class for every pixel, an instance for every pixel of a thing.

    Example:
      parsing = Predictor("runs/shapes")("photo.jpg")
      for segment in parsing.segments:
          print(segment.name, segment.score, segment.box)
      cars = parsing.semantic == parsing.dataset.class_names.index("car")

    Attributes:
      semantic: int32 [H, W], classes; `dataset.ignore_label` where there is none.
      instance: int32 [H, W], 1 and larger for instances, 0 elsewhere.
      panoptic: int32 [H, W], class * divisor + instance.
      segments: the regions, largest first.
      dataset: what the classes mean.
      image: uint8 [H, W, 3], RGB, or None.
      keypoints: float32 [N, P, 2], (y, x) of the detected instances' keypoints in pixels, row n - 1
        for instance n; or None.
    """

    semantic: np.ndarray
    instance: np.ndarray
    panoptic: np.ndarray
    segments: list[Segment]
    dataset: Dataset
    image: np.ndarray | None = None
    keypoints: np.ndarray | None = None

    @classmethod
    def from_fused(
        cls, outputs: Mapping[str, np.ndarray], dataset: Dataset, image: np.ndarray | None = None
    ) -> Parsing:
        """The parse of one image from what `fuse` gives.

        Args:
          outputs: of `fuse`, as arrays without the batch axis.
          dataset: what the classes mean.
          image: uint8 [H, W, 3], RGB, or None.
        """
        # Rows beyond the instances are padding.
        count = int(outputs["num_instances"])
        keypoints = outputs.get("instance_keypoints")  # [J, P, 2], where there are any
        return cls.from_maps(
            outputs["semantic"],
            outputs["instance"],
            dataset,
            image=image,
            panoptic=outputs["panoptic"],
            scores=outputs["instance_score"][:count],
            keypoints=None if keypoints is None else keypoints[:count],
        )

    @classmethod
    def from_maps(
        cls,
        semantic: np.ndarray,
        instance: np.ndarray,
        dataset: Dataset,
        image: np.ndarray | None = None,
        *,
        panoptic: np.ndarray | None = None,
        scores: Sequence[float] = (),
        keypoints: np.ndarray | None = None,
    ) -> Parsing:
        """The parse that label maps describe, ground truth for example.

        Args:
          semantic, instance: integer [H, W], see `Parsing`.
          dataset: what the classes mean.
          image: uint8 [H, W, 3], RGB, or None.
          panoptic: integer [H, W]; None: semantic * LABEL_DIVISOR + instance.
          scores: [N], confidence of instance 1 … N.
          keypoints: float32 [N, P, 2] or None.

        Raises:
          UserError: a class that the dataset does not have, or an instance's number is too large.

        Example:
          truth = Parsing.from_maps(sample["semantic"], sample["instance"], dataset)
          picture = truth.overlay(sample["image"])
        """
        if panoptic is None:
            panoptic = _panoptic(semantic, instance)
        maps = [np.asarray(labels, np.int32) for labels in (semantic, instance, panoptic)]
        maps = LabelMaps(*maps)
        segments = find_segments(maps, dataset, scores)
        return cls(*maps, segments, dataset, image, keypoints)

    def overlay(
        self, image: np.ndarray | None = None, colors: Mapping[int, Color] | None = None
    ) -> np.ndarray:
        """The parse drawn over an image.

        Args:
          image: uint8 [H, W, 3], RGB; None: the image it was made from.
          colors: colour of each segment id; None: `visualize.segment_colors`.

        Returns:
          uint8 [H, W, 3].

        Raises:
          UserError: no image is given, and the parse does not hold its own.
        """
        image = self.image if image is None else image
        if image is None:
            raise UserError("this parse does not hold its image; pass it to overlay(image).")
        return draw_parsing(image, self, colors)

    def to_coco(self) -> tuple[np.ndarray, list[dict]]:
        """The parse in the COCO panoptic format.

        Returns:
          uint32 [H, W] segment ids, 0 = void, the PNG's R + 256 G + 65536 B: each segment has its
          own shade of its class' colour. And `segments_info`, a list of dicts: id, category_id,
          area, bbox (x, y, width, height), iscrowd, and score where there is one.
        """
        colors = segment_colors(self)
        # Of each panoptic id its COCO id; pixels of no segment stay void.
        values, places = dense(self.panoptic.reshape(-1).astype(np.int64))
        id_of = dict.fromkeys(values.tolist(), VOID)
        infos = []
        for segment in self.segments:
            id_of[segment.id] = color_to_id(colors[segment.id])
            infos.append(_coco_info(segment, id_of[segment.id], self.dataset))
        ids = np.array([id_of[value] for value in values.tolist()], np.uint32)
        return ids[places.reshape(self.panoptic.shape)], infos

    def save(
        self,
        folder: str,
        name: str,
        image: np.ndarray | None = None,
        pictures: Mapping[str, np.ndarray] | None = None,
        source: str = "",
    ) -> None:
        """Writes the parse into files: all of them, or none.

        `folder`/`name`.png is a COCO panoptic PNG, `name`.json lists its segments, and
        `name`_overlay.jpg, where there is an image, shows it (.png if it is too large for a JPEG).
        Results of an earlier parse of that name are replaced; other files never are.

        Args:
          folder: made where it is missing.
          name: of the files; may have subfolders.
          image: uint8 [H, W, 3], RGB, to draw over; None: the image it was made from, if any.
          pictures: more pictures, uint8 [H, W, 3], RGB, by kind: they become `name`_KIND.png.
          source: path of the photo, whose results are not taken for those of another.

        Raises:
          UserError: `name` leaves the folder, there is a file of that name that is not a parse's,
            or a file cannot be written.

        Example:
          Predictor("runs/shapes")("photo.jpg").save("parses", "photo")
        """
        image = self.image if image is None else image
        with writing_results(folder, name, source) as files:
            ids, segments = self.to_coco()
            write_ids(files.path(".png"), ids)
            entries = panoptic_entries(ids.shape, segments, name, storage.normpath(f"{name}.png"))
            files.content.update(panoptic_content(*([entry] for entry in entries), self.dataset))
            for kind, picture in (pictures or {}).items():
                write_image(files.path(f"_{kind}.png"), picture)
            if image is not None:
                picture = draw_parsing(image, self, scale=overlay_scale(image))
                ending = ".png" if max(picture.shape) > LARGEST_JPEG_SIDE else ".jpg"
                write_image(files.path(f"_overlay{ending}"), picture)


def _panoptic(semantic, instance):
    """class * divisor + instance, int64 [H, W]; the divisor grows with the instances' numbers."""
    largest = np.max(instance, initial=0)
    divisor = max(LABEL_DIVISOR, int(largest) + 1)
    if divisor * (int(np.max(semantic, initial=0)) + 1) > _LARGEST_ID:
        raise UserError(
            f"instance {largest} is too large a number; number the instances from 1 on."
        )
    return np.multiply(semantic, divisor, dtype=np.int64) + instance


def _coco_info(segment, coco_id, dataset):
    """A segment's entry in `segments_info`."""
    y1, x1, y2, x2 = segment.box
    info = dict(
        id=coco_id,
        category_id=dataset.categories[segment.class_index].original_id,
        area=segment.area,
        bbox=[x1, y1, x2 - x1, y2 - y1],
        iscrowd=0,
    )
    if segment.score is not None:
        info["score"] = segment.score
    return info
