"""Training targets of the five heads, made on the fly (paper Sec. 3.3.1 and 3.3.2, Fig. 4).

All instance targets live on the stride-4 grid, in pixels of the network input, (y, x) order,
destination minus source. The cost is O(pixels) + O(instances · R²): boxes and centres come from the
horizontal runs of the instance map, disks are stamped as small windows, and every offset is one
gather from the table of keypoints.
"""

import collections

import numpy as np
import tensorflow as tf

from deeperlab_tf.keypoints import keypoint_graph
from deeperlab_tf.schema import IGNORE_LABEL

STRIDE = 4  # of the heads' grid; cell (i, j) sits on pixel (4i, 4j)

_RANK_BITS = 29  # of a float64 that holds a float32, the bits that are zero
# Row or column of a cell outside the grid: the sum of two is negative and still an int32.
_OUTSIDE = -(2**30)

# Horizontal stretches of one instance: row, first column, length and the instance's index of each,
# int32 [M].
_Runs = collections.namedtuple("_Runs", ["row", "column", "length", "index"])


def make_targets(semantic, instance, crowd, config):
    """Turns the labels of one (cropped) image into what the heads are trained on.

    Boxes and centres of mass are those of the mask as cropped. Where disks of one keypoint kind
    overlap, the nearest keypoint owns the cell; ties go to the smaller instance, then to the lower
    id. Crowd and ignored pixels belong to no instance and are inactive in every mask. Keypoints are
    supervised on stuff too: corners usually lie off the object.

    Args:
      semantic: int32 [H, W], 255 = ignore. H and W are 16k + 1.
      instance: int32 [H, W], >= 1 and unique per thing instance, 0 elsewhere.
      crowd: bool [H, W].
      config: the full config; reads data.keypoint_radius, data.keypoint_graph and
        train.small_instance_*.

    Returns:
      dict, with h, w = (H - 1) / 4 + 1, (W - 1) / 4 + 1, P keypoints and E edges of the relation
        graph: semantic int32 [H, W]; semantic_weight float32 [H, W], 0 on ignored pixels,
        small_instance_weight in small instances, else 1 (Eq. 1);
        keypoint_heatmap float32 [h, w, P] in {0, 1}; keypoint_mask float32 [h, w], 1 where the
        heatmap counts; short_offsets, long_offsets float32 [h, w, P * 2], middle_offsets float32
        [h, w, E * 2], channels (y, x) of each keypoint or edge in turn, 0 where inactive;
        short_mask float32 [h, w, P], middle_mask float32 [h, w, E], long_mask float32 [h, w], 1 =
        active.
    """
    graph = keypoint_graph(config.data.keypoint_graph)
    valid = tf.not_equal(semantic, IGNORE_LABEL)
    counts = valid & ~crowd
    instance *= tf.cast(counts, tf.int32)
    ids, areas, keypoints, runs = _instances(instance, graph)

    return {
        "semantic": semantic,
        "semantic_weight": _semantic_weight(valid, areas, runs, config.train),
        **_keypoint_targets(keypoints, _on_grid(counts), graph, config.data.keypoint_radius),
        **_long_targets(ids, keypoints, _on_grid(instance)),
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
    top_left = tf.math.unsorted_segment_min(
        tf.stack([runs.row, runs.column], axis=1), runs.index, count
    )
    bottom_right = tf.math.unsorted_segment_max(
        tf.stack([runs.row, last_column], axis=1), runs.index, count
    )
    # Twice the mean coordinate of a run is an integer: the sums stay exact however large the image.
    doubled_mean = tf.cast(tf.stack([2 * runs.row, runs.column + last_column], axis=1), tf.int64)
    moments = doubled_mean * tf.cast(runs.length, tf.int64)[:, None]
    moments = tf.math.unsorted_segment_sum(moments, runs.index, count)
    center = tf.cast(moments / (2 * tf.cast(areas, tf.int64)[:, None]), tf.float32)

    (top, left), (bottom, right) = (
        tf.unstack(tf.cast(x, tf.float32), axis=1) for x in (top_left, bottom_right)
    )
    corners = [
        tf.stack(corner, axis=1)
        for corner in ((top, left), (top, right), (bottom, left), (bottom, right))
    ]
    keypoints = tf.stack([*corners, center][: graph.num_keypoints], axis=1)
    return ids, areas, keypoints, runs


def _horizontal_runs(instance):
    """The runs of all instances, and ids int32 [N] in order of appearance, to which `_Runs.index`
    refers.
    """
    height, width = _size(instance)
    pixels = tf.reshape(instance, [-1])
    row_starts = tf.pad(
        tf.zeros([height, width - 1], tf.bool), [[0, 0], [1, 0]], constant_values=True
    )
    starts = tf.concat([[True], tf.not_equal(pixels[1:], pixels[:-1])], axis=0) | tf.reshape(
        row_starts, [-1]
    )
    starts = tf.cast(tf.where(starts)[:, 0], tf.int32)
    # A row's first pixel starts a run: none wraps.
    length = tf.concat([starts[1:], [height * width]], axis=0) - starts
    value = tf.gather(pixels, starts)
    is_thing = value > 0
    starts, length, value = (tf.boolean_mask(x, is_thing) for x in (starts, length, value))
    ids, index = tf.unique(value)
    return _Runs(starts // width, starts % width, length, index), ids


def _nearest_keypoints(keypoints, counts, radius):
    """Which instance's keypoint the offsets of each cell point to.

    Args:
      keypoints: float32 [N, P, 2], instances by ascending (area, id).
      counts: [h, w], for its size.
      radius: of the disks, pixels.

    Returns:
      found bool [h * w * P]: whether a keypoint of that kind is at most `radius` away; and int64 [h
      * w * P], whose lowest `_RANK_BITS` are then the index of the nearest one's instance: of
      equally near ones, the first.
    """
    num_kinds = keypoints.shape[1]
    height, width = _size(counts)
    window = tf.range(int(2 * radius) // STRIDE + 1)  # the cells that fit into a diameter
    first = tf.cast(tf.math.ceil((keypoints - radius) / STRIDE), tf.int32)
    cells = first[..., None] + window  # [N, P, 2, window]
    squares = tf.square(tf.cast(STRIDE * cells, tf.float32) - keypoints[..., None])
    # Squared; [N, P, window, window]
    distance = squares[:, :, 0, :, None] + squares[:, :, 1, None, :]

    position = cells * [[width * num_kinds], [num_kinds]]
    position = tf.where((cells >= 0) & (cells < [[height], [width]]), position, _OUTSIDE)
    row = position[:, :, 0] + tf.range(num_kinds)[:, None]
    position = row[..., None] + position[:, :, 1, None, :]  # a negative segment is left out

    # Bits of non-negative floats are ordered like the floats, and a float32 leaves the last 29 bits
    # of a float64 zero: one minimum finds the nearest and, of equally near ones, the first.
    rank = tf.range(tf.shape(keypoints)[0], dtype=tf.int64)[:, None, None, None]
    key = tf.bitcast(tf.cast(distance, tf.float64), tf.int64) + rank
    nearest = tf.math.unsorted_segment_min(key, position, height * width * num_kinds)
    farthest = np.float64(np.float32(radius * radius)).view(np.int64) + 2**_RANK_BITS
    return nearest < farthest, nearest


def _keypoint_targets(keypoints, counts, graph, radius):
    """Heatmap, short- and middle-range offsets with their masks: only the cells in disks are
    visited one by one.

    Args:
      keypoints: float32 [N, P, 2], instances by ascending (area, id).
      counts: bool [h, w], False on crowd and ignored cells.
      graph: `KeypointGraph`.
      radius: of the disks, pixels.
    """
    height, width = _size(counts)
    num_kinds, num_edges = graph.num_keypoints, graph.num_edges
    found, nearest = _nearest_keypoints(keypoints, counts, radius)
    heatmap = tf.reshape(tf.cast(found, tf.float32), [height, width, num_kinds])
    keypoint_mask = tf.cast(counts, tf.float32)
    short_mask = heatmap * keypoint_mask[..., None]

    place = tf.where(tf.reshape(short_mask, [-1]) > 0)[:, 0]  # of each active pair of cell and kind
    index = tf.cast(tf.bitwise.bitwise_and(tf.gather(nearest, place), 2**_RANK_BITS - 1), tf.int32)
    place = tf.cast(place, tf.int32)
    cell, kind = place // num_kinds, place % num_kinds
    here = tf.gather(tf.reshape(_grid(height, width), [-1]), cell)
    positions = _as_complex(keypoints)
    short_offsets = tf.gather(tf.reshape(positions, [-1]), index * num_kinds + kind) - here

    middle_offsets, middle_places = [], []
    for source in range(num_kinds):
        edges = [number for number, edge in enumerate(graph.edges) if edge[0] == source]
        members = tf.where(tf.equal(kind, source))[:, 0]
        destinations = tf.gather(positions, [graph.edges[number][1] for number in edges], axis=1)
        offsets = (
            tf.gather(destinations, tf.gather(index, members)) - tf.gather(here, members)[:, None]
        )
        middle_offsets.append(tf.reshape(offsets, [-1]))
        middle_places.append(
            tf.reshape(tf.gather(cell, members)[:, None] * num_edges + edges, [-1])
        )
    selection = [[float(edge[0] == kind) for edge in graph.edges] for kind in range(num_kinds)]
    middle_mask = tf.matmul(tf.reshape(short_mask, [-1, num_kinds]), selection)
    return {
        "keypoint_heatmap": heatmap,
        "keypoint_mask": keypoint_mask,
        "short_offsets": _spread(short_offsets, place, [height, width, num_kinds]),
        "short_mask": short_mask,
        "middle_offsets": _spread(
            tf.concat(middle_offsets, 0), tf.concat(middle_places, 0), [height, width, num_edges]
        ),
        "middle_mask": tf.reshape(middle_mask, [height, width, num_edges]),
    }


def _long_targets(ids, keypoints, instance):
    """Long-range offsets: to every keypoint of the cell's own instance; `instance` is int32 [h, w]."""
    height, width = _size(instance)
    is_thing = instance > 0
    mask = tf.cast(is_thing, tf.float32)
    by_id = tf.argsort(ids)
    place = tf.reshape(
        tf.searchsorted(tf.gather(ids, by_id), tf.reshape(instance, [-1])), [height, width]
    )
    # Its last row stands for no instance.
    table = tf.pad(tf.gather(_as_complex(keypoints), by_id), [[0, 1], [0, 0]])
    destination = tf.gather(table, tf.where(is_thing, place, tf.size(ids)))
    offsets = destination - _grid(height, width) * tf.cast(mask, tf.complex64)[..., None]
    return {"long_offsets": _as_channels(offsets), "long_mask": mask}


def _spread(offsets, places, shape):
    """Offsets complex64 [M] at flat `places` int32 [M] of [h, w, K], 0 elsewhere, as float32 [h, w,
    K * 2].
    """
    return _as_channels(tf.reshape(_put(offsets, places, shape[0] * shape[1] * shape[2], 0), shape))


def _put(values, places, size, default):
    """[size] of `default` with `values`, one or as many, at `places`: the quickest of TensorFlow's
    ways to scatter.
    """
    values = tf.convert_to_tensor(values)
    return tf.raw_ops.SparseToDense(
        sparse_indices=places,
        output_shape=[size],
        sparse_values=values,
        default_value=tf.cast(default, values.dtype),
        validate_indices=False,  # they need not be in order
    )


def _as_complex(points):
    """(y, x) float32 [..., 2] as y + ix: TensorFlow then handles a point as one element, which is
    twice as fast.
    """
    return tf.complex(points[..., 0], points[..., 1])


def _as_channels(points):
    """The reverse: complex64 [h, w, K] as channels (y, x), float32 [h, w, K * 2]."""
    height, width = _size(points)
    return tf.reshape(tf.bitcast(points, tf.float32), [height, width, 2 * points.shape[2]])


def _grid(height, width):
    """complex64 [h, w, 1]: the pixel y + ix of each cell."""
    rows, columns = (tf.cast(STRIDE * tf.range(side), tf.float32) for side in (height, width))
    return tf.complex(*tf.meshgrid(rows, columns, indexing="ij"))[..., None]


def _on_grid(labels):
    """Every fourth pixel [h, w] of a map [H, W]. A gather: strided slices of TensorFlow are slower."""
    height, width = _size(labels)
    pixels = tf.range(0, height, STRIDE)[:, None] * width + tf.range(0, width, STRIDE)
    return tf.gather(tf.reshape(labels, [-1]), pixels)


def _semantic_weight(valid, areas, runs, train):
    """Eq. 1's weight of each pixel, float32 [H, W]: only the pixels of small instances are visited
    one by one.
    """
    height, width = _size(valid)
    small = tf.gather(areas, runs.index) < train.small_instance_area
    first = tf.boolean_mask(runs.row * width + runs.column, small)
    pixels = tf.ragged.range(first, first + tf.boolean_mask(runs.length, small)).flat_values
    weights = _put(float(train.small_instance_weight), pixels, height * width, 1)
    return tf.cast(valid, tf.float32) * tf.reshape(weights, [height, width])


def _pack(high, low):
    """int64 that orders by `high`, then by `low`; both non-negative int32."""
    return tf.cast(high, tf.int64) * 2**32 + tf.cast(low, tf.int64)


def _size(x):
    """The first two sides of `x`, as Python integers where known: shapes stay static, as TPUs need
    them.
    """
    dynamic = tf.shape(x)
    return tuple(dynamic[axis] if x.shape[axis] is None else x.shape[axis] for axis in range(2))
