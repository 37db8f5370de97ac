"""Assignment against interpolating every prediction and comparing it with every instance."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import assign, detect, semantics, upsample
from deeperlab_tf.fusion.boxes import boxes_of, scale

NUM_CLASSES, THINGS, INSTANCES = 3, (1, 2), 30


def assign_oracle(label, pixel_class, targets, keypoints, reach, sizes):
    """Slot of every pixel by plain loops: -1 where no instance claims it, -2 where the rules leave
    it open.

    label [h, w], pixel_class [H, W], targets [h, w, P, 2] pixels, keypoints [J, P, 2], reach float
    [J] pixels, sizes float [J], the units of distances.
    """
    squares = ((targets[:, :, None] - keypoints) ** 2).sum((3, 4))  # [h, w, J]
    nearest = (squares / sizes**2).argmin(2)
    claimed = (
        np.take_along_axis(squares, nearest[..., None], 2)[..., 0]
        <= targets.shape[2] * reach[nearest] ** 2
    )
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
            slots[y, x] = (((mean - keypoints) ** 2).sum((1, 2)) / sizes**2).argmin()
    return slots


@pytest.mark.both_stacks
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [3.0, 30.0])
@pytest.mark.parametrize("assign_by", ["distance", "scaled"])
def test_pixels_go_to_the_nearest_of_all_instances(seed, noise, assign_by, monkeypatch):
    monkeypatch.setattr(assign, "follow_neighbours", lambda rows, *_: rows)  # a rule of its own
    config = default_config().fusion
    config.assign_by = assign_by
    rng = np.random.default_rng(seed)
    height, width = 12, 15
    logits = (
        4 * rng.normal(size=[height, width, NUM_CLASSES]) * (rng.random([height, width, 1]) < 0.3)
    )
    logits[..., 1] += np.linspace(2, -2, width)  # thing, thing, stuff from left to right
    logits[..., 2] += 1
    logits[..., 0] += np.linspace(-2, 2, width)
    keypoints = rng.uniform(0, 60, [INSTANCES, 1, 2]) + rng.normal(0, 12, [INSTANCES, 5, 2])
    if assign_by == "scaled":  # real boxes
        corners = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1), (0, 0)])
        keypoints = (
            rng.uniform(0, 60, [INSTANCES, 1, 2]) + rng.uniform(8, 14, [INSTANCES, 1, 1]) * corners
        )
    keypoints = keypoints.astype(np.float32)
    owner = np.repeat(np.repeat(rng.integers(0, INSTANCES, [6, 5]), 2, 0), 3, 1)
    targets = (keypoints[owner] + rng.normal(0, noise, [height, width, 5, 2])).astype(np.float32)
    boxes = boxes_of(tf.constant(keypoints))
    padded = [
        tf.pad(x, [[0, 5]] + [[0, 0]] * (x.shape.rank - 1))
        for x in (tf.constant(keypoints), boxes, boxes[:, 0])
    ]
    instances = detect.Instances(*padded, tf.constant(INSTANCES))

    grid_size, size = tf.constant([height, width]), (4 * height - 3, 4 * width - 3)
    found = semantics.semantics(
        tf.constant(logits.reshape(-1, NUM_CLASSES), tf.float32), THINGS, grid_size
    )
    long_targets = tf.transpose(tf.gather(targets.reshape(-1, 5, 2), found.support), [2, 0, 1])
    parts = assign.assign(found, long_targets, instances, THINGS, grid_size, config)
    labels, sizes = tf.range(1000), (grid_size, tf.constant(size))
    fast = upsample.fill(labels, parts.cell_slot, parts.mixed, parts.pixel_slot, *sizes).numpy()
    pixel_class = upsample.fill(
        labels, parts.cell_class, parts.mixed, parts.pixel_class, *sizes
    ).numpy()

    sizes = scale(boxes).numpy()
    reach = config.keypoint_radius + config.assignment.claim_reach_sizes * sizes
    sizes = np.maximum(sizes, 1) if assign_by == "scaled" else np.ones_like(sizes)
    slow = assign_oracle(
        found.label.numpy().reshape(height, width), pixel_class, targets, keypoints, reach, sizes
    )
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
    crowded.config.fusion.assignment.claim_reach_sizes = (
        0.0  # the paper's way: everything goes to the nearest
    )
    parse = crowded.fuse(heads)
    assert (parse["instance_score"][: parse["num_instances"]] > 0).all()
