"""Compiled by XLA, the fusion gives what it gives plain."""

import contextlib
import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.hlo import count_operations
from deeperlab_tf.config import default_config
from deeperlab_tf.fusion import fuse, ops
from deeperlab_tf.keypoints import CENTER

pytestmark = pytest.mark.slow

SIZE = (65, 81)
LABELS = ("panoptic", "semantic", "instance")
WHOLE = ("num_instances", "instance_class")
PLATEAU = "one peak everywhere"  # candidates tie, which rounding decides
# All ways that a switch can send the fusion, other than by default.
OTHER = {
    "max_keypoints": 40,
    "max_instances": 3,
    "refinement.keypoint_read": "point",
    "refinement.middle_steps": 2,
    "refinement.long_range": False,
    "voting.long_weight": 0.0,
    "detection.peak_window_cells": 3,
    "detection.return_reach_sizes": 0.0,
    "detection.rescore": "none",
    "detection.reach_sizes": 0.0,
    "assignment.claim_reach_sizes": 0.0,
    "merging.least_stuff_share": 0.05,
    "merging.least_unclaimed_share": 0.05,
}
SETTINGS = {
    "star": {},
    "rectangle": {"keypoint_graph": "rectangle", "voting.long_every": 1},
    "other_star": OTHER,
    "other_rectangle": {"keypoint_graph": "rectangle", **OTHER, "refinement.middle_steps": 0},
}


def settings_of(name):
    fusion = default_config().fusion
    base = {"keypoint_radius": 8.0, "detection.radius_pixels": 5.0}
    fusion.update_from_flattened_dict({**base, **SETTINGS[name]})
    return fusion


@functools.cache
def compiled(name, things):
    """The fusion as XLA compiles it, from heads to a parse."""

    @tf.function(jit_compile=True, autograph=False)
    def parse(heads):
        # "star" shows that nobody need say so.
        form = contextlib.nullcontext() if name == "star" else ops.one_form(compiled=True)
        with form:
            return fuse(heads, SIZE, things, settings_of(name))

    return parse


def plain(name, things, heads):
    return fuse(heads, SIZE, things, settings_of(name))


def check_same(found, expected, names=None):
    """The same instances; labels may differ at 1 pixel in 100,000."""
    for name in names or expected:
        value = expected[name]
        if name in LABELS:
            differing = np.count_nonzero(found[name] != value)
            assert differing <= math.ceil(value.shape.num_elements() / 100_000), name
        else:
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-3, err_msg=name)


def noisy(heads, seed, noise=1.0):
    rng = np.random.default_rng(seed)
    noises = {name: rng.normal(0, noise, head.shape) for name, head in heads.items()}
    return {name: head + noises[name].astype(np.float32) for name, head in heads.items()}


@pytest.fixture
def scenes(scene):
    """Function (graph) -> dict of heads: of nothing, one thing, several, and odd ones."""

    def make(graph):
        def new():
            made = scene(SIZE)
            made.config.fusion.keypoint_graph = graph
            return made

        three = new().add((6, 5, 30, 40)).add((34, 8, 60, 28), 3).add((20, 48, 50, 76))
        small = new()
        for row in range(4):
            for column in range(6):
                y, x = 3 + 15 * row, 2 + 13 * column
                small.add((y, x, y + 11, x + 9), 2 + column % 2)
        missed = three.heads()
        missed["keypoint_logits"][:] = -20
        missed["long_offsets"][:] = 1e6
        return {
            "nothing": new().heads(),
            "one": new().add((0, 0, 64, 80)).heads(),
            "three": three.heads(),
            "small": noisy(small.heads(), 3, 0.3),
            "noise": noisy(three.heads(), 1),
            "more noise": noisy(small.heads(), 2, 3.0),
            "no peak": missed,
            "zeros": {name: np.zeros_like(head) for name, head in missed.items()},
            PLATEAU: {**three.heads(), "keypoint_logits": _peaks(missed)},
        }

    return make


