"""Instance detection from keypoints (paper Sec. 3.4.1): local maxima, proposals, Expected-OKS scores, greedy selection.

Every candidate keypoint proposes a whole instance by following the relation graph. Proposals do not depend on each
other, so all are made at once, and the paper's priority queue becomes a selection on a matrix of who rejects whom.
"""

import collections

import numpy as np
import tensorflow as tf

from deeperlab_tf.fusion import grid, refine

# Detected instances, best first; rows from `count` on are padding.
Instances = collections.namedtuple("Instances", ["keypoints", "boxes", "scores", "count"])


def local_maxima(scores, grid_size, config):
    """The best local maxima of the score map, over all keypoint kinds together.

    A maximum's position is the score-weighted mean of the 3 x 3 cells around it: votes are split bilinearly, so that
    mean is where they landed on average, finer than the grid.

    Args:
      scores: float32 [h · w, P].
      grid_size: int32 [2], h and w.
      config: config.fusion; reads peak_window, peak_threshold, max_keypoints.

    Returns:
      points float32 [C, 2] pixels, kinds int32 [C], highest score first; C <= config.max_keypoints.
    """
    num_kinds = scores.shape[1]
    maps = tf.reshape(scores, [1, grid_size[0], grid_size[1], num_kinds])
    window = config.peak_window
    highest = tf.nn.max_pool2d(tf.nn.max_pool2d(maps, [window, 1], 1, "SAME"), [1, window], 1, "SAME")
    flat = tf.reshape(scores, [-1])
    peaks = grid.indices((flat >= tf.reshape(highest, [-1])) & (flat > config.peak_threshold))
    best = tf.math.top_k(tf.gather(flat, peaks), tf.minimum(config.max_keypoints, tf.size(peaks)))[1]
    peaks = tf.gather(peaks, best)
    kinds, cells = peaks % num_kinds, peaks // num_kinds
    rows = cells // grid_size[1]
    columns = cells - rows * grid_size[1]
    step_y, step_x = (steps.ravel() for steps in np.mgrid[-1:2, -1:2].astype(np.int32))
    around_y, around_x = rows[:, None] + step_y, columns[:, None] + step_x
    on_grid = (around_y >= 0) & (around_y < grid_size[0]) & (around_x >= 0) & (around_x < grid_size[1])
    weights = tf.gather(flat, grid.flat_index(around_y, around_x, grid_size) * num_kinds + kinds[:, None])
    weights = tf.where(on_grid, weights, 0.0)
    total = tf.reduce_sum(weights, axis=1)
    points = [
        grid.positions(cell) + tf.math.divide_no_nan(tf.reduce_sum(weights * grid.positions(step), axis=1), total)
        for cell, step in ((rows, step_y), (columns, step_x))
    ]
    return tf.stack(points, axis=1), kinds


