"""Semantic and instance prediction fusion (paper Sec. 3.4.2): majority classes, segment ids, the
panoptic map.
"""

import collections

import tensorflow as tf

from deeperlab_tf.fusion import grid, ops, upsample
from deeperlab_tf.fusion.semantics import is_any

# What each pixel of the image belongs to, as labels of grid cells and, for mixed cells, of their 16
# pixels.   cell_class, cell_slot: int32 [h · w];  mixed: int32 [n] flat cells;  pixel_class,
# pixel_slot: int32 [n, 16]. Slots are possible segments: the J instances first, then one for each
# class, for stuff and for things of no instance. Only what has a thing class can have an instance's
# slot.
Parts = collections.namedtuple(
    "Parts", ["cell_class", "cell_slot", "mixed", "pixel_class", "pixel_slot"]
)

# Segments of things: id int32 [S] and majority class int32 [S] by slot; ids run from 1 to count in
# the order of slots, 0 for stuff and for slots without a pixel. slots int32 [S]: the slots with an
# id, then the others.
Segments = collections.namedtuple("Segments", ["id", "majority", "slots", "count"])


def segments(parts, num_instances, num_classes, thing_classes, grid_size, image_size):
    """Counts pixels and resolves each slot's class by majority vote (ties: the lowest class).

    Args:
      parts: `Parts`.
      num_instances: J.
      num_classes: number of semantic classes; S = J + num_classes.
      thing_classes: class indices of things.
      grid_size: int32 [2], h and w.
      image_size: int32 [2], H and W.

    Returns:
      `Segments`.
    """
    num_slots = num_instances + num_classes

    def votes(weights, labels, slots):
        index = ops.choose(is_any(labels, thing_classes), slots * num_classes + labels, -1)
        return tf.math.unsorted_segment_sum(
            tf.reshape(weights, [-1]), tf.reshape(index, [-1]), num_slots * num_classes
        )

    pixel_weights = tf.cast(upsample.visible_pixels(parts.mixed, grid_size, image_size), tf.int32)
    counts = votes(
        _cell_areas(parts.mixed, grid_size, image_size), parts.cell_class, parts.cell_slot
    )
    counts += votes(pixel_weights, parts.pixel_class, parts.pixel_slot)
    counts = tf.reshape(counts, [num_slots, num_classes])
    won = tf.cast(tf.reduce_any(counts > 0, axis=1), tf.int32)
    majority = tf.argmax(counts[:num_instances], axis=1, output_type=tf.int32)
    majority = tf.concat([majority, tf.range(num_classes)], axis=0)
    slots = tf.argsort(1 - won, stable=True)
    return Segments(tf.cumsum(won) * won, majority, slots, tf.reduce_sum(won))


def _cell_areas(mixed, grid_size, image_size):
    """Pixels labelled by each cell as a whole: int32 [h · w]; 0 for mixed cells, fewer than 16 at
    the far borders.
    """
    height, width = (
        tf.clip_by_value(
            image_size[axis] - grid.HEAD_STRIDE * tf.range(grid_size[axis]), 0, grid.HEAD_STRIDE
        )
        for axis in (0, 1)
    )
    areas = tf.reshape(height[:, None] * width, [-1])
    return tf.tensor_scatter_nd_update(areas, mixed[:, None], tf.zeros_like(mixed))


def label_maps(parts, segments, label_divisor, grid_size, image_size):
    """The parse at full resolution: stuff keeps its class and has id 0.

    Returns:
      panoptic, semantic, instance: int32 [H, W] each; panoptic = class · label_divisor + id.
    """
    codes = tf.bitwise.left_shift(segments.majority, _ID_BITS) + segments.id
    # One map is filled, with class and id side by side in the bits of a number: cheap to part,
    # unlike a division.
    code = upsample.fill(
        codes, parts.cell_slot, parts.mixed, parts.pixel_slot, grid_size, image_size
    )
    semantic = tf.bitwise.right_shift(code, _ID_BITS)
    instance = tf.bitwise.bitwise_and(code, 2**_ID_BITS - 1)
    return semantic * label_divisor + instance, semantic, instance


