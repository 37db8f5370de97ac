"""Training targets of the five heads, made on the fly (paper Sec. 3.3.1 and 3.3.2, Fig. 4).

All instance targets live on the stride-4 grid, in pixels of the network input, (y, x) order, destination minus source.
The cost is O(pixels) + O(instances · R²): boxes and centres come from the horizontal runs of the instance map, disks
are stamped as small windows, and every offset is one gather from the table of keypoints.
"""

import collections

import numpy as np
import tensorflow as tf

from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.schema import IGNORE_LABEL

STRIDE = 4  # of the heads' grid; cell (i, j) sits on pixel (4i, 4j)

_NOWHERE = -1  # a destination above the image: there is none

# Horizontal stretches of one instance: row, first column, length and the instance's index of each, int32 [M].
_Runs = collections.namedtuple("_Runs", ["row", "column", "length", "index"])


def make_targets(semantic, instance, crowd, config):
    """Turns the labels of one (cropped) image into what the heads are trained on.

    Boxes and centres of mass are those of the mask as cropped. Where disks of one keypoint kind overlap, the nearest
    keypoint owns the cell; ties go to the smaller instance, then to the lower id. Crowd and ignored pixels belong to no
    instance and are inactive in every mask. Keypoints are supervised on stuff too: corners usually lie off the object.

    Args:
      semantic: int32 [H, W], 255 = ignore. H and W are 16k + 1.
      instance: int32 [H, W], >= 1 and unique per thing instance, 0 elsewhere.
      crowd: bool [H, W].
      config: the full config; reads data.keypoint_radius, data.keypoint_graph and train.small_instance_*.

    Returns:
      dict, with h, w = (H - 1) / 4 + 1, (W - 1) / 4 + 1, P keypoints and E edges of the relation graph:
        semantic int32 [H, W]; semantic_weight float32 [H, W], 0 on ignored pixels, small_instance_weight in small
        instances, else 1 (Eq. 1);
        keypoint_heatmap float32 [h, w, P] in {0, 1}; keypoint_mask float32 [h, w], 1 where the heatmap counts;
        short_offsets, long_offsets float32 [h, w, P * 2], middle_offsets float32 [h, w, E * 2], channels (y, x) of
        each keypoint or edge in turn, 0 where inactive;
        short_mask float32 [h, w, P], middle_mask float32 [h, w, E], long_mask float32 [h, w], 1 = active.
    """
    graph = keypoint_graph(config.data.keypoint_graph)
    valid = tf.not_equal(semantic, IGNORE_LABEL)
    counts = valid & ~crowd
    instance *= tf.cast(counts, tf.int32)
    ids, areas, keypoints, runs = _instances(instance, graph)

    counts_on_grid = counts[::STRIDE, ::STRIDE]
    owner = _disk_owner(keypoints, counts_on_grid, config.data.keypoint_radius)
    return {
        "semantic": semantic,
        "semantic_weight": _semantic_weight(valid, areas, runs, config.train),
        **_keypoint_targets(owner, keypoints, counts_on_grid, graph),
        **_long_targets(ids, keypoints, instance[::STRIDE, ::STRIDE]),
    }


def _instances(instance, graph):
    """All instances by ascending (area, id): that is the order in which they win ties.

    Returns:
      ids int32 [N], areas int32 [N], keypoints float32 [N, P, 2], and the `_Runs` they consist of.
    """
    runs, ids = _horizontal_runs(instance)
    count = tf.size(ids)
    areas = tf.math.unsorted_segment_sum(runs.length, runs.index, count)
    order = tf.argsort(_pack(areas, ids))
    runs = runs._replace(index=tf.gather(tf.math.invert_permutation(order), runs.index))
    ids, areas = tf.gather(ids, order), tf.gather(areas, order)

    last_column = runs.column + runs.length - 1
    top_left = tf.math.unsorted_segment_min(tf.stack([runs.row, runs.column], axis=1), runs.index, count)
    bottom_right = tf.math.unsorted_segment_max(tf.stack([runs.row, last_column], axis=1), runs.index, count)
    # Twice the mean coordinate of a run is an integer: the sums stay exact however large the image.
    doubled_mean = tf.cast(tf.stack([2 * runs.row, runs.column + last_column], axis=1), tf.int64)
    moments = doubled_mean * tf.cast(runs.length, tf.int64)[:, None]
    moments = tf.math.unsorted_segment_sum(moments, runs.index, count)
    center = tf.cast(moments / (2 * tf.cast(areas, tf.int64)[:, None]), tf.float32)

    (top, left), (bottom, right) = (tf.unstack(tf.cast(x, tf.float32), axis=1) for x in (top_left, bottom_right))
    corners = [tf.stack(corner, axis=1) for corner in ((top, left), (top, right), (bottom, left), (bottom, right))]
    keypoints = tf.stack([*corners, center][: graph.num_keypoints], axis=1)
    return ids, areas, keypoints, runs