def propose(points, kinds, heatmap, short_offsets, middle_offsets, grid_size, graph, config):
    """Follows the middle-range offsets from every candidate to the remaining keypoints of its instance.

    Args:
      points: float32 [C, 2], candidates, pixels.
      kinds: int32 [C].
      heatmap: float32 [h · w, P], probabilities.
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
    for hop in _hops(graph):
        source_kinds, targets, back = (tf.gather(table, kinds) for table in (hop.source, hop.target, hop.back))
        edges = tf.gather(np.concatenate([hop.edge, np.maximum(hop.back, 0)[:, None]], axis=1), kinds)
        sources = tf.gather(keypoints, source_kinds, axis=1, batch_dims=1)
        landed = refine.follow_edges(
            sources,
            source_kinds,
            tf.ensure_shape(edges, [None, hop.edge.shape[1] + 1]),
            points,
            back,
            heatmap,
            short_offsets,
            middle_offsets,
            grid_size,
            config,
        )
        returned = tf.norm(landed[:, -1] - points, axis=1)
        miss = tf.maximum(miss, tf.where(back >= 0, returned, 0.0))
        landed = refine.refine_points(
            tf.reshape(landed[:, :-1], [-1, 2]), tf.reshape(targets, [-1]), heatmap, short_offsets, grid_size, config
        )
        landed = tf.reshape(landed, [-1, hop.target.shape[1], 2])
        takes = hop.reaches[..., None] & (hop.target[..., None] == np.arange(num_kinds))  # [P, T, P]
        slot = tf.gather(takes.argmax(axis=1), kinds)  # [C, P]: which of the T landings is keypoint k
        keypoints = tf.where(
            tf.gather(takes.any(axis=1), kinds)[..., None], tf.gather(landed, slot, axis=1, batch_dims=1), keypoints
        )
    return keypoints, miss


# One hop of all candidates, as tables by the candidate's kind: source int32 [P], the keypoint to start from; target and
# edge int32 [P, T], where to; reaches bool [P, T], False for fillers; back int32 [P], the edge from the source to the
# candidate, -1 if there is none.
_Hop = collections.namedtuple("_Hop", ["source", "target", "edge", "reaches", "back"])


def _hops(graph):
    """Hops that lead from every kind of keypoint to all others. Who needs fewer hops than others starts later.

    On the star, corners first hop to the centre; then everybody hops from the centre to the corners.

    Returns:
      list of `_Hop`.
    """
    size = graph.num_keypoints
    plans = []
    for start in range(size):
        reached, plan = {start}, []
        while len(reached) < size:
            options = {
                source: [target for begin, target in graph.edges if begin == source and target not in reached]
                for source in sorted(reached)
            }
            source = max(options, key=lambda kind: len(options[kind]))
            plan.append((source, options[source]))
            reached.update(options[source])
        plans.append(plan)
    depth = max(len(plan) for plan in plans)
    plans = [[(start, [])] * (depth - len(plan)) + plan for start, plan in enumerate(plans)]
    hops = []
    for steps in zip(*plans):
        width = max(len(targets) for _, targets in steps)
        hop = _Hop(
            *(np.zeros(shape, np.int32) for shape in ([size], [size, width], [size, width], [size, width], [size]))
        )
        for start, (source, targets) in enumerate(steps):
            hop.source[start] = source
            hop.back[start] = graph.edge(source, start) if (source, start) in graph.edges else -1
            for slot, target in enumerate(targets):
                hop.target[start, slot], hop.reaches[start, slot] = target, 1
                hop.edge[start, slot] = graph.edge(source, target)
        hops.append(hop._replace(reaches=hop.reaches > 0))
    return hops


def boxes_of(keypoints):
    """Bounding boxes from the four corner keypoints: float32 [..., P, 2] -> [..., 4] (y1, x1, y2, x2), pixels.

    The outermost pixels belong to the box, as in the targets: a one-pixel object has y1 = y2.
    """
    top_left, top_right, bottom_left, bottom_right = (keypoints[..., kind, :] for kind in range(4))
    return tf.stack(
        [
            (top_left[..., 0] + top_right[..., 0]) / 2,
            (top_left[..., 1] + bottom_left[..., 1]) / 2,
            (bottom_left[..., 0] + bottom_right[..., 0]) / 2,
            (top_right[..., 1] + bottom_right[..., 1]) / 2,
        ],
        axis=-1,
    )


def box_sizes(boxes):
    """Heights and widths, outermost pixels included: float32 [..., 4] -> [..., 2]. Not positive: degenerate."""
    return boxes[..., 2:] - boxes[..., :2] + 1


def scale(boxes):
    """λ, the size of instances: square root of the box area. float32 [..., 4] -> [...]."""
    return tf.sqrt(tf.reduce_prod(tf.maximum(box_sizes(boxes), 0.0), axis=-1))


def expected_oks(points, kinds, sizes, scores, heatmap, grid_size, config):
    """Expected-OKS scores of keypoints (PersonLab): heatmap · mean keypoint similarity under the score map.

    s = p_k(y) · Σ_{x in disk} ĥ_k(x) · exp(-|x - y|² / (2 λ² κ²)), with ĥ the score map normalised inside the disk of
    radius R around y, and λκ at least one cell.

    Args:
      points: float32 [..., 2], y, pixels.
      kinds: int32 [...].
      sizes: float32 [...], λ of the keypoints' instances, pixels.
      scores: float32 [h · w, P], fused score map.
      heatmap: float32 [h · w, P], probabilities.
      grid_size: int32 [2], h and w.
      config: config.fusion; reads keypoint_radius, oks_kappa.

    Returns:
      float32 [...], in 0..1.
    """
    num_kinds = scores.shape[1]
    radius = config.keypoint_radius
    shape = tf.shape(kinds)
    points, kinds, sizes = tf.reshape(points, [-1, 2]), tf.reshape(kinds, [-1]), tf.reshape(sizes, [-1])
    nearest = tf.cast(tf.round(points / grid.HEAD_STRIDE), tf.int32)
    rows, columns = (nearest[:, axis, None] + steps for axis, steps in enumerate(_disk(radius)))  # [N, disk]
    squares = tf.square(grid.positions(rows) - points[:, :1]) + tf.square(grid.positions(columns) - points[:, 1:])
    counts = (rows >= 0) & (rows < grid_size[0]) & (columns >= 0) & (columns < grid_size[1])
    counts &= squares <= radius * radius
    values = tf.gather(tf.reshape(scores, [-1]), grid.flat_index(rows, columns, grid_size) * num_kinds + kinds[:, None])
    values = tf.where(counts, values, 0.0)
    width = tf.maximum(sizes * config.oks_kappa, grid.HEAD_STRIDE)[:, None]
    similarity = tf.exp(squares / (-2 * tf.square(width)))
    mean = tf.math.divide_no_nan(tf.reduce_sum(values * similarity, axis=1), tf.reduce_sum(values, axis=1))
    return tf.reshape(mean * grid.sample(heatmap[..., None], kinds, points, grid_size)[..., 0], shape)


def _disk(radius):
    """Cells that can lie within `radius` pixels of a point: rows and columns, int32 [D] each, from its nearest cell."""
    reach = int(radius // grid.HEAD_STRIDE) + 1
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.int32)
    half_diagonal = grid.HEAD_STRIDE * 0.5**0.5
    near = np.hypot(rows, columns) * grid.HEAD_STRIDE <= radius + half_diagonal
    return rows[near], columns[near]


def greedy(rejects, valid):
    """Goes through candidates in order and keeps each one that no kept one before it rejects.

    This is the paper's queue without a queue: "kept" is the only fixed point of
    kept(i) = valid(i) and no j < i with kept(j) and rejects(i, j), reached in as many passes as the longest chain of
    candidates that decide about each other: usually a handful, whatever the number of candidates.

    Args:
      rejects: bool [C, C]; [i, j]: candidate i cannot live beside an accepted j. Need not be symmetric.
      valid: bool [C].

    Returns:
      bool [C].
    """
    count = tf.shape(valid)[0]
    earlier = tf.range(count)[:, None] > tf.range(count)
    matrix = tf.cast(rejects & earlier, tf.float32)

    def step(kept, _):
        rejected = tf.linalg.matvec(matrix, tf.cast(kept, tf.float32)) > 0
        updated = valid & ~rejected
        return updated, tf.reduce_any(updated != kept)

    return tf.while_loop(lambda _, changed: changed, step, (valid, tf.constant(True)))[0]


def founders(points, kinds, keypoints, radius):
    """Candidates that found an instance: those near no keypoint of their kind of a founder before them.

    `greedy` in blocks: once a block's founders are known, the candidates they explain need not be compared with each
    other. Most candidates go that way, so that time does not grow with their square.

    Args:
      points: float32 [C, 2], best candidates first, pixels.
      kinds: int32 [C].
      keypoints: float32 [C, P, 2], their proposals.
      radius: float32 [C], of each proposal, pixels.

    Returns:
      int32 [F], ascending.
    """

    def near(candidates, others):
        """Which candidates lie near the proposals of others; int32 [n], [m] -> bool [n, m]."""
        chosen = (tf.gather(x, candidates) for x in (points, kinds))
        return near_same_keypoint(*chosen, tf.gather(keypoints, others), tf.gather(radius, others))

    def step(_, rest, found):
        block, rest = rest[:_BLOCK], rest[_BLOCK:]
        new = tf.boolean_mask(block, greedy(near(block, block), tf.ones_like(block, tf.bool)))
        rest = tf.boolean_mask(rest, ~tf.reduce_any(near(rest, new), axis=1))
        return tf.size(rest) > 0, rest, tf.concat([found, new], axis=0)

    everyone = tf.range(tf.shape(points)[0])
    shapes = tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None])
    start = tf.size(everyone) > 0, everyone, everyone[:0]
    return tf.while_loop(lambda more, *_: more, step, start, shape_invariants=shapes)[2]


_BLOCK = 256  # candidates compared with each other at once


def detect(scores, heatmap, short_offsets, middle_offsets, grid_size, graph, config):
    """Finds instances: candidates, proposals, rescoring, greedy selection, box non-maximum suppression.

    Args:
      scores: float32 [h · w, P], fused score map.
      heatmap: float32 [h · w, P], probabilities.
      short_offsets: float32 [h · w, P, 2], pixels.
      middle_offsets: float32 [h · w, E, 2], pixels.
      grid_size: int32 [2], h and w.
      graph: `KeypointGraph`.
      config: config.fusion.

    Returns:
      `Instances`: keypoints float32 [J, P, 2], boxes float32 [J, 4], scores float32 [J] (highest first),
      count int32: the first `count` of the J are instances.
    """
    points, kinds = local_maxima(scores, grid_size, config)
    proposals, miss = grid.in_halves(
        lambda *half: propose(*half, heatmap, short_offsets, middle_offsets, grid_size, graph, config), points, kinds
    )
    boxes = boxes_of(proposals)
    valid = tf.reduce_all(box_sizes(boxes) > 0, axis=-1)  # a proposal without a box founds no instance; False for NaN
    if config.return_reach:
        valid &= miss <= config.keypoint_radius + config.return_reach * scale(boxes)
    found = keypoint_scores(points, kinds, scale(boxes), scores, heatmap, grid_size, config)
    order = tf.boolean_mask(tf.range(tf.size(found)), valid)
    order = tf.gather(order, tf.argsort(tf.gather(found, order), direction="DESCENDING", stable=True))
    points, kinds, proposals = (tf.gather(x, order) for x in (points, kinds, proposals))
    radius = detection_radius(scale(boxes_of(proposals)), config)
    chosen = founders(points, kinds, proposals, radius)[: config.max_instances]

    keypoints = tf.gather(proposals, chosen)
    boxes = boxes_of(keypoints)
    all_kinds = tf.tile(tf.range(graph.num_keypoints)[None], [tf.shape(keypoints)[0], 1])
    sizes = tf.repeat(scale(boxes)[:, None], graph.num_keypoints, axis=1)
    confidence = tf.reduce_mean(
        keypoint_scores(keypoints, all_kinds, sizes, scores, heatmap, grid_size, config), axis=1
    )
    order = tf.argsort(confidence, direction="DESCENDING", stable=True)
    keypoints, boxes, confidence = (tf.gather(x, order) for x in (keypoints, boxes, confidence))
    kept = greedy(box_iou(boxes) > config.nms_iou, tf.ones_like(confidence, tf.bool))
    kept = [tf.boolean_mask(x, kept) for x in (keypoints, boxes, confidence)]
    return Instances(*(_pad_rows(x, config.max_instances) for x in kept), tf.shape(kept[0])[0])


def keypoint_scores(points, kinds, sizes, scores, heatmap, grid_size, config):
    """Expected-OKS scores, or (rescore = "none") the score map's values. Arguments: see `expected_oks`."""
    if config.rescore == "expected_oks":
        return grid.in_halves(
            lambda *half: expected_oks(*half, scores, heatmap, grid_size, config), points, kinds, sizes
        )
    return grid.sample(scores[..., None], kinds, points, grid_size)[..., 0]