_ID_BITS = 16  # of ids beside a class


def tight_boxes(parts, wanted, grid_size, image_size):
    """Boxes around the pixels of slots that no keypoints describe.

    Args:
      parts: `Parts`.
      wanted: bool [S], the slots of interest.
      grid_size: int32 [2], h and w.
      image_size: int32 [2], H and W.

    Returns:
      float32 [S, 4] (y1, x1, y2, x2), outermost pixels included; zeros for other slots and those
      without a pixel.
    """
    num_slots = tf.size(wanted)
    whole = tf.gather(wanted, parts.cell_slot) & (
        _cell_areas(parts.mixed, grid_size, image_size) > 0
    )
    cells = grid.indices(whole)
    own = tf.gather(wanted, parts.pixel_slot) & upsample.visible_pixels(
        parts.mixed, grid_size, image_size
    )
    rows, columns = upsample.pixel_positions(parts.mixed, grid_size)
    positions = tf.repeat(rows, grid.HEAD_STRIDE, axis=1), tf.tile(columns, [1, grid.HEAD_STRIDE])
    pixels = tf.stack([tf.boolean_mask(x, own) for x in positions], axis=1)
    corner = tf.stack([cells // grid_size[1], cells % grid_size[1]], axis=1) * grid.HEAD_STRIDE
    opposite = tf.minimum(corner + grid.HEAD_STRIDE, image_size) - 1
    slots = tf.concat(
        [tf.gather(parts.cell_slot, cells), tf.boolean_mask(parts.pixel_slot, own)], axis=0
    )
    low = tf.math.unsorted_segment_min(tf.concat([corner, pixels], axis=0), slots, num_slots)
    high = tf.math.unsorted_segment_max(tf.concat([opposite, pixels], axis=0), slots, num_slots)
    return tf.cast(tf.where(high[:, :1] >= 0, tf.concat([low, high], axis=1), 0), tf.float32)


def merge(parts, instances, num_classes, thing_classes, grid_size, image_size, label_divisor):
    """Fuses semantics and instances of one image into its parse.

    Args:
      parts: `Parts`.
      instances: `detect.Instances`.
      num_classes: number of semantic classes.
      thing_classes: class indices of things.
      grid_size: int32 [2], h and w.
      image_size: int32 [2], H and W.
      label_divisor: panoptic = class · label_divisor + id.

    Returns:
      dict of panoptic, semantic, instance int32 [H, W], and num_instances int32; with T = J + the
      number of thing classes, instance_class int32 [T], instance_score float32 [T], instance_box
      float32 [T, 4], instance_keypoints float32 [T, P, 2].
    """
    num_instances = instances.scores.shape[0]
    found = segments(parts, num_instances, num_classes, thing_classes, grid_size, image_size)
    panoptic, semantic, instance = label_maps(parts, found, label_divisor, grid_size, image_size)
    slots = found.slots[: num_instances + len(thing_classes)]
    listed = tf.range(tf.size(slots)) < found.count
    is_instance = slots < num_instances

    def of_instances(values):
        values = tf.gather(values, tf.minimum(slots, num_instances - 1))
        return tf.where(
            tf.reshape(listed & is_instance, [-1] + [1] * (values.shape.rank - 1)), values, 0.0
        )

    def boxes_of_classes():
        wanted = (tf.range(tf.size(found.id)) >= num_instances) & (found.id > 0)
        return tf.gather(tight_boxes(parts, wanted, grid_size, image_size), slots)

    boxes = of_instances(instances.boxes)
    boxes += tf.cond(
        tf.reduce_any(listed & ~is_instance), boxes_of_classes, lambda: tf.zeros_like(boxes)
    )
    return {
        "panoptic": panoptic,
        "semantic": semantic,
        "instance": instance,
        "instance_class": tf.where(listed, tf.gather(found.majority, slots), -1),
        "instance_score": of_instances(instances.scores),
        "instance_box": boxes,
        "instance_keypoints": of_instances(instances.keypoints),
        "num_instances": found.count,
    }
