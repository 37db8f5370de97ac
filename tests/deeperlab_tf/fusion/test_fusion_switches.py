"""Every value of config.fusion changes the parse of a scene that asks for it."""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import fuse
from deeperlab_tf.keypoints import CENTER

RECTANGLE = ("keypoint_graph",)  # needs other heads: see below
FUSION = {
    "keypoint_radius": 12.0,
    "keypoint_read": "point",
    "voter_reach": 1.0,
    "refine_reach": 2.0,
    "refine_middle_steps": 0,
    "refine_long": False,
    "refine_long_threshold": 0.999,
    "min_vote": 0.9,
    "long_vote_weight": 0.0,
    "long_vote_every": 1,
    "peak_window": 1,  # see test_detect.py
    "peak_threshold": 5.0,
    "max_keypoints": 8,
    "return_reach": 0.01,  # seen where no centre is found, see below
    "rescore": "none",
    "oks_kappa": 0.5,
    "detection_radius": 0.1,
    "detection_reach": 0.01,  # seen on things smaller than the detection radius, see test_detect.py
    "nms_iou": 0.01,
    "claim_reach": 0.01,
    "assign_by": "scaled",
    "max_instances": 1,
    "label_divisor": 500,
}


@pytest.fixture(scope="module")
def heads_and_size(scene_class):
    """Noisy heads of four things, two of which overlap, on a street of stuff."""
    made = scene_class((97, 129))
    boxes = (8, 8, 40, 40), (30, 30, 70, 66), (60, 84, 90, 120), (10, 90, 22, 102), (74, 20, 90, 36)
    for box, label in zip(boxes, (2, 3, 2, 3, 2)):
        made.add(box, label)
    rng = np.random.default_rng(0)
    heads = {
        name: head + rng.normal(0, 1.5, head.shape).astype(np.float32)
        for name, head in made.heads().items()
    }
    heads["long_offsets"][:, 16:, 22:] += 12  # of the third, so that its pixels miss it by some way
    # Some of the second lie between it and the smaller fifth: nearer to the fifth, but not in units
    # of their sizes.
    second, fifth = (
        np.array([[y1, x1], [y1, x2], [y2, x1], [y2, x2], [(y1 + y2) / 2, (x1 + x2) / 2]])
        for y1, x1, y2, x2 in (boxes[1], boxes[4])
    )
    ys, xs = np.mgrid[13:16, 10:14]
    here = 4.0 * np.stack([ys, xs], axis=-1)[:, :, None]
    heads["long_offsets"][0, ys, xs] = (0.42 * second + 0.58 * fifth - here).reshape(3, 4, 10)
    return heads, made.semantic.shape


def parse(heads_and_size, things, **changes):
    config = default_config().fusion
    config.update({"keypoint_radius": 8.0, "detection_radius": 5.0, **changes})
    return fuse(*heads_and_size, things, config)


def test_no_switch_is_forgotten():
    assert set(default_config().fusion.keys()) == {*FUSION, *RECTANGLE}


@pytest.fixture(scope="module")
def plain_parse(heads_and_size):
    return parse(heads_and_size, (2, 3))


@pytest.mark.parametrize(
    "name", sorted(set(FUSION) - {"detection_reach", "return_reach", "peak_window"})
)
def test_every_value_changes_the_parse(heads_and_size, plain_parse, things, name):
    changed = parse(heads_and_size, things, **{name: FUSION[name]})
    same = [
        plain_parse[key].shape == changed[key].shape
        and bool(tf.reduce_all(plain_parse[key] == changed[key]))
        for key in plain_parse
    ]
    assert not all(same)


@pytest.mark.parametrize("reach, is_found", [(0.0, True), (0.5, True), (0.01, False)])
def test_proposals_of_corners_lead_back_to_them(scene, reach, is_found):
    """Where no centre is found, corners hop to it; here the edges from there miss the corners by
    12.7 pixels.
    """
    made = scene().add((8, 8, 40, 40))
    heads = made.heads()
    heads["keypoint_logits"][..., CENTER] = -20
    heads["middle_offsets"][..., :8] += 9
    made.config.fusion.update(return_reach=reach, long_vote_weight=0.0)
    assert (made.fuse(heads)["instance_score"][0] > 0) == is_found


def test_the_rectangle_graph_walks_around_the_corners(scene):
    """Targets, heads and fusion without a centre of mass: the same objects come out."""
    made = scene((97, 129))
    made.config.fusion.keypoint_graph = "rectangle"
    made.add((8, 8, 40, 40)).add((50, 60, 90, 120), 3)
    heads = made.heads()
    assert heads["keypoint_logits"].shape[-1] == 4 and heads["middle_offsets"].shape[-1] == 16
    result = made.fuse(heads)
    assert result["num_instances"] == 2 and result["instance_keypoints"].shape[1:] == (4, 2)
    assert min(made.ious(result)) > 0.9