def _pad_rows(x, count):
    """`x` with rows of zeros up to `count`."""
    x = tf.pad(x, [[0, count - tf.shape(x)[0]]] + [[0, 0]] * (x.shape.rank - 1))
    return tf.ensure_shape(x, [count, *x.shape[1:]])


def detection_radius(sizes, config):
    """How near to a proposal's keypoints candidates are its own, pixels: float32 [C], λ -> [C].

    The paper's 10 pixels, but no more than a share of the instance's size: they span several objects of a few cells.
    """
    radius = tf.fill(tf.shape(sizes), config.detection_radius)
    if config.detection_reach:
        radius = tf.minimum(radius, tf.maximum(config.detection_reach * sizes, grid.HEAD_STRIDE / 2))
    return radius


def near_same_keypoint(points, kinds, keypoints, radius):
    """bool [C, N]; [i, j]: candidate i lies within radius[j] pixels of proposal j's keypoint of the same kind.

    Args:
      points: float32 [C, 2], pixels.
      kinds: int32 [C].
      keypoints: float32 [N, P, 2], of proposals.
      radius: float32 [N], pixels.
    """
    squares = [
        tf.square(points[:, axis, None] - tf.gather(tf.transpose(keypoints[..., axis]), kinds)) for axis in (0, 1)
    ]
    return squares[0] + squares[1] <= radius * radius


def box_iou(boxes):
    """Intersection over union of all pairs of boxes: float32 [J, 4] -> [J, J]."""
    areas = tf.reduce_prod(box_sizes(boxes), axis=-1)
    top, left, bottom, right = tf.unstack(boxes, axis=1)  # planes of pairs: short inner dimensions are slow
    heights = tf.minimum(bottom[:, None], bottom) - tf.maximum(top[:, None], top) + 1
    widths = tf.minimum(right[:, None], right) - tf.maximum(left[:, None], left) + 1
    shared = tf.maximum(heights, 0.0) * tf.maximum(widths, 0.0)
    return shared / (areas[:, None] + areas[None, :] - shared)
