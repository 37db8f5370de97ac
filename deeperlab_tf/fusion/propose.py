"""Proposals (paper Sec. 3.4.1): from a keypoint along the relation graph to all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow import Tensor

from deeperlab_tf.fusion.follow import follow_edges
from deeperlab_tf.fusion.maps import Candidates, Maps
from deeperlab_tf.fusion.refine import refine_points


class Proposals(NamedTuple):
    """Instances that candidates propose, one each.

    Attributes:
      keypoints: float32 [C, P, 2], pixels; that of the candidate's kind is the candidate itself.
      miss: float32 [C], how far from the candidate the edges lead that should lead back to it,
        pixels; 0 where no edge does.
    """

    keypoints: Tensor
    miss: Tensor


def propose_instances(
    candidates: Candidates, starts: Sequence[int], maps: Maps, refinement: ConfigDict
) -> Proposals:
    """Follows the middle-range offsets from every candidate to the other keypoints of its instance.

    Args:
      candidates: C candidates.
      starts: the kinds that candidates can have, whose routes must be of the same form: all
        corners, or the centre.
      maps: `Maps` of the image.
      refinement: config.fusion.refinement.

    Returns:
      `Proposals`.
    """
    points, kinds = candidates
    route = _route_from(starts, maps.graph)
    # [C, 1 … P, 2]: the keypoints reached so far, in the order of the route.
    reached = points[:, None]
    miss = tf.zeros_like(points[:, 0])

    for hop in route.hops:
        source = reached[:, hop.place]
        source = Candidates(source, tf.gather(hop.sources, kinds))
        edges = tf.gather(hop.edges, kinds)
        # The first hop starts from the candidate; later ones know how to lead back to it.
        if hop.place == 0:
            landed = follow_edges(source, edges, None, maps, refinement)
        else:
            landed = follow_edges(source, edges, points, maps, refinement)
            back = landed[:, -1] - points
            miss = tf.maximum(miss, tf.norm(back, axis=1))
            landed = landed[:, :-1]
        targets = tf.gather(hop.targets, kinds)
        landed = _refine(landed, targets, maps, refinement)
        reached = tf.concat([reached, landed], axis=1)

    # [C, P, 2]: in the order of the kinds.
    places = tf.gather(route.places, kinds)
    keypoints = tf.gather(reached, places, axis=1, batch_dims=1)
    return Proposals(keypoints, miss)


def _refine(points, kinds, maps, refinement):
    """`refine_points` for several keypoints of each candidate: float32 [C, T, 2], int32 [C, T]."""
    num_targets = points.shape[1]
    points = tf.reshape(points, [-1, 2])
    kinds = tf.reshape(kinds, [-1])
    points = refine_points(Candidates(points, kinds), maps, refinement)
    return tf.reshape(points, [-1, num_targets, 2])


class _Hop(NamedTuple):
    """A hop of all candidates at once, as tables by a candidate's kind.

    Attributes:
      place: where on its route each of them stands who hops; 0 is the candidate itself.
      sources: int32 [P], the kind of keypoint there.
      targets: int32 [P, T], the kinds they hop to.
      edges: int32 [P, T], to those; beyond place 0 [P, T + 1], the last
        leads back to the candidate.
    """

    place: int
    sources: np.ndarray
    targets: np.ndarray
    edges: np.ndarray


class _Route(NamedTuple):
    """The routes of all candidates.

    Attributes:
      hops: list of `_Hop`.
      places: int32 [P, P], by a candidate's kind: where on its route each kind of keypoint is.
    """

    hops: list[_Hop]
    places: np.ndarray


def _route_from(starts, graph):
    """The routes of `graph` from the kinds `starts` as one `_Route`; rows of other kinds are 0."""
    hops = []
    orders = {start: [start] for start in starts}
    place = 0
    for steps in zip(*(graph.routes[start] for start in starts)):
        sources, targets, edges = {}, {}, {}
        for start, (source, ends) in zip(starts, steps):
            sources[start] = source
            targets[start] = ends
            if place:
                ends = (*ends, start)
            edges[start] = [graph.edge(source, end) for end in ends]
        tables = [_by_kind(rows, graph) for rows in (sources, targets, edges)]
        hops.append(_Hop(place, *tables))

        # The next hop starts from the first keypoint that this one reaches.
        place = len(orders[starts[0]])
        for start in starts:
            orders[start] += targets[start]
    places = {start: np.argsort(order) for start, order in orders.items()}
    return _Route(hops, _by_kind(places, graph))


def _by_kind(rows, graph):
    """A table with a row for each keypoint kind, int32 [P, ...], from some of its rows."""
    kinds = list(rows)
    values = np.array([rows[kind] for kind in kinds], np.int32)
    width = values.shape[1:]
    table = np.zeros([graph.num_keypoints, *width], np.int32)
    table[kinds] = values
    return table