def _peaks(heads):
    return np.full_like(heads["keypoint_logits"], 8.0)


@pytest.mark.both_stacks
@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_compiled_parses_are_those_of_the_plain_graph(scenes, things, name):
    graph = settings_of(name).keypoint_graph
    counts = set()
    for scene, heads in scenes(graph).items():
        heads = {key: tf.constant(head) for key, head in heads.items()}
        expected = plain(name, things, heads)
        names = (*LABELS, *WHOLE) if scene == PLATEAU else None
        check_same(compiled(name, things)(heads), expected, names)
        counts.add(int(expected["num_instances"][0]))
    # Others take three instances at most.
    assert {0, 1, 3} <= counts and (max(counts) > 20) != name.startswith("other")


def test_a_batch_is_compiled_as_one(scenes, things):
    of_scenes = scenes("star")
    names = ("three", "nothing", "small")
    batch = {key: np.concatenate([of_scenes[name][key] for name in names]) for key in head_names()}
    batch = {key: tf.constant(head) for key, head in batch.items()}
    check_same(compiled("star", things)(batch), plain("star", things, batch))


def head_names():
    offsets = [f"{reach}_offsets" for reach in ("short", "middle", "long")]
    return ["semantic_logits", "keypoint_logits", *offsets]


@pytest.mark.parametrize("name", head_names())
def test_nan_compiles_to_labels_that_exist(scenes, things, name):
    heads = scenes("star")["three"]
    is_bad = np.random.default_rng(0).random(heads[name].shape) < 0.3
    heads[name] = np.where(is_bad, np.float32(np.nan), heads[name])
    heads = {key: tf.constant(head) for key, head in heads.items()}
    parse = compiled("star", things)(heads)
    fusion = settings_of("star")
    panoptic = parse["panoptic"].numpy()
    assert panoptic.shape == (1, *SIZE)
    assert panoptic.min() >= 0 and panoptic.max() < 4 * fusion.label_divisor
    np.testing.assert_array_equal(panoptic % fusion.label_divisor, parse["instance"])


def test_corners_found_without_centres_come_out_compiled(scenes, things):
    heads = scenes("star")["three"]
    heads["keypoint_logits"][..., CENTER] = -20
    heads = {key: tf.constant(head) for key, head in heads.items()}
    expected = plain("star", things, heads)
    assert expected["num_instances"] == 3
    check_same(compiled("star", things)(heads), expected)


def test_few_operations_are_left_when_xla_is_done(scenes, things):
    heads = {key: tf.constant(head) for key, head in scenes("star")["three"].items()}
    lowered = compiled("star", things).experimental_get_compiler_ir(heads)
    assert count_operations(lowered(stage="optimized_hlo")) <= 400


def test_a_graph_that_holds_both_forms_runs_the_plain_one(scenes, things):
    heads = {key: tf.constant(head) for key, head in scenes("star")["noise"].items()}
    both = tf.function(lambda heads: fuse(heads, SIZE, things, settings_of("star")))
    for name, value in both(heads).items():
        np.testing.assert_array_equal(value, plain("star", things, heads)[name])


def test_graphs_of_unknown_sizes_have_the_plain_form_only(scenes, things):
    heads = scenes("star")["nothing"]
    specs = {name: tf.TensorSpec([1, None, None, head.shape[-1]]) for name, head in heads.items()}
    unknown = tf.function(lambda heads: fuse(heads, SIZE, things, settings_of("star")))
    assert not _compiled_functions(unknown.get_concrete_function(specs))
    heads = {name: tf.constant(head) for name, head in heads.items()}
    known = tf.function(lambda: fuse(heads, SIZE, things, settings_of("star")))
    assert _compiled_functions(known.get_concrete_function())


def _compiled_functions(concrete):
    functions = concrete.graph.as_graph_def().library.function
    return [each for each in functions if "compiled" in each.signature.name]
