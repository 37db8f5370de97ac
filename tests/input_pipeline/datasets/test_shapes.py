"""Scenes from (seed, split, index): reproducible, disjoint, learnable."""

import numpy as np
import pytest

from deeperlab_tf.config import default_config
from deeperlab_tf.errors import UserError
from input_pipeline.datasets.shapes import DATASET, MIN_VISIBLE_PIXELS, Shapes


def shapes(**changes):
    config = default_config().data.shapes
    config.update(changes)
    return config


@pytest.mark.both_stacks
def test_the_same_number_gives_the_same_scene():
    first, again = Shapes(shapes(), "train")[7], Shapes(shapes(), "train")[7]
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])


def test_scenes_differ_between_indices_splits_and_seeds():
    scenes = [
        Shapes(shapes(), split, seed)[index]
        for split in ("train", "val")
        for seed in (0, 1)
        for index in (0, 1)
    ]
    assert len({scene["image"].tobytes() for scene in scenes}) == len(scenes)


@pytest.mark.both_stacks
def test_labels_fit_together():
    source = Shapes(shapes(image_size=(97, 129)), "val")
    for index in range(20):
        sample = source[index]
        assert sample["image"].shape == (97, 129, 3) and sample["image"].dtype == np.uint8
        assert sample["semantic"].dtype == sample["instance"].dtype == np.int32
        is_thing = np.isin(sample["semantic"], DATASET.thing_classes)
        np.testing.assert_array_equal(is_thing, sample["instance"] > 0)
        ids, areas = np.unique(sample["instance"][is_thing], return_counts=True)
        np.testing.assert_array_equal(ids, np.arange(1, len(ids) + 1))
        assert np.all(areas >= MIN_VISIBLE_PIXELS)
        for i in ids:
            assert len(np.unique(sample["semantic"][sample["instance"] == i])) == 1


def test_every_class_appears_and_things_overlap_and_are_cut():
    source = Shapes(shapes(), "train")
    samples = [source[index] for index in range(60)]
    seen = np.unique(np.concatenate([np.unique(sample["semantic"]) for sample in samples]))
    np.testing.assert_array_equal(seen, np.arange(DATASET.num_classes))
    assert any(sample["instance"][0].any() or sample["instance"][:, 0].any() for sample in samples)
    assert max(sample["instance"].max() for sample in samples) > 5


def test_classes_have_typical_colours_unless_colours_are_random():
    def spread(random_colors):
        source = Shapes(shapes(random_colors=random_colors), "train")
        colors = []
        for index in range(40):
            sample = source[index]
            disc = sample["semantic"] == DATASET.class_names.index("disc")
            if disc.any():
                colors.append(np.median(sample["image"][disc], axis=0))
        return np.std(colors, axis=0).mean()

    assert spread(False) < 25 < spread(True)


def test_bad_settings_are_named():
    with pytest.raises(UserError, match="'holdout'"):
        Shapes(shapes(), "holdout")
    with pytest.raises(UserError, match="at least 1"):
        Shapes(shapes(num_val=0), "val")
    with pytest.raises(UserError, match="at least 33"):
        Shapes(shapes(image_size=(17, 17)), "val")
    with pytest.raises(IndexError):
        Shapes(shapes(num_val=3), "val")[3]
