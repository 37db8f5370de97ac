"""MobileNetV2 has the published size, strides and receptive field."""

import numpy as np
import pytest

from deeperlab_tf.backbones import build_backbone
from deeperlab_tf.backbones.spec import round_channels


@pytest.mark.parametrize("kernel_size, expected", [(3, 1_811_712), (5, 1_927_424)])
def test_number_of_trainable_parameters(kernel_size, expected):
    backbone = build_backbone("mobilenet_v2", kernel_size=kernel_size)
    assert sum(int(np.prod(v.shape)) for v in backbone.trainable_weights) == expected


@pytest.mark.both_stacks
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_features_come_at_the_output_stride_and_detail_at_stride_4(output_stride):
    backbone = build_backbone("mobilenet_v2", output_stride=output_stride, width=0.25)
    outputs = backbone(np.zeros((1, 65, 97, 3), np.float32))
    assert outputs["low_level"].shape[1:3] == (17, 25)
    assert outputs["features"].shape[1:3] == (64 // output_stride + 1, 96 // output_stride + 1)


def test_low_level_feature_has_144_channels_and_features_320():
    outputs = build_backbone("mobilenet_v2").outputs
    assert sorted(output.shape[-1] for output in outputs) == [144, 320]


@pytest.mark.parametrize("output_stride, rates", [(16, [2, 2, 2]), (32, [1, 1, 1]), (8, [2, 4, 4])])
def test_dilation_replaces_the_strides_that_are_left_out(output_stride, rates):
    backbone = build_backbone("mobilenet_v2", output_stride=output_stride, width=0.25)
    layers = [backbone.get_layer(f"block_{index}_depthwise") for index in (14, 15, 16)]
    if output_stride == 8:
        layers[0] = backbone.get_layer("block_13_depthwise")
    assert [layer.dilation_rate[0] for layer in layers] == rates


@pytest.mark.parametrize(
    "channels, expected", [(32, 32), (3.2, 8), (12, 16), (24 * 0.35, 8), (96 * 0.5, 48)]
)
def test_channels_are_rounded_to_multiples_of_eight(channels, expected):
    assert round_channels(channels) == expected
