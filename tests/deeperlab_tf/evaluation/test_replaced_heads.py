"""Heads that are kept, fused with other settings, or replaced by true ones: which is to blame.

The model is a stand-in whose semantic head is right and whose keypoint heads are noise, on scenes
of the shapes.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from deeperlab_tf.evaluation.kept_heads import KeptHeads, score
from deeperlab_tf.evaluation.oracle import perfect_heads, true_heads
from deeperlab_tf.evaluation.replaced_heads import (
    REPLACEMENTS,
    Labels,
    heads_of,
    labels_for_network,
    score_replacements,
)
from deeperlab_tf.evaluation.samples import Chosen
from deeperlab_tf.evaluation.sweep import (
    METRICS,
    best_of,
    grid,
    name_of,
    one_by_one,
    row_of,
    sweep,
    table,
)
from input_pipeline import make_targets, open_source

KEYPOINT_HEADS = ("keypoint_logits", "short_offsets", "middle_offsets", "long_offsets")


def targets_of(labels, config):
    tensors = make_targets(*map(tf.constant, labels), config)
    return {name: tensor.numpy() for name, tensor in tensors.items()}


class StandIn:
    """A model that knows the scenes' classes, by their pixels, and nothing of keypoints."""

    def __init__(self, config, source):
        self.config, self.dataset = config, source.dataset
        self.truth = {}
        for number in range(len(source)):
            sample = source[number]
            labels = Labels(*(sample[name] for name in Labels._fields))
            heads = perfect_heads(targets_of(labels, config), self.dataset.num_classes)
            noise = np.random.default_rng(number)
            for name in KEYPOINT_HEADS:
                heads[name] = noise.normal(0, 2, heads[name].shape).astype(np.float32)
            self.truth[sample["image"].tobytes()] = heads

    def heads(self, image):
        return self.truth[image.tobytes()]


@pytest.fixture(scope="module")
def scenes():
    """(config, two scenes of 65 x 65, the stand-in)."""
    config = default_config()
    config.data.shapes.update(image_size=(65, 65), num_val=4, max_things=3)
    config.eval.image_size = (65, 65)
    config.model.keypoint_radius = 8.0
    config.fusion.detection.radius_pixels = 5.0
    source = Chosen(open_source(config, "val"), [0, 2])
    return SimpleNamespace(config=config, source=source, model=StandIn(config, source))


@pytest.fixture(scope="module")
def kept(scenes):
    with KeptHeads() as kept:
        kept.fill(scenes.model, scenes.source)
        yield kept


# === Kept heads ===


def test_heads_and_labels_come_back_in_their_order(scenes, kept):
    assert len(kept) == 2
    for number, image in enumerate(kept):
        sample = scenes.source[number]
        for name in ("semantic", "instance", "crowd"):
            np.testing.assert_array_equal(getattr(image, name), sample[name])
        expected = scenes.model.heads(sample["image"])
        assert set(image.heads) == set(expected)
        for name, head in image.heads.items():
            assert head.dtype == np.float32
            # Half precision: eleven bits.
            np.testing.assert_allclose(head, expected[name], rtol=2**-10, atol=1e-6)


def test_the_file_holds_half_precision_and_is_gone_afterwards(scenes):
    sample = scenes.source[0]
    heads = scenes.model.heads(sample["image"])
    labels = sum(sample[name].nbytes for name in ("semantic", "instance", "crowd"))
    with KeptHeads() as kept:
        kept.add(heads, sample)
        assert kept.num_bytes == sum(head.nbytes for head in heads.values()) // 2 + labels
    with pytest.raises(ValueError, match="closed"):
        kept[0]


def test_data_of_other_classes_are_refused(scenes, toy_dataset):
    model = SimpleNamespace(dataset=toy_dataset, config=scenes.config)
    with KeptHeads() as kept, pytest.raises(UserError, match="knows the classes of toy"):
        kept.fill(model, scenes.source)


# === Settings ===


def test_a_setting_that_does_not_fit_is_told_before_anything_is_scored(scenes):
    for setting in ({"fusion.peak": 0.1}, {"fusion.peak_threshold": 7.0}):
        with pytest.raises(UserError, match="peak"):
            sweep(None, scenes.source.dataset, scenes.config, [{}, setting])


