"""Training targets of the five heads, made on the fly (paper Sec. 3.3.1 and 3.3.2, Fig. 4).

All instance targets live on the heads' grid, in pixels of the network input, (y, x) order,
destination minus source. The cost is O(pixels) + O(instances · R²): disks are stamped as small
windows, and every offset is one gather from the table of keypoints.
"""

from __future__ import annotations

import typing

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.keypoints import KeypointGraph, keypoint_graph
from deeperlab_tf.schema import IGNORE_LABEL
from input_pipeline.instances import Instances, Side, find_instances, static_size

_RANK_BITS = 29  # of a float64 that holds a float32, the bits that are zero
# Row or column of a cell outside the grid: the sum of two is negative and still an int32.
_OUTSIDE = -(2**30)

Tensors = dict[str, tf.Tensor]


def make_targets(
    semantic: tf.Tensor, instance: tf.Tensor, crowd: tf.Tensor, config: ConfigDict
) -> Tensors:
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

    Example:
      >>> square = np.zeros([65, 65], np.int32)
      >>> square[8:24, 8:24] = 1
      >>> targets = make_targets(square, square, np.zeros([65, 65], bool), default_config())
      >>> targets["short_offsets"].shape, targets["long_offsets"][2, 2, :2].numpy()
      (TensorShape([17, 17, 10]), array([0., 0.], dtype=float32))
    """
    data = config.data
    graph = keypoint_graph(data.keypoint_graph)
    is_labelled = tf.not_equal(semantic, IGNORE_LABEL)
    counts = is_labelled & ~crowd
    instance = instance * tf.cast(counts, tf.int32)
    instances = find_instances(instance, graph)

    cell_counts = _on_grid(counts)
    disks = _find_disks(instances.keypoints, cell_counts, data.keypoint_radius)
    active = _active_pairs(disks)
    return {
        "semantic": semantic,
        "semantic_weight": _semantic_weight(is_labelled, instances, config.train),
        "keypoint_heatmap": disks.heatmap,
        "keypoint_mask": disks.keypoint_mask,
        "short_offsets": _short_offsets(instances.keypoints, active, disks),
        "short_mask": disks.short_mask,
        "middle_offsets": _middle_offsets(instances.keypoints, active, disks, graph),
        "middle_mask": _middle_mask(disks.short_mask, graph),
        **_long_targets(instances, _on_grid(instance)),
    }


# === Semantic segmentation, Sec. 3.3.1 ===


def _semantic_weight(is_labelled: tf.Tensor, instances: Instances, train: ConfigDict) -> tf.Tensor:
    """Eq. 1's weight of each pixel, float32 [H, W]: only the pixels of small instances are visited
    one by one.
    """
    height, width = static_size(is_labelled)
    runs = instances.runs
    area = tf.gather(instances.areas, runs.index)
    is_small = area < train.small_instance_area
    first = tf.boolean_mask(runs.row * width + runs.column, is_small)
    length = tf.boolean_mask(runs.length, is_small)
    pixels = tf.ragged.range(first, first + length).flat_values

    small_weight = float(train.small_instance_weight)
    weights = _put(small_weight, pixels, height * width, default=1)
    weights = tf.reshape(weights, [height, width])
    return tf.cast(is_labelled, tf.float32) * weights


# === Keypoint heatmap: disks of radius R around the keypoints ===


class _Disks(typing.NamedTuple):
    """Which keypoint each cell is nearest to.

    Attributes:
      heatmap: float32 [h, w, P], 1 in a disk of that kind.
      keypoint_mask: float32 [h, w], 0 on crowd and ignored cells.
      short_mask: float32 [h, w, P], both.
      nearest: int64 [h * w * P], whose lowest `_RANK_BITS` are in a disk the index of the instance
        to which the nearest keypoint of that kind belongs.
    """

    heatmap: tf.Tensor
    keypoint_mask: tf.Tensor
    short_mask: tf.Tensor
    nearest: tf.Tensor


def _find_disks(keypoints: tf.Tensor, counts: tf.Tensor, radius: float) -> _Disks:
    """The disks of `radius` pixels around keypoints float32 [N, P, 2]; `counts` is bool [h, w]."""
    height, width = static_size(counts)
    num_kinds = keypoints.shape[1]
    is_found, nearest = _nearest_keypoints(keypoints, (height, width), radius)
    heatmap = tf.cast(is_found, tf.float32)
    heatmap = tf.reshape(heatmap, [height, width, num_kinds])
    keypoint_mask = tf.cast(counts, tf.float32)
    short_mask = heatmap * keypoint_mask[..., None]
    return _Disks(heatmap, keypoint_mask, short_mask, nearest)


def _nearest_keypoints(
    keypoints: tf.Tensor, size: tuple[Side, Side], radius: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Which instance's keypoint the offsets of each cell point to.

    Args:
      keypoints: float32 [N, P, 2], instances by ascending (area, id).
      size: (h, w) of the grid.
      radius: of the disks, pixels.

    Returns:
      found bool [h * w * P]: whether a keypoint of that kind is at most `radius` away; and int64 [h
      * w * P], whose lowest `_RANK_BITS` are then the index of the nearest one's instance: of
      equally near ones, the first.
    """
    height, width = size
    num_kinds = keypoints.shape[1]
    diameter = int(2 * radius) // HEAD_STRIDE + 1  # as many cells fit into it
    first = tf.math.ceil((keypoints - radius) / HEAD_STRIDE)
    first = tf.cast(first, tf.int32)
    cells = first[..., None] + tf.range(diameter)  # [N, P, 2, diameter]

    # Squared distance of each cell around a keypoint, [N, P, diameter, diameter].
    pixels = tf.cast(HEAD_STRIDE * cells, tf.float32)
    squares = tf.square(pixels - keypoints[..., None])
    squares_y, squares_x = tf.unstack(squares, axis=2)
    distance = squares_y[..., :, None] + squares_x[..., None, :]

    # Place of each cell in [h * w * P]; where that is negative, the segment is left out.
    places = cells * [[width * num_kinds], [num_kinds]]
    is_inside = (cells >= 0) & (cells < [[height], [width]])
    places = tf.where(is_inside, places, _OUTSIDE)
    kind = tf.range(num_kinds)[:, None]
    rows, columns = tf.unstack(places, axis=2)
    places = (rows + kind)[..., :, None] + columns[..., None, :]

    # Bits of non-negative floats are ordered like the floats, and a float32 leaves the last 29 bits
    # of a float64 zero: one minimum finds the nearest and, of equally near ones, the first.
    rank = tf.range(tf.shape(keypoints)[0], dtype=tf.int64)
    bits = tf.bitcast(tf.cast(distance, tf.float64), tf.int64)
    keys = bits + rank[:, None, None, None]
    nearest = tf.math.unsorted_segment_min(keys, places, height * width * num_kinds)
    farthest = np.float64(np.float32(radius * radius))
    return nearest < farthest.view(np.int64) + 2**_RANK_BITS, nearest


