"""The mask at 1 mm: at the resolution of the networks, not of the scan's slices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vertseg.geometry.grid import Grid, LabelArray

STEP_MM = 1.0


@dataclass(frozen=True, eq=False)
class FineMask:
    """A mask on a grid of its own.

    Attributes:
        labels: (i, j, k) uint8.
        grid: along the scan's axes, with voxels of 1 mm, around the vertebrae.
    """

    labels: LabelArray
    grid: Grid

    def only(self, labels: Iterable[int]) -> FineMask:
        """The mask with no other labels than these."""
        table = np.zeros(256, np.uint8)
        kept = list(labels)
        table[kept] = kept
        return FineMask(np.asfortranarray(table[self.labels]), self.grid)


def fine_grid(grid: Grid, step_mm: float = STEP_MM) -> Grid:
    """The box of a grid with equal voxels along the same axes.

    Its first voxel begins where that of `grid` begins; the last may reach a part of a voxel
    further.
    """
    spacing = np.asarray(grid.spacing)
    size = np.ceil(np.asarray(grid.size) * spacing / step_mm - 1e-6).astype(int)
    affine = grid.affine_lps.copy()
    affine[:3, :3] *= step_mm / spacing
    affine[:3, 3] = grid.index_to_lps(-0.5 + 0.5 * step_mm / spacing)
    return Grid((int(size[0]), int(size[1]), int(size[2])), affine)
