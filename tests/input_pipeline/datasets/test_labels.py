"""What the readers of label files share."""

import numpy as np
import pytest

from input_pipeline.datasets.labels import unique


@pytest.mark.both_stacks
@pytest.mark.parametrize(
    "low, high", [(0, 1), (0, 300), (2**20 - 3, 2**20 + 3), (-5, 5), (0, 2**31 - 1)]
)
@pytest.mark.parametrize("shape", [(0,), (40, 30)])
def test_unique_is_that_of_numpy(low, high, shape):
    values = np.random.default_rng(0).integers(low, high, shape).astype(np.int32)
    found, place = unique(values)
    expected, expected_place = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(place, expected_place.reshape(shape))