# === Short- and middle-range offsets: from the disks' cells, which alone are visited ===


class _Active(typing.NamedTuple):
    """The M pairs of cell and keypoint kind for which offsets are supervised.

    Attributes:
      place: int32 [M], in [h * w * P].
      cell: int32 [M], in [h * w].
      kind: int32 [M].
      index: int32 [M], instance to whose keypoints the offsets lead.
      here: complex64 [M], pixel of the cell.
    """

    place: tf.Tensor
    cell: tf.Tensor
    kind: tf.Tensor
    index: tf.Tensor
    here: tf.Tensor


def _active_pairs(disks: _Disks) -> _Active:
    num_kinds = disks.short_mask.shape[2]
    mask = tf.reshape(disks.short_mask, [-1])
    place = tf.where(mask > 0)[:, 0]
    nearest = tf.gather(disks.nearest, place)
    index = tf.bitwise.bitwise_and(nearest, 2**_RANK_BITS - 1)
    index = tf.cast(index, tf.int32)

    place = tf.cast(place, tf.int32)
    cell = place // num_kinds
    grid = _grid(*static_size(disks.short_mask))
    here = tf.gather(tf.reshape(grid, [-1]), cell)
    return _Active(place, cell, place % num_kinds, index, here)


def _short_offsets(keypoints: tf.Tensor, active: _Active, disks: _Disks) -> tf.Tensor:
    """float32 [h, w, P * 2]: from each cell of a disk to its centre."""
    height, width = static_size(disks.short_mask)
    num_kinds = keypoints.shape[1]
    positions = tf.reshape(_as_complex(keypoints), [-1])
    own = active.index * num_kinds + active.kind
    offsets = tf.gather(positions, own) - active.here
    return _spread(offsets, active.place, [height, width, num_kinds])


