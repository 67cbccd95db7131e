"""The mask of one place: where its body is."""

import numpy as np
import pytest

from vertseg.geometry.grid import Grid
from vertseg.stages.place_mask import PlaceMask, shared_part

GRID = Grid.axis_aligned((5.0, -8.0, 30.0), (50, 60, 40), (1.0, 1.0, 1.5))


def mask_of(voxels: np.ndarray) -> PlaceMask:
    return PlaceMask.of(voxels.astype(np.float32), GRID, 0.5)


def vertebra() -> np.ndarray:
    """A round body, 26 mm wide, with a thin arch and a long process behind it."""
    x, y, z = np.moveaxis(GRID.index_to_lps(np.moveaxis(np.indices(GRID.size), 0, -1)), -1, 0)
    voxels = (np.hypot(x - 4, y + 20) < 13) & (np.abs(z - 31) < 10)
    aside = np.abs(x - 4)
    voxels |= (aside > 9) & (aside < 14) & (np.abs(y + 2) < 8) & (np.abs(z - 31) < 4)
    return voxels | ((aside < 3) & (y > 4) & (y < 20) & (np.abs(z - 22) < 6))


def test_the_body_is_the_thickest_part() -> None:
    middle = mask_of(vertebra()).body_centre_lps_mm()
    assert middle == pytest.approx((4.0, -20.0, 31.0), abs=1.0)
    x, y, z = GRID.index_to_lps(np.argwhere(vertebra()).mean(axis=0))
    assert y > -16.0  # the middle of the whole vertebra lies behind


def test_a_hole_as_metal_leaves_it_does_not_move_the_body() -> None:
    voxels = vertebra()
    index = np.rint(GRID.lps_to_index((4.0, -20.0, 31.0))).astype(int)
    voxels[tuple(slice(i - 2, i + 3) for i in index)] = False
    assert mask_of(voxels).body_centre_lps_mm() == pytest.approx((4.0, -20.0, 31.0), abs=1.0)


def test_an_empty_mask_has_no_body() -> None:
    empty = mask_of(np.zeros(GRID.size, bool))
    assert empty.body_centre_lps_mm() is None and not empty.volume_mm3
    assert shared_part(empty, mask_of(vertebra())) == 0.0
