"""What the two stacks share."""

import numpy as np
import pytest

from deeperlab_tf import compat


def query_map():
    rng = np.random.default_rng(0)
    grid = rng.normal(size=(2, 5, 7, 3)).astype(np.float32)
    points = rng.uniform(-3, 9, size=(2, 50, 2)).astype(np.float32)
    points[:, :4] = [[0, 0], [4, 6], [4, 0], [2, 6]]
    return grid, points


def numpy_bilinear(grid, point):
    y, x = (np.clip(c, 0, n - 1) for c, n in zip(point, grid.shape))
    top, left = min(int(y), grid.shape[0] - 2), min(int(x), grid.shape[1] - 2)
    fy, fx = y - top, x - left
    rows = grid[top : top + 2, left : left + 2]
    return np.tensordot([1 - fy, fy], np.tensordot([1 - fx, fx], rows, (0, 1)), (0, 0))


@pytest.mark.both_stacks
def test_interpolation_is_bilinear_and_takes_the_border_outside():
    grid, points = query_map()
    result = compat.interpolate_bilinear(grid, points).numpy()
    for image in range(2):
        expected = [numpy_bilinear(grid[image], point) for point in points[image]]
        np.testing.assert_allclose(result[image], expected, atol=1e-5)


def test_both_stacks_interpolate_alike():
    addons = pytest.importorskip(
        "tensorflow_addons", reason="tensorflow-addons is of the reference stack only"
    )
    grid, points = query_map()
    np.testing.assert_allclose(
        compat._interpolate_bilinear(grid, points),
        addons.image.interpolate_bilinear(grid, points, indexing="ij"),
        atol=1e-6,
    )