def _middle_offsets(
    keypoints: tf.Tensor, active: _Active, disks: _Disks, graph: KeypointGraph
) -> tf.Tensor:
    """float32 [h, w, E * 2]: along each edge, from the cells of its source's disk to its target."""
    height, width = static_size(disks.short_mask)
    num_edges = graph.num_edges
    positions = _as_complex(keypoints)  # [N, P]
    all_offsets, all_places = [], []
    for kind in range(graph.num_keypoints):
        # All edges that leave a kind at once, [members, edges]: their cells are the same.
        edges = [number for number, edge in enumerate(graph.edges) if edge[0] == kind]
        ends = [graph.edges[number][1] for number in edges]
        members = tf.where(tf.equal(active.kind, kind))[:, 0]
        index = tf.gather(active.index, members)
        cell = tf.gather(active.cell, members)
        here = tf.gather(active.here, members)

        destinations = tf.gather(positions, ends, axis=1)
        offsets = tf.gather(destinations, index) - here[:, None]
        places = cell[:, None] * num_edges + edges
        all_offsets.append(tf.reshape(offsets, [-1]))
        all_places.append(tf.reshape(places, [-1]))
    offsets = tf.concat(all_offsets, axis=0)
    places = tf.concat(all_places, axis=0)
    return _spread(offsets, places, [height, width, num_edges])


def _middle_mask(short_mask: tf.Tensor, graph: KeypointGraph) -> tf.Tensor:
    """float32 [h, w, E]: an edge is active where its source's disk is."""
    height, width = static_size(short_mask)
    num_kinds, num_edges = graph.num_keypoints, graph.num_edges
    leaves = np.zeros([num_kinds, num_edges], np.float32)
    for number, (source, _) in enumerate(graph.edges):
        leaves[source, number] = 1.0
    flat_mask = tf.reshape(short_mask, [-1, num_kinds])
    mask = tf.matmul(flat_mask, leaves)
    return tf.reshape(mask, [height, width, num_edges])


# === Long-range offsets: from each cell of an object to all its keypoints ===


def _long_targets(instances: Instances, instance: tf.Tensor) -> Tensors:
    """`long_offsets` and `long_mask`; `instance` is int32 [h, w]."""
    height, width = static_size(instance)
    is_thing = instance > 0
    mask = tf.cast(is_thing, tf.float32)

    # Keypoints by instance id, complex64 [N + 1, P]; the last row stands for no instance.
    by_id = tf.argsort(instances.ids)
    ids = tf.gather(instances.ids, by_id)
    table = tf.gather(_as_complex(instances.keypoints), by_id)
    table = tf.pad(table, [[0, 1], [0, 0]])

    # Of each cell, the row of its instance.
    row = tf.searchsorted(ids, tf.reshape(instance, [-1]))
    row = tf.reshape(row, [height, width])
    row = tf.where(is_thing, row, tf.size(ids))

    # An offset is 0 - 0 where there is no thing.
    thing = tf.cast(mask, tf.complex64)[..., None]
    here = _grid(height, width) * thing
    offsets = tf.gather(table, row) - here
    return {"long_offsets": _as_channels(offsets), "long_mask": mask}


# === Grids, and points as complex numbers ===


def _on_grid(labels: tf.Tensor) -> tf.Tensor:
    """The pixels [h, w] of a map [H, W] on which cells sit. A gather: strided slices of TensorFlow
    are slower.
    """
    height, width = static_size(labels)
    rows = tf.range(0, height, HEAD_STRIDE)
    columns = tf.range(0, width, HEAD_STRIDE)
    places = rows[:, None] * width + columns
    return tf.gather(tf.reshape(labels, [-1]), places)


def _grid(height: Side, width: Side) -> tf.Tensor:
    """complex64 [h, w, 1]: the pixel y + ix of each cell."""
    rows = tf.cast(HEAD_STRIDE * tf.range(height), tf.float32)
    columns = tf.cast(HEAD_STRIDE * tf.range(width), tf.float32)
    y, x = tf.meshgrid(rows, columns, indexing="ij")
    return tf.complex(y, x)[..., None]


def _as_complex(points: tf.Tensor) -> tf.Tensor:
    """(y, x) float32 [..., 2] as y + ix: TensorFlow then handles a point as one element, which is
    twice as fast.
    """
    return tf.complex(points[..., 0], points[..., 1])


def _as_channels(points: tf.Tensor) -> tf.Tensor:
    """The reverse: complex64 [h, w, K] as channels (y, x), float32 [h, w, K * 2]."""
    height, width = static_size(points)
    channels = 2 * points.shape[2]
    pairs = tf.bitcast(points, tf.float32)  # [h, w, K, 2]
    return tf.reshape(pairs, [height, width, channels])


def _spread(offsets: tf.Tensor, places: tf.Tensor, shape: list[Side]) -> tf.Tensor:
    """Offsets complex64 [M] at flat `places` int32 [M] of [h, w, K], 0 elsewhere, as float32 [h, w,
    K * 2].
    """
    height, width, channels = shape
    flat = _put(offsets, places, height * width * channels, default=0)
    return _as_channels(tf.reshape(flat, shape))


def _put(values: float | tf.Tensor, places: tf.Tensor, size: Side, default: int) -> tf.Tensor:
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
