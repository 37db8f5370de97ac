"""Training targets of the five heads, made on the fly (paper Sec. 3.3.1 and 3.3.2, Fig. 4).

All instance targets live on the heads' grid, in pixels of the network input, (y, x) order,
destination minus source. Every offset is one gather from the table of keypoints, so that the cost
is O(pixels) + O(instances · R²).
"""

from __future__ import annotations

import typing

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.heads import HEAD_STRIDE
from deeperlab_tf.keypoints import KeypointGraph, keypoint_graph
from deeperlab_tf.pixels.image_size import Side
from deeperlab_tf.schema import IGNORE_LABEL
from input_pipeline.disks import Disks, find_disks
from input_pipeline.instances import Instances, find_instances, static_size

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

    # Heatmap and masks, on the grid.
    keypoint_mask = tf.cast(_on_grid(counts), tf.float32)
    grid_size = static_size(keypoint_mask)
    disks = find_disks(instances.keypoints, grid_size, data.keypoint_radius)
    short_mask = disks.heatmap * keypoint_mask[..., None]

    # Offsets lead from the active cells to keypoints.
    active = _active_pairs(short_mask, disks)
    positions = _as_complex(instances.keypoints)
    return {
        "semantic": semantic,
        "semantic_weight": _semantic_weight(is_labelled, instances, config.train),
        "keypoint_heatmap": disks.heatmap,
        "keypoint_mask": keypoint_mask,
        "short_offsets": _short_offsets(positions, active),
        "short_mask": short_mask,
        "middle_offsets": _middle_offsets(positions, active, graph),
        "middle_mask": _middle_mask(short_mask, graph),
        **_long_targets(instances.ids, positions, _on_grid(instance)),
    }


# === Semantic segmentation, Sec. 3.3.1 ===


def _semantic_weight(is_labelled: tf.Tensor, instances: Instances, train: ConfigDict) -> tf.Tensor:
    """Eq. 1's weight of each pixel, float32 [H, W]: only the pixels of small instances are visited
    one by one.
    """
    height, width = static_size(is_labelled)
    runs = instances.runs
    # Of each run, [M].
    area = tf.gather(instances.areas, runs.index)
    is_small = area < train.small_instance_area
    first = runs.row * width + runs.column
    first = tf.boolean_mask(first, is_small)
    length = tf.boolean_mask(runs.length, is_small)
    pixels = tf.ragged.range(first, first + length).flat_values

    small_weight = float(train.small_instance_weight)
    weights = _put(small_weight, pixels, height * width, default=1)
    weights = tf.reshape(weights, [height, width])
    return tf.cast(is_labelled, tf.float32) * weights


# === Short- and middle-range offsets: only the cells in disks are visited ===


class _Active(typing.NamedTuple):
    """The M pairs of cell and keypoint kind for which offsets are supervised.

    Attributes:
      size: (h, w) of the grid.
      place: int32 [M], in [h * w * P].
      cell: int32 [M], in [h * w].
      kind: int32 [M].
      owner: int32 [M], index of the instance to whose keypoints the offsets lead.
      here: complex64 [M], pixel of the cell.
    """

    size: tuple[Side, Side]
    place: tf.Tensor
    cell: tf.Tensor
    kind: tf.Tensor
    owner: tf.Tensor
    here: tf.Tensor


def _active_pairs(short_mask: tf.Tensor, disks: Disks) -> _Active:
    size = static_size(short_mask)
    num_kinds = short_mask.shape[2]
    flat_mask = tf.reshape(short_mask, [-1])
    place = tf.where(flat_mask > 0)[:, 0]
    owner = disks.owners(place)

    # int32 is enough, and half as large.
    place = tf.cast(place, tf.int32)
    cell = place // num_kinds
    kind = place % num_kinds
    grid = tf.reshape(_grid(*size), [-1])
    here = tf.gather(grid, cell)
    return _Active(size, place, cell, kind, owner, here)


def _short_offsets(positions: tf.Tensor, active: _Active) -> tf.Tensor:
    """float32 [h, w, P * 2]: from each cell of a disk to the keypoint in its middle."""
    num_kinds = positions.shape[1]
    own = active.owner * num_kinds + active.kind
    flat_positions = tf.reshape(positions, [-1])
    offsets = tf.gather(flat_positions, own) - active.here
    return _spread(offsets, active.place, [*active.size, num_kinds])


def _middle_offsets(positions: tf.Tensor, active: _Active, graph: KeypointGraph) -> tf.Tensor:
    """float32 [h, w, E * 2]: along each edge, from the cells of its source's disk to its target."""
    num_edges = graph.num_edges
    all_offsets, all_places = [], []
    for kind in range(graph.num_keypoints):
        # All edges that leave a kind at once, [members, edges]: their cells are the same.
        edges = [number for number, edge in enumerate(graph.edges) if edge[0] == kind]
        ends = [graph.edges[number][1] for number in edges]
        is_member = tf.equal(active.kind, kind)
        members = tf.where(is_member)[:, 0]
        owner = tf.gather(active.owner, members)
        cell = tf.gather(active.cell, members)
        here = tf.gather(active.here, members)

        # From [N, edges] to [members, edges].
        destinations = tf.gather(positions, ends, axis=1)
        offsets = tf.gather(destinations, owner) - here[:, None]
        places = cell[:, None] * num_edges + edges
        all_offsets.append(tf.reshape(offsets, [-1]))
        all_places.append(tf.reshape(places, [-1]))
    offsets = tf.concat(all_offsets, axis=0)
    places = tf.concat(all_places, axis=0)
    return _spread(offsets, places, [*active.size, num_edges])


def _middle_mask(short_mask: tf.Tensor, graph: KeypointGraph) -> tf.Tensor:
    """float32 [h, w, E]: an edge is active where its source's disk is."""
    height, width = static_size(short_mask)
    num_kinds, num_edges = graph.num_keypoints, graph.num_edges
    leaves = np.zeros([num_kinds, num_edges], np.float32)
    for number, (source, _) in enumerate(graph.edges):
        leaves[source, number] = 1.0
    # The channel of each edge's source, by a product with a 0-1 matrix.
    flat_mask = tf.reshape(short_mask, [-1, num_kinds])
    mask = tf.matmul(flat_mask, leaves)
    return tf.reshape(mask, [height, width, num_edges])


# === Long-range offsets: from each cell of an object to all its keypoints ===


def _long_targets(ids: tf.Tensor, positions: tf.Tensor, instance: tf.Tensor) -> Tensors:
    """`long_offsets` and `long_mask`; `instance` is int32 [h, w]."""
    height, width = static_size(instance)
    is_thing = instance > 0
    mask = tf.cast(is_thing, tf.float32)

    # Keypoints by instance id, complex64 [N + 1, P]; the last row stands for no instance.
    by_id = tf.argsort(ids)
    ids = tf.gather(ids, by_id)
    table = tf.gather(positions, by_id)
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
    rows = HEAD_STRIDE * tf.range(height)
    columns = HEAD_STRIDE * tf.range(width)
    y, x = tf.meshgrid(rows, columns, indexing="ij")
    y = tf.cast(y, tf.float32)
    x = tf.cast(x, tf.float32)
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
