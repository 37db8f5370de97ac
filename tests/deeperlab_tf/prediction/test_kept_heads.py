"""Heads that are kept give the parse of the predictor, and other parses with other settings."""

import numpy as np
import pytest

from deeperlab_tf.prediction.inference import parse_heads
from deeperlab_tf.prediction.kept_heads import HeadKeeper, KeptHeads
from deeperlab_tf.prediction.predictor import Predictor
from tests.toys import save_untrained


@pytest.fixture(scope="module")
def predictor(toy_dataset, tmp_path_factory):
    return Predictor(save_untrained(tmp_path_factory.mktemp("run"), toy_dataset))


@pytest.fixture(scope="module")
def keeper(predictor):
    return HeadKeeper(predictor)


def picture(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("size", [(48, 64), (90, 60)])
def test_own_settings_give_the_predictors_parse(predictor, keeper, assert_same_labels, size):
    image = picture(*size)
    parsing, expected = keeper.fuse(keeper.keep(image)), predictor(image)
    assert_same_labels(parsing.panoptic, expected.panoptic)
    assert parsing.image is image


def test_settings_change_the_parse_without_the_network(predictor, keeper, monkeypatch):
    kept = confident(keeper.keep(picture(64, 64)))
    monkeypatch.setattr(predictor, "_heads", None)
    found = {}
    for threshold in (0.0, 0.01, 10.0):
        parsing = keeper.fuse(kept, keeper.settings._replace(peak_threshold=threshold))
        found[threshold] = sum(bool(segment.score) for segment in parsing.segments)
    assert found[10.0] == 0 < found[0.0]
    assert found[0.01] <= found[0.0]


def test_one_trace_serves_all_sizes_and_settings(keeper):
    for size in ((48, 64), (70, 50)):
        kept = keeper.keep(picture(*size))
        keeper.fuse(kept, keeper.settings._replace(nms_iou=0.3))
    assert keeper._fuse.experimental_get_tracing_count() == 1


def test_maps_are_those_of_the_predictor(predictor, keeper):
    image = picture(48, 64)
    maps, expected = keeper.maps(keeper.keep(image)), predictor.maps(image)
    assert set(maps) == set(expected)
    for name, values in maps.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-4)


def test_both_settings_reach_the_fusion(keeper, predictor):
    """The same as a model has whose config says so."""
    kept = confident(keeper.keep(picture(64, 64)))
    settings = keeper.settings._replace(peak_threshold=0.02, nms_iou=0.05)
    config = predictor.config.copy_and_resolve_references()
    config.fusion.update(settings._asdict())
    expected = parse_heads(kept.heads, 64, 64, config, predictor.dataset.thing_classes)
    parsing = keeper.fuse(kept, settings)
    np.testing.assert_array_equal(parsing.panoptic, expected["panoptic"][0])
    assert len(parsing.keypoints) == expected["num_instances"][0]


def confident(kept):
    """The same with things and keypoints everywhere."""
    heads = {name: np.array(values) for name, values in kept.heads.items()}
    heads["semantic_logits"][..., 2] += 50.0
    heads["keypoint_logits"] += 3.0
    return KeptHeads(kept.image, heads)
