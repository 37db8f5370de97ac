"""Proposals (paper Sec. 3.4.1): from a candidate keypoint along the relation graph to the others of
its instance.
"""

import collections

import numpy as np
import tensorflow as tf

from deeperlab_tf.fusion import refine


def propose(
    points, kinds, starts, heatmap, short_offsets, middle_offsets, grid_size, graph, config
):
    """Follows the middle-range offsets from every candidate to the remaining keypoints of its
    instance.

    Args:
      points: float32 [C, 2], candidates, pixels.
      kinds: int32 [C].
      starts: the kinds that candidates can have; fewer may need fewer hops.
      heatmap: float32 [h · w, P], logits.
      short_offsets: float32 [h · w, P, 2].
      middle_offsets: float32 [h · w, E, 2].
      grid_size: int32 [2], h and w.
      graph: `KeypointGraph`.
      config: config.fusion.

    Returns:
      float32 [C, P, 2], all keypoints of each proposal; keypoint kinds[c] is points[c] itself.
      float32 [C], how far from the candidate the offsets lead that should lead back to it, pixels.
    """
    num_kinds = graph.num_keypoints
    keypoints = tf.tile(points[:, None], [1, num_kinds, 1])
    miss = tf.zeros_like(points[:, 0])
    for hop in _hops(graph, starts):
        source_kinds, targets, back = (
            tf.gather(table, kinds) for table in (hop.source, hop.target, hop.back)
        )
        edges = tf.gather(
            np.concatenate([hop.edge, np.maximum(hop.back, 0)[:, None]], axis=1), kinds
        )
        edges = tf.ensure_shape(edges, [None, hop.edge.shape[1] + 1])
        sources = tf.gather(keypoints, source_kinds, axis=1, batch_dims=1)
        at = sources, source_kinds
        landed = refine.follow_edges(
            *at, edges, points, back >= 0, heatmap, short_offsets, middle_offsets, grid_size, config
        )
        returned = tf.norm(landed[:, -1] - points, axis=1)
        miss = tf.maximum(miss, tf.where(back >= 0, returned, 0.0))
        landed = refine.refine_points(
            tf.reshape(landed[:, :-1], [-1, 2]),
            tf.reshape(targets, [-1]),
            heatmap,
            short_offsets,
            grid_size,
            config,
        )
        landed = tf.reshape(landed, [-1, hop.target.shape[1], 2])
        # [P, T, P]
        takes = hop.reaches[..., None] & (hop.target[..., None] == np.arange(num_kinds))
        # [C, P]: which of the T landings is keypoint k.
        slot = tf.gather(takes.argmax(axis=1), kinds)
        keypoints = tf.where(
            tf.gather(takes.any(axis=1), kinds)[..., None],
            tf.gather(landed, slot, axis=1, batch_dims=1),
            keypoints,
        )
    return keypoints, miss


# One hop of all candidates, as tables by the candidate's kind: source int32 [P], the keypoint to
# start from; target and edge int32 [P, T], where to; reaches bool [P, T], False for fillers; back
# int32 [P], the edge from the source to the candidate, -1 if there is none.
_Hop = collections.namedtuple("_Hop", ["source", "target", "edge", "reaches", "back"])


def _hops(graph, starts):
    """Hops that lead from some kinds of keypoints to all others. Who needs fewer hops than others
    starts later.

    On the star, corners first hop to the centre; then everybody hops from the centre to the
    corners.

    Returns:
      list of `_Hop`.
    """
    size = graph.num_keypoints
    plans = []
    for start in starts:
        reached, plan = {start}, []
        while len(reached) < size:
            options = {
                source: [
                    target
                    for begin, target in graph.edges
                    if begin == source and target not in reached
                ]
                for source in sorted(reached)
            }
            source = max(options, key=lambda kind: len(options[kind]))
            plan.append((source, options[source]))
            reached.update(options[source])
        plans.append(plan)
    depth = max(len(plan) for plan in plans)
    plans = [[(start, [])] * (depth - len(plan)) + plan for start, plan in zip(starts, plans)]
    hops = []
    for steps in zip(*plans):
        width = max(len(targets) for _, targets in steps)
        hop = _Hop(
            *(
                np.zeros(shape, np.int32)
                for shape in ([size], [size, width], [size, width], [size, width], [size])
            )
        )
        for start, (source, targets) in zip(starts, steps):
            hop.source[start] = source
            hop.back[start] = graph.edge(source, start) if (source, start) in graph.edges else -1
            for slot, target in enumerate(targets):
                hop.target[start, slot], hop.reaches[start, slot] = target, 1
                hop.edge[start, slot] = graph.edge(source, target)
        hops.append(hop._replace(reaches=hop.reaches > 0))
    return hops
