"""Every value of config.fusion changes the parse of a scene that asks for it."""

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import fuse
from deeperlab_tf.keypoints import CENTER, STAR

# A value of each that changes the parse.
CHANGES = {
    "keypoint_radius": 12.0,
    "peak_threshold": 5.0,
    "nms_iou": 0.01,
    "max_keypoints": 8,
    "max_instances": 1,
    "label_divisor": 500,
    "refinement.keypoint_read": "point",
    "refinement.voter_reach_radii": 1.0,
    "refinement.start_reach_radii": 2.0,
    "refinement.middle_steps": 0,
    "refinement.long_range": False,
    "refinement.long_threshold": 0.999,
    "voting.lightest_vote": 0.9,
    "voting.long_weight": 0.0,
    "voting.long_every": 1,
    "detection.rescore": "none",
    "detection.oks_kappa": 0.5,
    "detection.radius_pixels": 0.1,
    "assignment.claim_reach_sizes": 0.01,
    "merging.least_stuff_share": 1.0,
}
# Those that a scene of their own asks for.
ELSEWHERE = {
    "keypoint_graph",  # needs other heads: below
    "detection.return_reach_sizes",  # seen where no centre is found: below
    "detection.reach_sizes",  # seen on things smaller than the detection radius: test_select.py
    "detection.peak_window_cells",  # test_peaks.py
    "merging.least_unclaimed_share",  # seen where no instance claims some pixels: test_fuse.py
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
    return heads, made.semantic.shape


def parse(heads_and_size, things, **changes):
    fusion = default_config().fusion
    base = {"keypoint_radius": 8.0, "detection.radius_pixels": 5.0}
    fusion.update_from_flattened_dict({**base, **changes})
    return fuse(*heads_and_size, things, fusion)


def leaves(config, prefix=""):
    """Dotted keys of all values of nested configs."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


@pytest.mark.both_stacks
def test_no_switch_is_forgotten():
    assert set(leaves(default_config().fusion)) == {*CHANGES, *ELSEWHERE}


@pytest.fixture(scope="module")
def plain_parse(heads_and_size):
    return parse(heads_and_size, (2, 3))


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_every_value_changes_the_parse(heads_and_size, plain_parse, things, name):
    changed = parse(heads_and_size, things, **{name: CHANGES[name]})
    same = [
        plain_parse[key].shape == changed[key].shape
        and bool(tf.reduce_all(plain_parse[key] == changed[key]))
        for key in plain_parse
    ]
    assert not all(same)


COMPILED = {
    **CHANGES,
    "detection.return_reach_sizes": 0.0,
    "detection.reach_sizes": 0.0,
    "detection.peak_window_cells": 3,
}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", sorted(COMPILED))
def test_every_value_compiles_to_the_plain_parse(heads_and_size, things, name):
    changes = {name: COMPILED[name]}
    compiled = tf.function(
        lambda heads: parse((heads, heads_and_size[1]), things, **changes),
        jit_compile=True,
        autograph=False,
    )
    expected = parse(heads_and_size, things, **changes)
    found = compiled({key: tf.constant(head) for key, head in heads_and_size[0].items()})
    for key in ("semantic", "instance", "panoptic"):
        assert np.count_nonzero(found[key] != expected[key]) <= 1, key
    np.testing.assert_array_equal(found["instance_class"], expected["instance_class"])
    np.testing.assert_allclose(found["instance_score"], expected["instance_score"], rtol=1e-4)


@pytest.mark.parametrize("reach, is_found", [(0.0, True), (0.5, True), (0.01, False)])
def test_proposals_of_corners_lead_back_to_them(scene, reach, is_found):
    """Where no centre is found, corners hop to it; here the edges from there miss the corners by
    12.7 pixels.
    """
    made = scene().add((8, 8, 40, 40))
    heads = made.heads()
    heads["keypoint_logits"][..., CENTER] = -20
    from_centre = [start == CENTER for start, _ in STAR.edges]
    heads["middle_offsets"][..., np.repeat(from_centre, 2)] += 9
    made.config.fusion.detection.return_reach_sizes = reach
    made.config.fusion.voting.long_weight = 0.0
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
