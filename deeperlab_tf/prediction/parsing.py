"""The parse of one image, as people handle it.

Its methods that draw or write import what they need when called: pictures and files know `Parsing`,
not the reverse.
"""

import dataclasses
import os

import numpy as np
from scipy import ndimage

from deeperlab_tf.errors import UserError
from deeperlab_tf.files.paths import path_inside
from deeperlab_tf.label_maps import count_combinations, dense
from deeperlab_tf.schema import LABEL_DIVISOR, Dataset

_LARGEST_ID = np.iinfo(np.int32).max  # of panoptic maps


@dataclasses.dataclass(frozen=True)
class Segment:
    """One region of a parse.

    Attributes:
      id: its value in `Parsing.panoptic`.
      class_index: class, an index into the dataset's categories.
      name: the class' name.
      is_thing: True for an instance of a thing.
      instance: its value in `Parsing.instance`; 0 for stuff.
      score: confidence of a detected instance in 0-1; None for stuff.
      box: (y1, x1, y2, x2) in pixels, y2 and x2 exclusive.
      area: pixels.
    """

    id: int
    class_index: int
    name: str
    is_thing: bool
    instance: int
    score: float
    box: tuple
    area: int


@dataclasses.dataclass(frozen=True)
class Parsing:
    """A panoptic parse: a class for every pixel, an instance for every pixel of a thing.

    Attributes:
      semantic: int32 [H, W], classes; `dataset.ignore_label` where there is none.
      instance: int32 [H, W], 1 and larger for instances, 0 elsewhere.
      panoptic: int32 [H, W], class * divisor + instance.
      segments: list of `Segment`, largest first.
      dataset: `schema.Dataset`, what the classes mean.
      image: uint8 [H, W, 3], RGB, or None.
      keypoints: float32 [N, P, 2], (y, x) of the detected instances' keypoints in pixels, row n - 1
        for instance n; or None.
    """

    semantic: np.ndarray
    instance: np.ndarray
    panoptic: np.ndarray
    segments: list
    dataset: Dataset
    image: np.ndarray = None
    keypoints: np.ndarray = None

    @classmethod
    def from_fused(cls, outputs, dataset, image=None):
        """Parse of one image from the outputs of `fuse`, as numpy arrays without the batch axis."""
        count = int(outputs["num_instances"])
        keypoints = outputs.get("instance_keypoints")
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
        cls, semantic, instance, dataset, image=None, panoptic=None, scores=(), keypoints=None
    ):
        """Parse of label maps, ground truth for example.

        Args:
          semantic, instance: integer [H, W], see `Parsing`.
          dataset: `schema.Dataset`.
          image: uint8 [H, W, 3] or None.
          panoptic: integer [H, W]; default: semantic * LABEL_DIVISOR + instance.
          scores: [N], of instance 1 ... N.
          keypoints: [N, P, 2] or None.
        """
        if panoptic is None:
            divisor = max(LABEL_DIVISOR, int(np.max(instance, initial=0)) + 1)
            if divisor * (int(np.max(semantic, initial=0)) + 1) > _LARGEST_ID:
                raise UserError(
                    f"instance {np.max(instance)} is too large a number; number the instances from 1 on."
                )
            panoptic = np.multiply(semantic, divisor, dtype=np.int64) + instance
        semantic, instance, panoptic = (
            np.asarray(labels, np.int32) for labels in (semantic, instance, panoptic)
        )
        segments = _segments(semantic, instance, panoptic, dataset, scores)
        return cls(semantic, instance, panoptic, segments, dataset, image, keypoints)

    def overlay(self, image=None, colors=None):
        """The parse drawn over `image` (default: the image it was made from); uint8 [H, W, 3]."""
        from deeperlab_tf.visualize import parses as visualize

        image = self.image if image is None else image
        if image is None:
            raise UserError("this parse does not hold its image; pass it to overlay(image).")
        return visualize.draw_parsing(image, self, colors)

    def to_coco(self):
        """The parse in the COCO panoptic format.

        Returns:
          uint32 [H, W] segment ids, 0 = void, the PNG's R + 256 G + 65536 B: each segment has its
          own shade of its class' colour. And the `segments_info` list of dicts: id, category_id,
          area, bbox (x, y, width, height), iscrowd, and score where there is one.
        """
        from deeperlab_tf.files import panoptic_png
        from deeperlab_tf.visualize import parses as visualize

        colors = visualize.segment_colors(self)
        infos = []
        values, places = dense(self.panoptic.reshape(-1).astype(np.int64))
        id_of = dict.fromkeys(values.tolist(), panoptic_png.VOID)
        for segment in self.segments:
            id_of[segment.id] = panoptic_png.color_to_id(colors[segment.id])
            y1, x1, y2, x2 = segment.box
            info = dict(
                id=id_of[segment.id],
                category_id=self.dataset.categories[segment.class_index].original_id,
                area=segment.area,
                bbox=[x1, y1, x2 - x1, y2 - y1],
                iscrowd=0,
            )
            if segment.score is not None:
                info["score"] = segment.score
            infos.append(info)
        ids = np.array([id_of[value] for value in values.tolist()], np.uint32)[
            places.reshape(self.panoptic.shape)
        ]
        return ids, infos

    def save(self, folder, name, image=None):
        """Writes `folder`/`name`.png (COCO panoptic PNG), `name`.json (its segments),
        `name`_overlay.jpg with an image.

        Raises:
          UserError: `name` leaves the folder, or it cannot be written.
        """
        from deeperlab_tf.files.panoptic_writer import PanopticWriter
        from deeperlab_tf.visualize import parses as visualize
        from deeperlab_tf.visualize.drawing import write_image

        writer = PanopticWriter(folder, path_inside(folder, f"{name}.json"), self.dataset)
        writer.add(self, image_id=name, name=name)
        writer.close()
        image = self.image if image is None else image
        if image is not None:
            picture = visualize.draw_parsing(image, self, scale=visualize.overlay_scale(image))
            write_image(os.path.join(folder, f"{name}_overlay.jpg"), picture)


def _segments(semantic, instance, panoptic, dataset, scores):
    """List of `Segment`, largest first; pixels of no class belong to none."""
    values, places = dense(panoptic.reshape(-1).astype(np.int64))
    numbers = places.reshape(panoptic.shape).astype(np.int32)
    boxes = ndimage.find_objects(numbers + 1)
    columns, areas = count_combinations(number=numbers, semantic=semantic, instance=instance)
    segments = []
    for number, class_index, index, area in zip(*columns.values(), areas):
        if class_index == dataset.ignore_label:
            continue
        if class_index >= dataset.num_classes:
            raise UserError(
                f"the parse holds class {class_index}; {dataset.name} has {dataset.num_classes} classes."
            )
        rows, cols = boxes[number]
        segments.append(
            Segment(
                id=int(values[number]),
                class_index=int(class_index),
                name=dataset.categories[class_index].name,
                is_thing=dataset.categories[class_index].is_thing,
                instance=int(index),
                score=float(scores[index - 1]) if 0 < index <= len(scores) else None,
                box=(rows.start, cols.start, rows.stop, cols.stop),
                area=int(area),
            )
        )
    return sorted(segments, key=lambda segment: -segment.area)
