"""The instances of a label map: how large they are, and where their keypoints (paper Sec. 3.3.2).

The cost is O(pixels), whatever the number of instances: boxes and centres come from the horizontal
runs of the map.
"""

from __future__ import annotations

import typing

import tensorflow as tf

from deeperlab_tf.keypoints import KeypointGraph
from deeperlab_tf.pixels.image_size import Side


class Runs(typing.NamedTuple):
    """Horizontal stretches of one instance each, int32 [M].

    Attributes:
      row: where a run lies.
      column: where it begins.
      length: pixels.
      index: of its instance.
    """

    row: tf.Tensor
    column: tf.Tensor
    length: tf.Tensor
    index: tf.Tensor


class Instances(typing.NamedTuple):
    """The N instances of an image by ascending (area, id), the order in which they win ties.

    Attributes:
      ids: int32 [N], in the label map.
      areas: int32 [N], pixels.
      keypoints: float32 [N, P, 2], (y, x) in pixels.
      runs: what they consist of.
    """

    ids: tf.Tensor
    areas: tf.Tensor
    keypoints: tf.Tensor
    runs: Runs


def find_instances(instance: tf.Tensor, graph: KeypointGraph) -> Instances:
    """The instances of a label map.

    Args:
      instance: int32 [H, W], >= 1 and unique per instance, 0 elsewhere.
      graph: says which keypoints there are.
    """
    runs, ids = _horizontal_runs(instance)
    areas = tf.math.unsorted_segment_sum(runs.length, runs.index, tf.size(ids))

    # So far in order of appearance, which may change from crop to crop.
    order = tf.argsort(_pack(areas, ids))
    place = tf.math.invert_permutation(order)
    runs = runs._replace(index=tf.gather(place, runs.index))
    ids = tf.gather(ids, order)
    areas = tf.gather(areas, order)
    return Instances(ids, areas, _keypoints(runs, areas, graph), runs)


def static_size(x: tf.Tensor) -> tuple[Side, Side]:
    """The first two sides of `x`, as Python integers where known: shapes stay static, as TPUs need
    them.
    """
    dynamic = tf.shape(x)
    height, width = x.shape[:2]
    if height is None:
        height = dynamic[0]
    if width is None:
        width = dynamic[1]
    return height, width


def _horizontal_runs(instance: tf.Tensor) -> tuple[Runs, tf.Tensor]:
    """The runs of all instances, and ids int32 [N] in order of appearance, to which `Runs.index`
    refers.
    """
    height, width = static_size(instance)
    pixels = tf.reshape(instance, [-1])

    # A row's first pixel starts a run: none wraps.
    inner = tf.zeros([height, width - 1], tf.bool)
    row_starts = tf.pad(inner, [[0, 0], [1, 0]], constant_values=True)
    changes = tf.not_equal(pixels[1:], pixels[:-1])
    changes = tf.concat([[True], changes], axis=0)
    is_start = changes | tf.reshape(row_starts, [-1])
    start = tf.where(is_start)[:, 0]
    start = tf.cast(start, tf.int32)
    end = tf.concat([start[1:], [height * width]], axis=0)
    length = end - start

    # Only those of things; indices in the order in which things appear.
    value = tf.gather(pixels, start)
    is_thing = value > 0
    start = tf.boolean_mask(start, is_thing)
    length = tf.boolean_mask(length, is_thing)
    value = tf.boolean_mask(value, is_thing)
    ids, index = tf.unique(value)
    row = start // width
    column = start % width
    return Runs(row, column, length, index), ids


def _keypoints(runs: Runs, areas: tf.Tensor, graph: KeypointGraph) -> tf.Tensor:
    """float32 [N, P, 2]: corners of the boxes and centres of mass, of the masks as they are."""
    # The runs' ends, [M, 2], have the extremes of their instance.
    count = tf.size(areas)
    last_column = runs.column + runs.length - 1
    first_pixel = tf.stack([runs.row, runs.column], axis=1)
    last_pixel = tf.stack([runs.row, last_column], axis=1)
    top_left = tf.math.unsorted_segment_min(first_pixel, runs.index, count)
    top_left = tf.cast(top_left, tf.float32)
    top, left = tf.unstack(top_left, axis=1)
    bottom_right = tf.math.unsorted_segment_max(last_pixel, runs.index, count)
    bottom_right = tf.cast(bottom_right, tf.float32)
    bottom, right = tf.unstack(bottom_right, axis=1)
    corners = {
        "top_left": [top, left],
        "top_right": [top, right],
        "bottom_left": [bottom, left],
        "bottom_right": [bottom, right],
    }
    # [N, 2] each, by name: the relation graph says which there are, and in what order.
    points = {name: tf.stack(corner, axis=1) for name, corner in corners.items()}
    points["center"] = _centers(runs, areas)
    return tf.stack([points[name] for name in graph.names], axis=1)


def _centers(runs: Runs, areas: tf.Tensor) -> tf.Tensor:
    """float32 [N, 2]: centres of mass."""
    # Twice the mean coordinate of a run is an integer: the sums stay exact however large the image.
    doubled_column = 2 * runs.column + runs.length - 1
    doubled_mean = tf.stack([2 * runs.row, doubled_column], axis=1)

    # Summed over runs, weighted by their pixels: int64 [N, 2].
    length = tf.cast(runs.length, tf.int64)
    moments = tf.cast(doubled_mean, tf.int64) * length[:, None]
    moments = tf.math.unsorted_segment_sum(moments, runs.index, tf.size(areas))
    doubled_areas = 2 * tf.cast(areas, tf.int64)
    centers = moments / doubled_areas[:, None]  # float64
    return tf.cast(centers, tf.float32)


def _pack(high: tf.Tensor, low: tf.Tensor) -> tf.Tensor:
    """int64 that orders by `high`, then by `low`; both non-negative int32."""
    high = tf.cast(high, tf.int64)
    low = tf.cast(low, tf.int64)
    return high * 2**32 + low
