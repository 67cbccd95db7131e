"""Where a vertebra lies among the voxels of the scan, for those who cut out or look up slices."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from vertseg.geometry.boxes import Box
from vertseg.geometry.grid import Grid, PointLps


class PlaceRow(TypedDict):
    """Entries of `place_row`."""

    axial_slice: int
    box_first: list[int] | None
    box_last: list[int] | None


def axial_axis(grid: Grid) -> int:
    """The array axis that runs most nearly along the body: 2 in a scan stored as axial slices."""
    return int(np.argmax(np.abs(grid.affine_lps[2, :3]) / grid.spacing))


def place_row(point_lps_mm: PointLps, box: Box | None, grid: Grid) -> PlaceRow:
    """Axial slice through the middle of a vertebra, and the voxels that its mask reaches.

    Args:
        point_lps_mm: middle of the body.
        box: of the mask; None without one.
        grid: of the scan.

    Returns:
        ``axial_slice``, counted from 0 along `axial_axis` as the scan is stored, and
        ``box_first`` and ``box_last``, the first and last i, j, k; None without a mask.
    """
    axis = axial_axis(grid)
    index = float(grid.lps_to_index(point_lps_mm)[axis])
    return {
        "axial_slice": int(np.clip(round(index), 0, grid.size[axis] - 1)),
        "box_first": [part.start for part in box] if box else None,
        "box_last": [part.stop - 1 for part in box] if box else None,
    }