def _horizontal_runs(instance):
    """The runs of all instances, and ids int32 [N] in order of appearance, to which `_Runs.index` refers."""
    height, width = _size(instance)
    starts = tf.pad(tf.not_equal(instance[:, 1:], instance[:, :-1]), [[0, 0], [1, 0]], constant_values=True)
    starts = tf.cast(tf.where(tf.reshape(starts, [-1]))[:, 0], tf.int32)
    length = tf.concat([starts[1:], [height * width]], axis=0) - starts  # a row's first pixel starts a run: none wraps
    value = tf.gather(tf.reshape(instance, [-1]), starts)
    is_thing = value > 0
    starts, length, value = (tf.boolean_mask(x, is_thing) for x in (starts, length, value))
    ids, index = tf.unique(value)
    return _Runs(starts // width, starts % width, length, index), ids


def _disk_owner(keypoints, counts, radius):
    """Which instance's keypoint the offsets of each cell point to.

    Args:
      keypoints: float32 [N, P, 2], instances by ascending (area, id).
      counts: [h, w], for its size.
      radius: of the disks, pixels.

    Returns:
      int32 [h, w, P]: index of the instance whose keypoint of that kind is the nearest and at most `radius` away,
      N where there is none.
    """
    count, num_kinds = tf.shape(keypoints)[0], keypoints.shape[1]
    height, width = _size(counts)
    window = tf.range(int(2 * radius) // STRIDE + 1)  # the cells that fit into a diameter
    first = tf.cast(tf.math.ceil((keypoints - radius) / STRIDE), tf.int32)
    cells = first[..., None] + window  # [N, P, 2, window]
    squares = tf.square(tf.cast(STRIDE * cells, tf.float32) - keypoints[..., None])
    squares = tf.where((cells >= 0) & (cells < [[height], [width]]), squares, np.inf)
    distance = squares[:, :, 0, :, None] + squares[:, :, 1, None, :]  # squared; [N, P, window, window]
    rows = cells[:, :, 0] * (width * num_kinds) + tf.range(num_kinds)[:, None]
    position = rows[..., None] + (cells[:, :, 1] * num_kinds)[:, :, None, :]
    position = tf.where(distance <= radius * radius, position, -1)  # a negative segment is left out

    # Bits of non-negative floats are ordered like the floats: one minimum finds the nearest and, of equals, the first.
    rank = tf.range(count)[:, None, None, None]
    nearest = tf.math.unsorted_segment_min(
        _pack(tf.bitcast(distance, tf.int32), rank), position, height * width * num_kinds
    )
    owner = tf.minimum(
        tf.bitwise.bitwise_and(nearest, 2**32 - 1), tf.cast(count, tf.int64)
    )  # no candidate: all bits set
    return tf.reshape(tf.cast(owner, tf.int32), [height, width, num_kinds])


def _keypoint_targets(owner, keypoints, counts, graph):
    """Heatmap, short- and middle-range offsets with their masks.

    Args:
      owner: int32 [h, w, P] of `_disk_owner`.
      keypoints: float32 [N, P, 2].
      counts: bool [h, w], False on crowd and ignored cells.
    """
    count = tf.shape(keypoints)[0]
    sources, destinations = (list(ends) for ends in zip(*graph.edges))
    short_owner = tf.where(counts[..., None], owner, count)
    middle_owner = tf.gather(short_owner, sources, axis=-1)
    positions = _as_complex(keypoints)
    short_offsets, short_mask = _offsets(_look_up(positions, short_owner))
    middle_offsets, middle_mask = _offsets(_look_up(tf.gather(positions, destinations, axis=1), middle_owner))
    return {
        "keypoint_heatmap": tf.cast(owner < count, tf.float32),
        "keypoint_mask": tf.cast(counts, tf.float32),
        "short_offsets": short_offsets,
        "short_mask": short_mask,
        "middle_offsets": middle_offsets,
        "middle_mask": middle_mask,
    }


def _long_targets(ids, keypoints, instance):
    """Long-range offsets: to every keypoint of the cell's own instance; `instance` is int32 [h, w]."""
    is_thing = instance > 0
    by_id = tf.argsort(ids)
    place = tf.reshape(tf.searchsorted(tf.gather(ids, by_id), tf.reshape(instance, [-1])), _size(instance))
    by_id = tf.pad(by_id, [[0, 1]])  # where there is no instance at all, cells of id 0 still look something up
    index = tf.where(is_thing, tf.gather(by_id, place), tf.size(ids))
    offsets, _ = _offsets(tf.gather(_with_nowhere(_as_complex(keypoints)), index))
    return {"long_offsets": offsets, "long_mask": tf.cast(is_thing, tf.float32)}


def _look_up(table, owner):
    """complex64 [h, w, K]: `table[owner[..., k], k]`, `_NOWHERE` where the owner is N; `table` is [N, K]."""
    num_kinds = table.shape[1]
    return tf.gather(tf.reshape(_with_nowhere(table), [-1]), owner * num_kinds + tf.range(num_kinds))


def _with_nowhere(table):
    """Adds the row N that stands for no instance."""
    return tf.pad(table, [[0, 1], [0, 0]], constant_values=tf.constant(_NOWHERE, tf.complex64))


def _offsets(destination):
    """From where the heads should point to, to their offsets.

    Args:
      destination: complex64 [h, w, K], `_NOWHERE` where there is nothing to point to.

    Returns:
      offsets float32 [h, w, K * 2], 0 where inactive, and mask float32 [h, w, K], 1 where active.
    """
    height, width = _size(destination)
    active = tf.math.real(destination) >= 0
    # All three of one shape: broadcasting makes the selection three times as slow.
    offsets = tf.where(active, destination - _grid(height, width), tf.zeros_like(destination))
    offsets = tf.reshape(tf.bitcast(offsets, tf.float32), [height, width, 2 * destination.shape[2]])
    return offsets, tf.cast(active, tf.float32)


def _as_complex(points):
    """(y, x) float32 [..., 2] as y + ix: TensorFlow then handles a point as one element, which is twice as fast."""
    return tf.complex(points[..., 0], points[..., 1])


def _grid(height, width):
    """complex64 [h, w, 1]: the pixel y + ix of each cell."""
    rows, columns = (tf.cast(STRIDE * tf.range(side), tf.float32) for side in (height, width))
    return tf.complex(*tf.meshgrid(rows, columns, indexing="ij"))[..., None]


def _semantic_weight(valid, areas, runs, train):
    """Eq. 1's weight of each pixel, float32 [H, W]: only the pixels of small instances are visited one by one."""
    height, width = _size(valid)
    small = tf.gather(areas, runs.index) < train.small_instance_area
    first = tf.boolean_mask(runs.row * width + runs.column, small)
    pixels = tf.ragged.range(first, first + tf.boolean_mask(runs.length, small)).flat_values
    extra = tf.fill(tf.shape(pixels), tf.cast(train.small_instance_weight - 1, tf.float32))
    extra = tf.math.unsorted_segment_sum(extra, pixels, height * width)
    return tf.cast(valid, tf.float32) + tf.reshape(extra, [height, width])


def _pack(high, low):
    """int64 that orders by `high`, then by `low`; both non-negative int32."""
    return tf.cast(high, tf.int64) * 2**32 + tf.cast(low, tf.int64)


def _size(x):
    """The first two sides of `x`, as Python integers where known: shapes stay static, as TPUs need them."""
    dynamic = tf.shape(x)
    return tuple(dynamic[axis] if x.shape[axis] is None else x.shape[axis] for axis in range(2))
