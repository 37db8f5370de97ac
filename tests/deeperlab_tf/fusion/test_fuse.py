"""The whole fusion: perfect heads come back as the labels they describe; nothing crashes on odd
ones.
"""

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.errors import UserError
from deeperlab_tf.fusion import fuse
from deeperlab_tf.schema import IGNORE_LABEL


def check_parse(parse, things, config):
    """What holds for every parse."""
    count = parse["num_instances"]
    assert (parse["panoptic"] == parse["semantic"] * config.label_divisor + parse["instance"]).all()
    ids = np.unique(parse["instance"])
    np.testing.assert_array_equal(ids[ids > 0], np.arange(1, count + 1))
    np.testing.assert_array_equal(parse["instance"] > 0, np.isin(parse["semantic"], things))
    assert (np.diff(parse["instance_score"][:count]) <= 0).all()
    for number in range(1, count + 1):
        assert (
            parse["semantic"][parse["instance"] == number] == parse["instance_class"][number - 1]
        ).all()
    assert (
        not parse["instance_score"][count:].any() and (parse["instance_class"][count:] == -1).all()
    )


@pytest.mark.both_stacks
@pytest.mark.parametrize("graph", ["star", "rectangle"])
def test_perfect_heads_come_back_as_the_labels(scene, things, graph):
    three = scene().add((6, 5, 30, 40)).add((34, 8, 60, 28), 3).add((20, 48, 50, 76))
    three.config.fusion.keypoint_graph = graph
    parse = three.fuse()
    check_parse(parse, things, three.config.fusion)
    assert parse["num_instances"] == 3 and min(three.ious(parse)) > 0.95
    assert (parse["semantic"] == three.semantic).mean() > 0.99
    best = parse["instance"][8, 8] - 1
    np.testing.assert_allclose(parse["instance_box"][best], [6, 5, 30, 40], atol=0.1)


def test_no_thing_pixel_gives_stuff_only(scene, things):
    nothing = scene()
    parse = nothing.fuse()
    check_parse(parse, things, nothing.config.fusion)
    assert parse["num_instances"] == 0 and not parse["panoptic"].any()


def test_things_without_detection_are_one_segment_per_class_in_class_order(scene, things):
    missed = scene().add((6, 5, 30, 40), 3).add((34, 8, 60, 28), 2)
    heads = missed.heads()
    heads["keypoint_logits"][:] = -20
    heads["long_offsets"][:] = 1e6
    parse = missed.fuse(heads)
    check_parse(parse, things, missed.config.fusion)
    np.testing.assert_array_equal(parse["instance_class"][:2], [2, 3])
    np.testing.assert_array_equal(parse["instance_score"][:2], 0)
    np.testing.assert_allclose(parse["instance_box"][:2], [[34, 8, 60, 28], [6, 5, 30, 40]], atol=1)


def test_one_instance_may_cover_the_image(scene, things):
    whole = scene().add((0, 0, 64, 80))
    parse = whole.fuse()
    check_parse(parse, things, whole.config.fusion)
    assert parse["num_instances"] == 1 and (parse["instance"] == 1).all()


def test_a_one_pixel_object_on_the_grid_is_found(scene):
    tiny = scene().add((32, 40, 32, 40))
    tiny.config.fusion.peak_threshold = 0.02
    heads = tiny.heads()
    heads["semantic_logits"][0, 8, 10] = [-9, -9, 0, -9]
    parse = tiny.fuse(heads)
    assert parse["instance"][32, 40] == 1 and parse["num_instances"] == 1
    np.testing.assert_allclose(parse["instance_box"][0], [32, 40, 32, 40], atol=0.1)


def test_hundreds_of_tiny_objects_are_told_apart(scene, things):
    many = scene((257, 401), 6.0)
    for row in range(10):
        for column in range(25):
            many.add(
                (4 + 25 * row, 4 + 16 * column, 13 + 25 * row, 12 + 16 * column), 2 + column % 2
            )
    many.config.fusion.max_keypoints = 2048
    parse = many.fuse()
    check_parse(parse, things, many.config.fusion)
    assert parse["num_instances"] == 250 and min(many.ious(parse)) > 0.7


def test_objects_with_a_shared_corner_are_told_apart(scene):
    pair = scene().add((4, 4, 30, 36)).add((30, 37, 60, 76))
    assert min(pair.ious(pair.fuse())) > 0.9


def test_of_objects_with_the_same_centre_the_inner_one_is_found(scene, things):
    rings = scene().add((8, 12, 56, 68)).add((24, 32, 40, 48), 3)
    parse = rings.fuse()
    check_parse(parse, things, rings.config.fusion)
    assert rings.ious(parse)[1] > 0.85


def test_objects_with_the_same_box_are_one_instance_at_least(scene, things):
    rows, columns = np.mgrid[:65, :81]
    box = (rows >= 8) & (rows <= 56) & (columns >= 12) & (columns <= 60)
    halves = scene().add(box & (rows - 8 > columns - 12)).add(box & (rows - 8 <= columns - 12))
    parse = halves.fuse()
    check_parse(parse, things, halves.config.fusion)
    assert parse["num_instances"] >= 1


def test_objects_cut_by_every_border_are_found(scene, things):
    cut = (
        scene()
        .add((0, 20, 16, 60))
        .add((48, 20, 64, 60))
        .add((20, 0, 44, 16), 3)
        .add((20, 64, 44, 80), 3)
    )
    parse = cut.fuse()
    check_parse(parse, things, cut.config.fusion)
    assert parse["num_instances"] == 4 and min(cut.ious(parse)) > 0.9


