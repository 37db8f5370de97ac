"""A picture and a parse of it, with two instances."""

import numpy as np
import pytest

from deeperlab_tf.prediction.parsing import Parsing


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


@pytest.fixture
def parsing(toy_dataset):
    semantic = np.zeros((60, 80), np.int32)
    semantic[30:] = 1
    semantic[5:25, 5:75] = 2
    instance = np.zeros_like(semantic)
    instance[5:25, 5:40], instance[5:25, 40:75] = 1, 2
    keypoints = np.array(
        [[[5, 5], [5, 39], [24, 5], [24, 39], [15, 22]], np.zeros((5, 2))], np.float32
    )
    return Parsing.from_maps(
        semantic, instance, toy_dataset, scores=[0.9, 0.4], keypoints=keypoints
    )
