"""Xception-71 and -65 have the published size, strides and rates."""

import numpy as np
import pytest

from deeperlab_tf.backbones import build_backbone
from deeperlab_tf.errors import UserError

SMALL = 0.02


def rates(backbone):
    """Rate of each depthwise convolution, by the block it is in."""
    return {
        layer.name.split("_unit_")[0]: layer.dilation_rate[0]
        for layer in backbone.layers
        if layer.name.endswith("_depthwise")
    }


@pytest.fixture(scope="module")
def at_stride_16():
    return build_backbone("xception_71", (65, 97, 3), width=SMALL)


@pytest.fixture(scope="module")
def at_stride_8():
    return build_backbone("xception_65", (65, 97, 3), output_stride=8, width=SMALL)


def test_features_come_at_the_output_stride_and_detail_at_stride_4(at_stride_16, at_stride_8):
    for backbone, size in ((at_stride_16, (5, 7)), (at_stride_8, (9, 13))):
        assert backbone.output["low_level"].shape[1:3] == (17, 25)
        assert backbone.output["features"].shape[1:3] == size


def test_only_the_last_block_is_dilated_at_output_stride_16(at_stride_16):
    found = rates(at_stride_16)
    assert found.pop("exit_flow_block2") == 2
    assert set(found.values()) == {1}


def test_dilation_makes_up_for_both_strides_left_out_at_output_stride_8(at_stride_8):
    found = rates(at_stride_8)
    late = ("entry_flow_block3", "middle_flow_block1", "exit_flow_block1", "exit_flow_block2")
    assert [found[name] for name in late] == [1, 2, 2, 4]


@pytest.mark.both_stacks
def test_the_low_level_feature_has_no_activation_and_the_last_one_has(at_stride_16):
    outputs = at_stride_16(np.random.default_rng(0).uniform(-1, 1, (1, 65, 97, 3)))
    assert np.min(outputs["low_level"]) < 0 == np.min(outputs["features"])


@pytest.mark.parametrize(
    "options, words",
    [
        (dict(kernel_size=5), "kernel_size is 5; xception_71 offers 3 only"),
        (dict(output_stride=4), "output_stride is 4; xception_71 offers"),
        (dict(width=0.0), "width is 0.0"),
    ],
)
def test_what_is_not_offered_is_named(options, words):
    with pytest.raises(UserError, match=words):
        build_backbone("xception_71", **options)
