"""Prediction fusion (paper Sec. 3.4): from the five heads' maps to a panoptic parse."""

import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.fusion import assign, detect, hough, merge, refine, semantics
from deeperlab_tf.keypoints import keypoint_graph

__all__ = ["fuse"]


@tf.autograph.experimental.do_not_convert
def fuse(heads, image_size, thing_classes, config):
    """Fuses the heads' predictions into a panoptic parse (paper Sec. 3.4).

    Works eagerly, inside tf.function and exported, for batches of any size; every image is parsed
    on its own.

    Args:
      heads: dict of float32 maps at stride 4: semantic_logits [B, h, w, classes], keypoint_logits
        [B, h, w, P], short_offsets and long_offsets [B, h, w, P · 2], middle_offsets [B, h, w, E ·
        2]; offsets in pixels, (y, x).
      image_size: (H, W) of the output, ints or int32 scalars, at most 4 · (h - 1) + 1 and 4 · (w -
        1) + 1.
      thing_classes: class indices of things.
      config: config.fusion.

    Returns:
      dict, with J = config.max_instances + the number of thing classes:
        semantic, instance, panoptic: int32 [B, H, W]; panoptic = class · label_divisor + instance,
        instance 0 on stuff. num_instances: int32 [B]; instances have the ids 1 … num_instances, in
        descending score. instance_class int32 [B, J], instance_score float32 [B, J], instance_box
        float32 [B, J, 4] (y1, x1, y2, x2, the outermost pixels included), instance_keypoints
        float32 [B, J, P, 2]: row i describes id i + 1, rows from num_instances on are padding
        (class -1). Thing pixels that no instance claims, because none was detected or because they
        predict none of those (config.assignment.claim_reach_sizes), are one segment per class, last, with score 0.

    Raises:
      UserError: eagerly, for NaN or infinity in a head; always, for heads or a config that do not
        fit together.
    """
    graph = keypoint_graph(config.keypoint_graph)
    heads = {
        name: tf.convert_to_tensor(heads[name], tf.float32) for name in _check(heads, graph, config)
    }
    thing_classes = tuple(int(label) for label in thing_classes)
    image_size = tf.stack([tf.cast(side, tf.int32) for side in image_size])

    def parse(index):
        one = {name: head[index] for name, head in heads.items()}
        return fuse_image(one, image_size, thing_classes, graph, config)

    logits = heads["semantic_logits"]
    if logits.shape[0] == 1:
        parses = {name: value[None] for name, value in parse(0).items()}
    else:
        parses = tf.map_fn(
            parse,
            tf.range(tf.shape(logits)[0]),
            fn_output_signature=_SIGNATURE,
            parallel_iterations=1,
        )
    return parses


_SIGNATURE = {
    "panoptic": tf.int32,
    "semantic": tf.int32,
    "instance": tf.int32,
    "instance_class": tf.int32,
    "instance_score": tf.float32,
    "instance_box": tf.float32,
    "instance_keypoints": tf.float32,
    "num_instances": tf.int32,
}


def fuse_image(heads, image_size, thing_classes, graph, config):
    """`fuse` for one image: heads without batch dimension -> dict with the keys of `_SIGNATURE`."""
    num_classes = heads["semantic_logits"].shape[-1]
    grid_size = tf.shape(heads["semantic_logits"])[:2]
    logits = tf.reshape(heads["semantic_logits"], [-1, num_classes])
    # Logits: their sigmoid is wanted at few cells.
    heatmap = tf.reshape(heads["keypoint_logits"], [-1, graph.num_keypoints])
    short_offsets = tf.reshape(heads["short_offsets"], [-1, graph.num_keypoints, 2])
    middle_offsets = tf.reshape(heads["middle_offsets"], [-1, graph.num_edges, 2])
    long_offsets = tf.reshape(heads["long_offsets"], [-1, graph.num_keypoints, 2])
    semantic = semantics.semantics(logits, thing_classes, grid_size)

    # 3.4.1 Recursive offset refinement (the middle-range offsets' is part of following them).
    long_targets, orphan_targets = (
        refine.long_targets(long_offsets, heatmap, short_offsets, cells, grid_size, config)
        for cells in (semantic.things, semantic.orphan_corners)
    )
    # Keypoint localization.
    scores = hough.score_map(
        heatmap, short_offsets, long_targets, semantic.things, grid_size, config
    )
    # Instance detection.
    instances = detect.detect(
        scores, heatmap, short_offsets, middle_offsets, grid_size, graph, config
    )
    # Assignment of pixels to instances.
    long_targets = [tf.concat(pair, axis=0) for pair in zip(long_targets, orphan_targets)]
    parts = assign.assign(semantic, long_targets, instances, thing_classes, grid_size, config)
    # 3.4.2 Semantic and instance prediction fusion.
    return merge.merge(
        parts, instances, num_classes, thing_classes, grid_size, image_size, config.label_divisor
    )


def _check(heads, graph, config):
    """Names of the five heads, after making sure that they are there, fit the graph and (eagerly)
    are finite.
    """
    channels = {
        "semantic_logits": None,
        "keypoint_logits": graph.num_keypoints,
        "short_offsets": 2 * graph.num_keypoints,
        "middle_offsets": 2 * graph.num_edges,
        "long_offsets": 2 * graph.num_keypoints,
    }
    if config.max_instances >= config.label_divisor:
        raise UserError(
            f"config.fusion.max_instances is {config.max_instances}; give less than label_divisor "
            f"({config.label_divisor}), or ids would run into the class."
        )
    for name, expected in channels.items():
        if name not in heads:
            raise UserError(f"the head {name!r} is missing; fuse needs {sorted(channels)}.")
        head = tf.convert_to_tensor(heads[name])
        if (
            head.shape.rank != 4
            or head.shape[-1] is None
            or (expected and head.shape[-1] != expected)
        ):
            raise UserError(
                f"the head {name!r} has shape {head.shape}; fuse needs [B, h, w, {expected or 'classes'}]."
            )
        # One pass: a sum is finite only if all its terms are.
        if tf.executing_eagerly() and not tf.math.is_finite(tf.reduce_sum(head)):
            raise UserError(
                f"the head {name!r} holds NaN or infinity; the training may have diverged."
            )
    return tuple(channels)
