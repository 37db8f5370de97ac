"""Training targets of the five heads, made on the fly (paper Sec. 3.3.1 and 3.3.2, Fig. 4).

All instance targets live on the stride-4 grid, in pixels of the network input, (y, x) order, destination minus source.
The cost is O(pixels) + O(instances · R²): boxes and centres come from the horizontal runs of the instance map, disks
are stamped as small windows, and every offset is one gather from the table of keypoints.
"""

import collections

import tensorflow as tf

from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.schema import IGNORE_LABEL

STRIDE = 4  # of the heads' grid; cell (i, j) sits on pixel (4i, 4j)

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
    valid = semantic != IGNORE_LABEL
    counts = valid & ~crowd
    instance *= tf.cast(counts, tf.int32)
    ids, areas, keypoints, runs = _instances(instance, graph)

    counts_on_grid = tf.cast(counts[::STRIDE, ::STRIDE], tf.float32)
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
    starts = tf.pad(instance[:, 1:] != instance[:, :-1], [[0, 0], [1, 0]], constant_values=True)
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
    distance = squares[:, :, 0, :, None] + squares[:, :, 1, None, :]  # squared; [N, P, window, window]
    rows, columns = cells[:, :, 0, :, None], cells[:, :, 1, None, :]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width) & (distance <= radius * radius)
    position = (rows * width + columns) * num_kinds + tf.range(num_kinds)[:, None, None]
    position = tf.where(inside, position, -1)  # a negative segment is left out

    # Bits of non-negative floats are ordered like the floats: one minimum finds the nearest and, of equals, the first.
    rank = tf.range(count)[:, None, None, None]
    nearest = tf.math.unsorted_segment_min(
        _pack(tf.bitcast(distance, tf.int32), rank), position, height * width * num_kinds
    )
    owner = tf.cast(
        tf.minimum(tf.bitwise.bitwise_and(nearest, 2**32 - 1), tf.cast(count, tf.int64)), tf.int32
    )  # no candidate: all bits set
    return tf.reshape(owner, [height, width, num_kinds])


def _keypoint_targets(owner, keypoints, counts, graph):
    """Heatmap, short- and middle-range offsets with their masks.

    Args:
      owner: int32 [h, w, P] of `_disk_owner`.
      keypoints: float32 [N, P, 2].
      counts: float32 [h, w], 0 on crowd and ignored cells.
    """
    heatmap = tf.cast(owner < tf.shape(keypoints)[0], tf.float32)
    short_mask = heatmap * counts[..., None]
    sources, destinations = (list(ends) for ends in zip(*graph.edges))
    middle_mask = tf.gather(short_mask, sources, axis=-1)
    return {
        "keypoint_heatmap": heatmap,
        "keypoint_mask": counts,
        "short_offsets": _offsets(owner, keypoints, list(range(graph.num_keypoints)), short_mask),
        "short_mask": short_mask,
        "middle_offsets": _offsets(tf.gather(owner, sources, axis=-1), keypoints, destinations, middle_mask),
        "middle_mask": middle_mask,
    }


def _offsets(owner, keypoints, kinds, mask):
    """float32 [h, w, K * 2]: offsets to keypoint `kinds[k]` of instance `owner[..., k]`, 0 where `mask` is 0."""
    table = tf.pad(tf.gather(keypoints, kinds, axis=1), [[0, 1], [0, 0], [0, 0]])  # the last row is for no owner
    destination = tf.gather(tf.reshape(table, [-1, 2]), owner * len(kinds) + tf.range(len(kinds)))
    height, width = _size(owner)
    offsets = (destination - _grid(height, width)[:, :, None]) * mask[..., None]
    return tf.reshape(offsets, [height, width, 2 * len(kinds)])


def _long_targets(ids, keypoints, instance):
    """Long-range offsets: to every keypoint of the cell's own instance; `instance` is int32 [h, w]."""
    height, width = _size(instance)
    num_kinds = keypoints.shape[1]
    by_id = tf.argsort(ids)
    position = tf.searchsorted(tf.gather(ids, by_id), tf.reshape(instance, [-1]))
    by_id = tf.pad(by_id, [[0, 1]])  # where there is no instance at all, cells of id 0 still look something up
    index = tf.reshape(tf.gather(by_id, position), [height, width])
    table = tf.pad(tf.reshape(keypoints, [-1, num_kinds * 2]), [[0, 1], [0, 0]])
    mask = tf.cast(instance > 0, tf.float32)
    offsets = tf.gather(table, index) - tf.tile(_grid(height, width), [1, 1, num_kinds])
    return {"long_offsets": offsets * mask[..., None], "long_mask": mask}


def _semantic_weight(valid, areas, runs, train):
    """Eq. 1's weight of each pixel, float32 [H, W]: only the pixels of small instances are visited one by one."""
    height, width = _size(valid)
    weight = tf.cast(valid, tf.float32)
    small = tf.gather(areas, runs.index) < train.small_instance_area
    first = tf.boolean_mask(runs.row * width + runs.column, small)
    pixels = tf.ragged.range(first, first + tf.boolean_mask(runs.length, small)).flat_values
    values = tf.fill(tf.shape(pixels), tf.cast(train.small_instance_weight, tf.float32))
    weight = tf.tensor_scatter_nd_update(tf.reshape(weight, [-1]), pixels[:, None], values)
    return tf.reshape(weight, [height, width])


def _pack(high, low):
    """int64 that orders by `high`, then by `low`; both non-negative int32."""
    return tf.cast(high, tf.int64) * 2**32 + tf.cast(low, tf.int64)


def _grid(height, width):
    """float32 [h, w, 2]: the pixel (y, x) of each cell."""
    rows, columns = tf.meshgrid(tf.range(height), tf.range(width), indexing="ij")
    return tf.cast(STRIDE * tf.stack([rows, columns], axis=-1), tf.float32)


def _size(x):
    """The first two sides of `x`, as Python integers where known: shapes stay static, as TPUs need them."""
    dynamic = tf.shape(x)
    return tuple(dynamic[axis] if x.shape[axis] is None else x.shape[axis] for axis in range(2))
