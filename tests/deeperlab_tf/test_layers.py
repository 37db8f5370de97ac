"""Changes of resolution keep every grid cell on its pixel."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.interpolate import RegularGridInterpolator

from deeperlab_tf.layers import DepthToSpace, SpaceToDepth, upsample


@pytest.mark.both_stacks
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_upsample_is_bilinear_interpolation_with_aligned_corners(factor):
    maps = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    result = upsample(maps, factor).numpy()
    rows, columns = np.mgrid[0 : 4 * factor + 1, 0 : 6 * factor + 1]
    points = np.stack([rows, columns], axis=-1) / factor
    for image in range(2):
        expected = RegularGridInterpolator((np.arange(5), np.arange(7)), maps[image])(points)
        np.testing.assert_allclose(result[image], expected, atol=1e-6)
    np.testing.assert_array_equal(result[:, ::factor, ::factor], maps)


def test_upsample_accepts_dynamic_sides():
    function = tf.function(
        lambda x: upsample(x, 4), input_signature=[tf.TensorSpec([None, None, None, 2])]
    )
    assert function(tf.zeros([1, 3, 6, 2])).shape == (1, 9, 21, 2)


@pytest.mark.both_stacks
def test_depth_to_space_undoes_space_to_depth_on_sides_4k_plus_1():
    maps = np.random.default_rng(1).normal(size=(2, 33, 21, 3)).astype(np.float32)
    packed = SpaceToDepth(4)(maps)
    assert packed.shape == (2, 9, 6, 48)
    np.testing.assert_array_equal(DepthToSpace(4)(packed), maps)


def test_space_to_depth_keeps_four_by_four_blocks_together():
    maps = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(SpaceToDepth(4)(maps).numpy().ravel(), np.arange(16))


@pytest.mark.parametrize("layer", [SpaceToDepth(4), DepthToSpace(4)])
def test_static_and_dynamic_shapes_agree(layer):
    maps = np.zeros((1, 5, 9, 32), np.float32)
    assert tuple(layer.compute_output_shape(maps.shape)) == tuple(layer(maps).shape)
