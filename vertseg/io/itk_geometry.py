"""Geometry as ITK stores it: origin, spacing and direction in LPS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vertseg.geometry.grid import FloatArray, Grid, Size

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class ItkGeometry:
    """Where the voxels of an ITK image lie, number by number as its header says.

    Attributes:
        origin: centre of the first voxel, LPS mm.
        spacing: mm between voxels along i, j, k.
        direction: (9,) row-major matrix whose columns are the unit vectors along i, j, k in LPS.
    """

    origin: Triple
    spacing: Triple
    direction: tuple[float, ...]

    @classmethod
    def of_grid(cls, grid: Grid) -> ItkGeometry:
        """That of any grid; the direction is no rotation where the grid is sheared."""
        columns = grid.affine_lps[:3, :3] / np.asarray(grid.spacing)
        return cls(grid.origin, grid.spacing, tuple(float(value) for value in columns.ravel()))

    @property
    def columns(self) -> tuple[Triple, Triple, Triple]:
        """Unit vectors along i, j, k in LPS."""
        d = self.direction
        return ((d[0], d[3], d[6]), (d[1], d[4], d[7]), (d[2], d[5], d[8]))

    def affine_lps(self) -> FloatArray:
        """(4, 4) index -> LPS mm; not finite where a header holds numbers without sense."""
        affine = np.eye(4)
        with np.errstate(over="ignore", invalid="ignore"):
            affine[:3, :3] = np.reshape(self.direction, (3, 3)) * np.asarray(self.spacing)
        affine[:3, 3] = self.origin
        return affine

    def grid(self, size: Size) -> Grid:
        """The grid of an image of this geometry; raises ValueError if its axes lie in a plane."""
        return Grid(size, self.affine_lps())
