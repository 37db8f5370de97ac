"""Semantic and instance prediction fusion (paper Sec. 3.4.2): majority classes, segment ids, the panoptic map."""

import collections

import tensorflow as tf

from deeperlab_tf.fusion import grid, upsample

# What each pixel of the image belongs to, as labels of grid cells and, for mixed cells, of their 16 pixels.
#   cell_class, cell_slot: int32 [h · w];  mixed: int32 [n] flat cells;  pixel_class, pixel_slot: int32 [n, 16].
# A slot is an instance's number before those that won no pixel are dropped; -1 on stuff.
Parts = collections.namedtuple("Parts", ["cell_class", "cell_slot", "mixed", "pixel_class", "pixel_slot"])

# Segments: id int32 [S] and majority class int32 [S] by slot; ids run from 1 to count in the order of slots, 0 for
# slots without a pixel. slots int32 [S]: the slots with pixels, then the others.
Segments = collections.namedtuple("Segments", ["id", "majority", "slots", "count"])


def class_slots(thing_classes, num_classes, first):
    """Slots for thing pixels that no instance claims, one per thing class in class order from `first` on: int32 [K].

    -1 for stuff.
    """
    slots = [-1] * num_classes
    for number, label in enumerate(sorted(thing_classes)):
        slots[label] = first + number
    return tf.constant(slots)


def segments(parts, num_slots, num_classes, grid_size, image_size):
    """Counts pixels and resolves each slot's class by majority vote (ties: the lowest class).

    Args:
      parts: `Parts`.
      num_slots: S.
      num_classes: number of semantic classes.
      grid_size: int32 [2], h and w.
      image_size: int32 [2], H and W.

    Returns:
      `Segments`.
    """

    def votes(weights, labels, slots):
        index = tf.where(slots >= 0, slots * num_classes + labels, -1)
        return tf.math.unsorted_segment_sum(tf.reshape(weights, [-1]), tf.reshape(index, [-1]), num_slots * num_classes)

    pixel_weights = tf.cast(upsample.visible_pixels(parts.mixed, grid_size, image_size), tf.int32)
    counts = votes(_cell_areas(parts.mixed, grid_size, image_size), parts.cell_class, parts.cell_slot)
    counts += votes(pixel_weights, parts.pixel_class, parts.pixel_slot)
    counts = tf.reshape(counts, [num_slots, num_classes])
    won = tf.cast(tf.reduce_any(counts > 0, axis=1), tf.int32)
    majority = tf.argmax(counts, axis=1, output_type=tf.int32)
    slots = tf.argsort(1 - won, stable=True)
    return Segments(tf.cumsum(won) * won, majority, slots, tf.reduce_sum(won))


def _cell_areas(mixed, grid_size, image_size):
    """Pixels labelled by each cell as a whole: int32 [h · w]; 0 for mixed cells, fewer than 16 at the far borders."""
    height, width = (
        tf.clip_by_value(image_size[axis] - grid.HEAD_STRIDE * tf.range(grid_size[axis]), 0, grid.HEAD_STRIDE)
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

    def encode(labels, slots):
        return tf.where(
            slots >= 0, tf.gather(codes, tf.maximum(slots, 0)), tf.bitwise.left_shift(labels, _ID_BITS)
        )

    # One map is filled, with class and id side by side in the bits of a number: cheap to part, unlike a division.
    code = upsample.fill(
        encode(parts.cell_class, parts.cell_slot),
        parts.mixed,
        encode(parts.pixel_class, parts.pixel_slot),
        grid_size,
        image_size,
    )
    semantic = tf.bitwise.right_shift(code, _ID_BITS)
    instance = tf.bitwise.bitwise_and(code, 2**_ID_BITS - 1)
    return semantic * label_divisor + instance, semantic, instance


_ID_BITS = 16  # of ids beside a class


def tight_boxes(parts, first, num_slots, grid_size, image_size):
    """Boxes around the pixels of the slots from `first` on, which no keypoints describe.

    Args:
      parts: `Parts`.
      first: int, the first slot of interest.
      num_slots: S, all slots.
      grid_size: int32 [2], h and w.
      image_size: int32 [2], H and W.

    Returns:
      float32 [S, 4] (y1, x1, y2, x2), outermost pixels included; zeros for other slots and those without a pixel.
    """
    whole = (parts.cell_slot >= first) & (_cell_areas(parts.mixed, grid_size, image_size) > 0)
    cells = grid.indices(whole)
    own = (parts.pixel_slot >= first) & upsample.visible_pixels(parts.mixed, grid_size, image_size)
    pixels = tf.stack([tf.boolean_mask(x, own) for x in upsample.pixel_positions(parts.mixed, grid_size)], axis=1)
    corner = tf.stack([cells // grid_size[1], cells % grid_size[1]], axis=1) * grid.HEAD_STRIDE
    opposite = tf.minimum(corner + grid.HEAD_STRIDE, image_size) - 1
    slots = tf.concat([tf.gather(parts.cell_slot, cells), tf.boolean_mask(parts.pixel_slot, own)], axis=0)
    low = tf.math.unsorted_segment_min(tf.concat([corner, pixels], axis=0), slots, num_slots)
    high = tf.math.unsorted_segment_max(tf.concat([opposite, pixels], axis=0), slots, num_slots)
    return tf.cast(tf.where(high[:, :1] >= 0, tf.concat([low, high], axis=1), 0), tf.float32)


def merge(parts, instances, num_classes, num_slots, grid_size, image_size, label_divisor):
    """Fuses semantics and instances of one image into its parse.

    Args:
      parts: `Parts`; slots are the instances' indices, then those of `class_slots`.
      instances: `detect.Instances`.
      num_classes: number of semantic classes.
      num_slots: S, instances and thing classes together.
      grid_size: int32 [2], h and w.
      image_size: int32 [2], H and W.
      label_divisor: panoptic = class · label_divisor + id.

    Returns:
      dict of panoptic, semantic, instance int32 [H, W], instance_class int32 [S], instance_score float32 [S], instance_box
      float32 [S, 4], instance_keypoints float32 [S, P, 2], num_instances int32.
    """
    found = segments(parts, num_slots, num_classes, grid_size, image_size)
    panoptic, semantic, instance = label_maps(parts, found, label_divisor, grid_size, image_size)
    listed = tf.range(num_slots) < found.count
    first = instances.scores.shape[0]  # slot of the first class segment
    is_instance = found.slots < first

    def of_instances(values):
        padding = [[0, num_slots - values.shape[0]]] + [[0, 0]] * (values.shape.rank - 1)
        values = tf.gather(tf.pad(values, padding), found.slots)
        return tf.where(tf.reshape(listed & is_instance, [-1] + [1] * (values.shape.rank - 1)), values, 0.0)

    boxes = tf.cond(
        tf.reduce_any(listed & ~is_instance),
        lambda: tf.gather(tight_boxes(parts, first, num_slots, grid_size, image_size), found.slots),
        lambda: tf.zeros([num_slots, 4]),
    )
    return {
        "panoptic": panoptic,
        "semantic": semantic,
        "instance": instance,
        "instance_class": tf.where(listed, tf.gather(found.majority, found.slots), -1),
        "instance_score": of_instances(instances.scores),
        "instance_box": of_instances(instances.boxes) + boxes,
        "instance_keypoints": of_instances(instances.keypoints),
        "num_instances": found.count,
    }
