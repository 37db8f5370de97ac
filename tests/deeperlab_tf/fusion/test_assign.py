"""Assignment against interpolating every prediction and comparing it with every instance."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import predict, upsample
from deeperlab_tf.fusion.assign import assign_pixels
from deeperlab_tf.fusion.boxes import boxes_of, scale
from deeperlab_tf.fusion.detect import Instances
from deeperlab_tf.fusion.refine import LongTargets
from deeperlab_tf.fusion.semantics import Classes, label_pixels

NUM_CLASSES, THINGS, INSTANCES = 3, (1, 2), 30


def assign_oracle(label, pixel_class, targets, keypoints, reach):
    """Slot of every pixel by plain loops: -1 where no instance claims it, -2 where the rules leave
    it open.

    label [h, w], pixel_class [H, W], targets [h, w, P, 2] pixels, keypoints [J, P, 2], reach float
    [J] pixels.
    """
    squares = ((targets[:, :, None] - keypoints) ** 2).sum((3, 4))  # [h, w, J]
    nearest = squares.argmin(2)
    claimed = squares.min(2) <= targets.shape[2] * reach[nearest] ** 2
    slots = np.full(pixel_class.shape, -2)
    for y, x in np.ndindex(*slots.shape):
        corners = [
            (
                min(y // 4 + i, label.shape[0] - 1),
                min(x // 4 + j, label.shape[1] - 1),
                weight_y * weight_x,
            )
            for i, weight_y in enumerate([1 - y % 4 / 4, y % 4 / 4])
            for j, weight_x in enumerate([1 - x % 4 / 4, x % 4 / 4])
        ]
        corners = [(i, j, weight) for i, j, weight in corners if label[i, j] == pixel_class[y, x]]
        total = sum(weight for *_, weight in corners)
        if not total or pixel_class[y, x] not in THINGS:
            continue
        sure = [(i, j, weight) for i, j, weight in corners if claimed[i, j]]
        share = sum(weight for *_, weight in sure)
        slots[y, x] = -1
        if 2 * share >= total:
            mean = sum(weight * targets[i, j] for i, j, weight in sure) / share
            slots[y, x] = ((mean - keypoints) ** 2).sum((1, 2)).argmin()
    return slots


@pytest.mark.both_stacks
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [3.0, 30.0])
def test_pixels_go_to_the_nearest_of_all_instances(seed, noise, monkeypatch, make_maps):
    # A rule of its own.
    monkeypatch.setattr(predict, "follow_neighbours", lambda rows, *_: rows)
    config = default_config().fusion
    rng = np.random.default_rng(seed)
    height, width = 12, 15
    logits = (
        4 * rng.normal(size=[height, width, NUM_CLASSES]) * (rng.random([height, width, 1]) < 0.3)
    )
    logits[..., 1] += np.linspace(2, -2, width)  # thing, thing, stuff from left to right
    logits[..., 2] += 1
    logits[..., 0] += np.linspace(-2, 2, width)
    keypoints = rng.uniform(0, 60, [INSTANCES, 1, 2]) + rng.normal(0, 12, [INSTANCES, 5, 2])
    keypoints = keypoints.astype(np.float32)
    owner = np.repeat(np.repeat(rng.integers(0, INSTANCES, [6, 5]), 2, 0), 3, 1)
    targets = (keypoints[owner] + rng.normal(0, noise, [height, width, 5, 2])).astype(np.float32)
    boxes = boxes_of(tf.constant(keypoints))
    padded = [
        tf.pad(x, [[0, 5]] + [[0, 0]] * (x.shape.rank - 1))
        for x in (tf.constant(keypoints), boxes, boxes[:, 0])
    ]
    instances = Instances(*padded, tf.constant(INSTANCES))

    maps = make_maps(height, width)
    grid, size = maps.grid, tf.constant([4 * height - 3, 4 * width - 3])
    classes = Classes(NUM_CLASSES, THINGS)
    flat_logits = tf.constant(logits.reshape(-1, NUM_CLASSES), tf.float32)
    semantics = label_pixels(flat_logits, classes, grid)
    of_support = tf.gather(targets.reshape(-1, 5, 2), semantics.support)
    long_targets = LongTargets(semantics.support, of_support[..., 0], of_support[..., 1])
    predictions = predict.predict_instances(
        semantics, long_targets, instances, maps, config.assignment
    )
    parts = assign_pixels(semantics, predictions, INSTANCES + 5, classes, grid)
    fast, pixel_class = (
        upsample.fill(tf.range(1000), labels, grid, size).numpy()
        for labels in (parts.slots, parts.classes)
    )

    label = semantics.labels.cells.numpy().reshape(height, width)
    reach = config.keypoint_radius + config.assignment.claim_reach_sizes * scale(boxes).numpy()
    slow = assign_oracle(label, pixel_class, targets, keypoints, reach)
    slow = np.where(slow == -1, INSTANCES + 5 + pixel_class, slow)  # class segments
    ruled = slow != -2
    assert ruled.mean() > 0.3 and len(np.unique(slow)) > 5
    np.testing.assert_array_equal(fast[ruled], slow[ruled])


def test_things_that_touch_are_parted_where_they_touch(scene):
    touching = scene().add((10, 8, 50, 36)).add((10, 37, 50, 70))
    parse = touching.fuse()
    left, right = parse["instance"][30, 20], parse["instance"][30, 60]
    assert left != right
    np.testing.assert_array_equal(parse["instance"][30, 12:35], left)
    np.testing.assert_array_equal(parse["instance"][30, 41:66], right)


def test_pixels_that_predict_no_instance_become_a_segment_of_their_class(scene):
    crowded = scene().add((8, 8, 30, 30)).add((40, 40, 60, 76))
    heads = crowded.heads()
    far = crowded.instance[::4, ::4] == 2
    for name in ("short_offsets", "middle_offsets"):
        heads[name][0][10:, 10:] = 1000
    heads["keypoint_logits"][0][10:] = -8
    heads["long_offsets"][0][far] = 1000
    parse = crowded.fuse(heads)
    assert parse["num_instances"] == 2
    np.testing.assert_array_equal(parse["instance_score"][:2] > 0, [True, False])
    assert min(crowded.ious(parse)) > 0.9
    # The paper's way: everything goes to the nearest.
    crowded.config.fusion.assignment.claim_reach_sizes = 0.0
    parse = crowded.fuse(heads)
    assert (parse["instance_score"][: parse["num_instances"]] > 0).all()
