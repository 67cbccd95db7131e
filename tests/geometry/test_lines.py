"""Samples along lines are those of scipy, whether lines run along an axis or aslant."""

import numpy as np
import pytest
from scipy import ndimage

from vertseg.geometry.grid import Grid
from vertseg.geometry.lines import Lines

SHIFTS = np.array([[-0.7, 0.0, 0.3], [0.0, 0.0, 0.0], [0.4, 0.0, -0.2]])


def make(axes: tuple[int, int, int], tilt: float) -> tuple[Grid, Lines, np.ndarray]:
    """A grid with its axes in any order, one of them turned, and lines along x that reach out."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag([1.5, -0.8, 2.0])[:, axes]
    c, s = np.cos(tilt), np.sin(tilt)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ affine[:3, :3]
    grid = Grid((9, 11, 7), affine)
    rng = np.random.default_rng(0)
    low, high = grid.bounds_lps_mm()
    points = rng.uniform(low - 1, high + 1, (20, 3))
    points[:, 0] = low[0] - 2
    lines = Lines.of(grid, points, np.array([0.7, 0.0, 0.0]), 25)
    index = lines.first[:, None] + lines.step * np.arange(25)[:, None]
    return grid, lines, np.moveaxis(index, -1, 0)


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_values_are_those_of_scipy(axes, tilt) -> None:
    grid, lines, index = make(axes, tilt)
    rng = np.random.default_rng(1)
    array = rng.integers(-1000, 1000, grid.size).astype(np.int16)
    shifts = SHIFTS * (lines.step == 0) if tilt == 0 else SHIFTS
    moved = [index + shift[:, None, None] for shift in shifts]
    expected = np.mean(
        [ndimage.map_coordinates(array, m, float, order=1, mode="nearest") for m in moved], axis=0
    )
    np.testing.assert_allclose(lines.mean(array, shifts), expected, atol=1e-3)
    sizes = np.reshape(grid.size, (3, 1, 1))
    inside = ((index > -0.5) & (index < sizes - 0.5)).all(axis=0)
    assert 0.2 < inside.mean() < 0.9
    np.testing.assert_array_equal(lines.inside(), inside)
    labels = rng.integers(1, 25, grid.size).astype(np.uint8)
    seen = lines.nearest(labels)
    assert seen.dtype == np.uint8 and not seen[~inside].any()
    nearest = ndimage.map_coordinates(labels, index, order=0, mode="nearest")
    np.testing.assert_array_equal(seen[inside], nearest[inside])


def test_lines_that_shift_along_themselves_are_sampled_point_by_point() -> None:
    grid, lines, index = make((0, 1, 2), 0.0)
    array = np.random.default_rng(2).normal(size=grid.size).astype(np.float32)
    shift = np.array([[0.4, 0.1, 0.2]])
    moved = index + shift[0][:, None, None]
    expected = ndimage.map_coordinates(array, moved, order=1, mode="nearest")
    np.testing.assert_allclose(lines.mean(array, shift), expected, atol=1e-5)


def test_a_single_slice() -> None:
    grid = Grid.axis_aligned((0.0, 0.0, 0.0), (4, 5, 1), 1.0)
    lines = Lines.of(grid, np.array([[-1.5, 0.0, 0.0]]), np.array([1.0, 0.0, 0.0]), 4)
    array = np.arange(20, dtype=np.int16).reshape(grid.size)
    np.testing.assert_allclose(lines.mean(array, np.zeros((1, 3)))[0], array[:, 2, 0])
