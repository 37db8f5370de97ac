"""Values of a trained model's config that may change after the training, and those that may not."""

import pytest

from deeperlab_tf.config_json import config_to_json
from deeperlab_tf.errors import UserError
from deeperlab_tf.prediction.overrides import changed_parse, changed_sizes, override_config


@pytest.mark.both_stacks
def test_a_copy_takes_the_values_and_the_original_keeps_its_own(tiny_config):
    before = config_to_json(tiny_config)
    values = {"fusion.detection.reach_sizes": 0.0, "eval.image_size": [33, 65], "data.root": "x"}
    changed = override_config(tiny_config, values)
    assert config_to_json(tiny_config) == before
    assert changed.fusion.detection.reach_sizes == 0
    assert changed.eval.image_size == (33, 65) and changed.data.root == "x"
    assert changed_sizes(tiny_config, changed) == ["eval.image_size"]
    assert changed_parse(tiny_config, changed) == [
        "eval.image_size",
        "fusion.detection.reach_sizes",
    ]


def test_what_is_the_same_already_is_no_change(tiny_config):
    same = override_config(tiny_config, {"model.width": 0.1, "fusion.nms_iou": 0.6})
    assert changed_parse(tiny_config, same) == []


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("fusion.peek_threshold", 0.1, r"no value config\.fusion\.peek_threshold; did you mean .*"
         r"config\.fusion\.peak_threshold"),
        ("fusion", 3, "no value config.fusion"),
        ("speed", 3, "no value config.speed"),
        ("fusion.peak_threshold", "high", "takes a float, not 'high'"),
        ("eval.pad_to_size", 0.5, "takes a bool, not 0.5"),
        ("eval.image_size", (320, 641), "not 16k . 1; use 321"),
        ("model.width", 0.5, "config.model.width is 0.1 in this model, which was trained with it"),
        ("train.ema", 0.5, "trained with it"),
        ("fusion.keypoint_radius", 20.0, "is 8.0 in this model, which was trained with it"),
        ("data.keypoint_graph", "rectangle", "trained with it"),
    ],
)  # fmt: skip
def test_what_does_not_fit_or_would_change_the_network_is_refused(tiny_config, key, value, message):
    with pytest.raises(UserError, match=message):
        override_config(tiny_config, {key: value})