def test_keypoints_may_be_predicted_outside_the_image(scene, things):
    outside = scene().add((10, 10, 50, 60))
    heads = outside.heads()
    for name in ("short_offsets", "middle_offsets", "long_offsets"):
        heads[name] += 300
    check_parse(outside.fuse(heads), things, outside.config.fusion)


def test_all_zero_heads_parse(scene, things):
    blank = scene().add((10, 10, 50, 60))
    parse = blank.fuse({name: np.zeros_like(head) for name, head in blank.heads().items()})
    check_parse(parse, things, blank.config.fusion)


def left_out(parse, things, config):
    """Slowly: the class maps and instances of a parse without the segments that are too small."""
    semantic, instance = parse["semantic"].copy(), parse["instance"].copy()
    labels = np.stack([semantic, instance], axis=-1).reshape(-1, 2)
    for label, number in np.unique(labels, axis=0):
        mask = (parse["semantic"] == label) & (parse["instance"] == number)
        is_claimed = label in things and parse["instance_score"][number - 1] > 0
        least = config.least_unclaimed_share if label in things else config.least_stuff_share
        if not is_claimed and mask.mean() < least:
            semantic[mask], instance[mask] = IGNORE_LABEL, 0
    kept = np.unique(instance[instance > 0])
    for next_id, number in enumerate(kept, start=1):
        instance[(parse["instance"] == number) & (instance > 0)] = next_id
    return semantic, instance, kept


@pytest.mark.both_stacks
@pytest.mark.parametrize("stuff, unclaimed", [(0.0, 1.0), (1.0, 0.0), (0.42, 0.08)])
@pytest.mark.parametrize("seed", range(3))
def test_too_small_segments_are_left_out(scene, things, stuff, unclaimed, seed):
    noisy = scene().add((6, 5, 30, 40)).add((34, 8, 60, 28), 3).add((20, 48, 50, 76))
    rng = np.random.default_rng(seed)
    heads = noisy.heads()
    heads["semantic_logits"] += rng.normal(0, 8, heads["semantic_logits"].shape)
    heads["long_offsets"][:, :6] += 1e3  # some pixels are no instance's
    plain = noisy.fuse(heads)
    merging = noisy.config.fusion.merging
    merging.least_stuff_share, merging.least_unclaimed_share = stuff, unclaimed
    parse = noisy.fuse(heads)

    semantic, instance, kept = left_out(plain, things, merging)
    assert (semantic == IGNORE_LABEL).any()
    check_parse(parse, things, noisy.config.fusion)
    np.testing.assert_array_equal(parse["semantic"], semantic)
    np.testing.assert_array_equal(parse["instance"], instance)
    for name in ("instance_class", "instance_score", "instance_box"):
        np.testing.assert_array_equal(parse[name][: len(kept)], plain[name][kept - 1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_a_clear_error_eagerly_and_no_crash_in_a_graph(scene, things, bad):
    broken = scene().add((10, 10, 50, 60))
    config, size = broken.config.fusion, broken.semantic.shape
    parse_in_graph = tf.function(lambda heads: fuse(heads, size, things, config))
    whole = {key: tf.constant(value) for key, value in broken.heads().items()}
    for name, head in whole.items():
        is_bad = tf.random.stateless_uniform(head.shape, [1, 2]) < 0.3
        heads = {**whole, name: tf.where(is_bad, bad, head)}
        with pytest.raises(UserError, match=name):
            broken.fuse(heads)
        panoptic = parse_in_graph(heads)["panoptic"].numpy()
        assert panoptic.shape == (1, *size)
        assert panoptic.min() >= 0 and panoptic.max() < 4 * config.label_divisor


def test_wrong_heads_are_clear_errors(scene, things):
    one = scene()
    heads = one.heads()
    with pytest.raises(UserError, match="long_offsets"):
        fuse(
            {k: v for k, v in heads.items() if k != "long_offsets"},
            (65, 81),
            things,
            one.config.fusion,
        )
    one.config.fusion.keypoint_graph = "rectangle"
    with pytest.raises(UserError, match="keypoint_logits"):
        fuse(heads, (65, 81), things, one.config.fusion)


def test_batches_graphs_and_exports_give_the_same_parse(scene, things, tmp_path):
    scenes = [
        scene().add((6, 5, 30, 40)).add((34, 8, 60, 28), 3),
        scene(),
        scene().add((20, 48, 50, 76)),
    ]
    singles = [one.heads(seed) for seed, one in enumerate(scenes)]
    config, size = scenes[0].config.fusion, (65, 81)
    expected = [fuse(heads, size, things, config) for heads in singles]
    batch = {name: tf.concat([heads[name] for heads in singles], axis=0) for name in singles[0]}

    module = tf.Module()
    signature = {
        name: tf.TensorSpec([None, None, None, head.shape[-1]], name=name)
        for name, head in batch.items()
    }
    module.parse = tf.function(
        lambda heads: fuse(
            heads,
            [4 * (tf.shape(heads["long_offsets"])[axis] - 1) + 1 for axis in (1, 2)],
            things,
            config,
        ),
        input_signature=[signature],
    )
    tf.saved_model.save(module, str(tmp_path / "fuse"))
    exported = tf.saved_model.load(str(tmp_path / "fuse"))
    for parse in (fuse(batch, size, things, config), module.parse(batch), exported.parse(batch)):
        for name, value in parse.items():
            want = np.concatenate([one[name].numpy() for one in expected])
            if want.dtype == np.float32:
                np.testing.assert_allclose(value, want, atol=1e-4)
            else:
                np.testing.assert_array_equal(value, want)
