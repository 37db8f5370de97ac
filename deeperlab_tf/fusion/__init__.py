"""Prediction fusion (paper Sec. 3.4): from the five heads' maps to a panoptic parse.

One file for each step, in the order of the paper; `parse_image` strings them together. Their words:

  voter      a cell of a keypoint's disk (`voters`), or any cell that votes for one (`hough`).
  vote       where a voter's offset points to: a keypoint's position.
  λ          the size of an instance: square root of its box area (`boxes.scale`), pixels.
  founder    a candidate keypoint whose proposal becomes an instance (`select`).
  mixed      a cell whose corners have different classes: its pixels are labelled one by one.
  orphan     a mixed cell inside which a thing class surfaces that none of its corners has.
  support    the cells whose long-range offsets matter: thing cells and the corners of orphans.
  claim      an instance claims a pixel that predicts keypoints near enough to its own; what is
             claimed by none is a crowd, or a missed object.
  contested  a cell whose corners belong to different instances: its pixels are assigned one by one.
  slot       what a pixel can belong to: one of the instances, or the segment of a class.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.config import check_label_divisor
from deeperlab_tf.errors import UserError
from deeperlab_tf.fusion import ops
from deeperlab_tf.fusion.assign import assign_pixels
from deeperlab_tf.fusion.detect import find_instances
from deeperlab_tf.fusion.hough import score_map
from deeperlab_tf.fusion.maps import Maps, flat_maps
from deeperlab_tf.fusion.merge import merge_parse
from deeperlab_tf.fusion.predict import predict_instances
from deeperlab_tf.fusion.refine import refine_support
from deeperlab_tf.fusion.semantics import Classes, label_pixels
from deeperlab_tf.heads import head_channels
from deeperlab_tf.keypoints import KeypointGraph, keypoint_graph

__all__ = ["fuse"]


@tf.autograph.experimental.do_not_convert
def fuse(
    heads: dict[str, Tensor],
    image_size: Sequence[int | Tensor],
    thing_classes: Sequence[int],
    fusion: ConfigDict,
) -> dict[str, Tensor]:
    """Fuses the heads' predictions into a panoptic parse (paper Sec. 3.4).

    Works eagerly, inside tf.function and exported, for batches of any size; every image is parsed
    on its own. Where the shapes of the heads are known and `image_size` are ints, a tf.function may
    have jit_compile=True.

    Args:
      heads: dict of float32 maps at stride 4: semantic_logits [B, h, w, classes], keypoint_logits
        [B, h, w, P], short_offsets and long_offsets [B, h, w, P · 2], middle_offsets
        [B, h, w, E · 2]; offsets in pixels, (y, x).
      image_size: (H, W) of the output, ints or int32 scalars, at most 4 · (h - 1) + 1 and
        4 · (w - 1) + 1.
      thing_classes: class indices of things.
      fusion: config.fusion.

    Returns:
      dict, with J = fusion.max_instances + the number of thing classes:
        semantic, instance, panoptic: int32 [B, H, W]; panoptic = class · label_divisor + instance,
          instance 0 on stuff.
        num_instances: int32 [B]; instances have the ids 1 … num_instances, in descending score.
        instance_class: int32 [B, J]; row i describes id i + 1, rows from num_instances on are
          padding (class -1).
        instance_score: float32 [B, J].
        instance_box: float32 [B, J, 4] (y1, x1, y2, x2), the outermost pixels included.
        instance_keypoints: float32 [B, J, P, 2].
      Thing pixels that no instance claims, because none was detected or because they predict none
      of those (fusion.assignment), are one segment per class, last, with score 0. Segments that
      config.fusion.merging calls too small have the class `schema.IGNORE_LABEL`, instance 0.

    Raises:
      UserError: eagerly, for NaN or infinity in a head; always, for heads or a config that do not
        fit together.

    Example:
      >>> heads = network(images, training=False)  # images: [B, 721, 721, 3]
      >>> parse = fuse(heads, (721, 721), dataset.thing_classes, config.fusion)
      >>> parse["panoptic"].shape
      TensorShape([B, 721, 721])
    """
    graph = keypoint_graph(fusion.keypoint_graph)
    check_label_divisor(fusion)
    heads = _checked(heads, graph)
    logits = heads["semantic_logits"]
    things = tuple(int(label) for label in thing_classes)
    classes = Classes(logits.shape[-1], things)
    is_known = all(head.shape.is_fully_defined() for head in heads.values())
    if not all(isinstance(side, int) for side in image_size):
        is_known = False
        image_size = tf.stack([tf.cast(side, tf.int32) for side in image_size])

    def parse(number):
        image = {name: head[number] for name, head in heads.items()}
        maps = flat_maps(image, graph, fusion.keypoint_radius)
        return parse_image(maps, image_size, classes, fusion)

    def parse_all():
        if logits.shape[0] == 1:
            return {name: value[None] for name, value in parse(0).items()}
        numbers = tf.range(tf.shape(logits)[0])
        return tf.map_fn(parse, numbers, fn_output_signature=_SIGNATURE, parallel_iterations=1)

    # XLA wants to know the sizes; without them there is only the plain graph.
    return ops.in_both_forms(parse_all) if is_known else parse_all()


_SIGNATURE = {
    "panoptic": tf.int32,
    "semantic": tf.int32,
    "instance": tf.int32,
    "instance_class": tf.int32,
    "instance_score": tf.float32,
    "instance_box": tf.float32,
    "instance_keypoints": tf.float32,
    "num_instances": tf.int32,
}


def parse_image(
    maps: Maps, image_size: Tensor, classes: Classes, fusion: ConfigDict
) -> dict[str, Tensor]:
    """`fuse` for one image.

    Args:
      maps: `Maps` of the image.
      image_size: int32 [2], H and W.
      classes: `Classes`.
      fusion: config.fusion.

    Returns:
      dict with the keys of `fuse`, without batch dimension.
    """
    grid = maps.grid
    semantics = label_pixels(maps.semantic_logits, classes, grid)

    # 3.4.1 Recursive offset refinement. The middle-range offsets' is part of following them.
    of_things, targets = refine_support(semantics, maps, fusion.refinement)
    # 3.4.1 Keypoint localization.
    scores = score_map(of_things, maps, fusion.voting)
    # 3.4.1 Instance detection.
    instances = find_instances(scores, maps, fusion)
    # 3.4.1 Assignment of pixels to instances.
    predictions = predict_instances(semantics, targets, instances, maps, fusion.assignment)
    parts = assign_pixels(semantics, predictions, fusion.max_instances, classes, grid)
    # 3.4.2 Semantic and instance prediction fusion.
    return merge_parse(parts, instances, classes, grid, image_size, fusion)


def _checked(heads: dict[str, Tensor], graph: KeypointGraph) -> dict[str, Tensor]:
    """The five heads as tensors; UserError if they do not fit the graph or (eagerly) not finite."""
    channels = head_channels(graph)
    checked = {}
    for name, expected in channels.items():
        if name not in heads:
            raise UserError(f"the head {name!r} is missing; fuse needs {sorted(channels)}.")
        head = tf.convert_to_tensor(heads[name], tf.float32)
        checked[name] = head

        is_map = head.shape.rank == 4 and head.shape[-1] is not None
        if not is_map or (expected and head.shape[-1] != expected):
            needed = f"[B, h, w, {expected or 'classes'}]"
            raise UserError(f"the head {name!r} has shape {head.shape}; fuse needs {needed}.")

        # One pass: a sum is finite only if all its terms are.
        if tf.executing_eagerly() and not tf.math.is_finite(tf.reduce_sum(head)):
            raise UserError(
                f"the head {name!r} holds NaN or infinity; the training may have diverged."
            )
    return checked