def test_settings_are_every_combination_or_each_value_alone():
    values = {"fusion.a": [1, 2], "fusion.b": [3, 4, 5]}
    combined = grid(values)
    assert len(combined) == 6 and combined[1] == {"fusion.a": 1, "fusion.b": 4}
    alone = one_by_one(values)
    assert alone == [{"fusion.a": 1}, {"fusion.a": 2}] + [{"fusion.b": b} for b in (3, 4, 5)]
    assert name_of(combined[1]) == "a = 1, b = 4"


def test_the_best_row_is_bold_and_never_one_without_a_number():
    def row(name, value):
        return row_of(name, dict.fromkeys(METRICS.values(), value))

    rows = [row("none", math.nan), row("worse", 0.25), row("better", 0.5), row("as good", 0.5)]
    best = best_of(rows, "pq")
    assert best["name"] == "better"
    lines = table(rows, best).splitlines()
    assert len(lines) == 6 and all(line.count("|") == len(METRICS) + 2 for line in lines)
    assert lines[2].startswith("| none | n/a |") and lines[3].startswith("| worse | 25.00 |")
    assert lines[4].startswith("| **better** | **50.00** |")
    assert "**" not in lines[5]


# === True heads ===


def test_names_of_replacements_are_heads():
    assert heads_of("semantic") == ("semantic_logits",)
    assert set(heads_of("keypoints")) == set(KEYPOINT_HEADS)
    assert heads_of("keypoints+long") == heads_of("keypoints")
    everything = heads_of("semantic+keypoints")
    assert set(everything) == set().union(*REPLACEMENTS.values())
    with pytest.raises(UserError, match=r"'semantics' cannot be replaced; known are semantic"):
        heads_of("long+semantics")


def test_the_head_that_is_wrong_is_the_one_to_blame(scenes):
    def true(labels, predicted):
        return true_heads(targets_of(labels, scenes.config), predicted)

    names = ("semantic", "keypoints")
    replacements = {"nothing": (), **{name: heads_of(name) for name in names}}
    results = score_replacements(scenes.model, scenes.source, true, replacements)
    assert list(results) == ["nothing", *names]
    # Classes were right already; where keypoints are, the model did not know.
    for key in METRICS.values():
        assert results["semantic"][key] == pytest.approx(results["nothing"][key], abs=1e-3)
    # Where they are true, small objects are still lost to the grid of stride 4.
    assert results["nothing"]["pq_things"] < 0.4
    assert results["keypoints"]["pq_things"] > 0.7
    qualities = results["keypoints"]["pq_stuff"], results["nothing"]["pq_stuff"]
    assert all(quality > 0.9 for quality in qualities)


def test_labels_are_resized_and_padded_as_the_image_is(scenes):
    config = scenes.config.copy_and_resolve_references()
    config.eval.image_size = (33, 65)
    semantic = np.ones((64, 128), np.int32)
    semantic[:, 64:] = 2
    instance = np.where(semantic == 2, 7, 0).astype(np.int32)
    crowd = np.zeros((64, 128), bool)
    crowd[:, :32] = True
    fitted = labels_for_network(Labels(semantic, instance, crowd), config)
    assert [values.shape for values in fitted] == [(33, 65)] * 3
    content = np.s_[:31, :63]
    assert set(fitted.semantic[content].ravel()) <= {1, 2}
    assert np.array_equal(fitted.semantic[content] == 2, fitted.instance[content] == 7)
    assert fitted.crowd[:, :14].mean() > 0.9 and not fitted.crowd[:, 20:].any()
    # Padding counts for nothing.
    assert (fitted.semantic[33:] == 255).all() and not fitted.instance[:, 65:].any()


def test_scoring_kept_heads_and_replacing_nothing_agree(scenes, kept):
    """But for half precision."""
    dataset = scenes.source.dataset
    whole = score_replacements(
        scenes.model, scenes.source, lambda _, predicted: predicted, {"nothing": ()}
    )
    stored = score(kept, dataset, scenes.config)
    assert stored["pq_stuff"] == pytest.approx(whole["nothing"]["pq_stuff"], abs=0.02)
    assert stored["miou"] == pytest.approx(whole["nothing"]["miou"], abs=0.02)
