"""Which voxels of a grid a structure touches, and where they lie in the structure's own frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from vertseg.geometry.grid import FloatArray, Grid
from vertseg.phantom.fields import FAR_MM, Array, Solid, smooth_min

Slices = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Frame:
    """A right-handed frame: `origin` in LPS mm, its unit axes in LPS as the rows of `axes`."""

    origin: FloatArray
    axes: FloatArray

    @staticmethod
    def world() -> Frame:
        """The LPS frame itself."""
        return Frame(np.zeros(3), np.eye(3))

    def to_lps(self, points: ArrayLike) -> FloatArray:
        """Points (..., 3) of this frame in LPS mm."""
        return np.asarray(points, dtype=np.float64) @ self.axes + self.origin

    def to_local(self, points_lps_mm: ArrayLike) -> FloatArray:
        """LPS points (..., 3) in this frame, mm."""
        return (np.asarray(points_lps_mm, dtype=np.float64) - self.origin) @ self.axes.T


@dataclass(frozen=True, eq=False)
class Patch:
    """Voxels of a box: their place in the volume and their coordinates in a frame.

    Attributes:
        slices: the box in the volume.
        x, y, z: coordinates of its voxel centres in the frame, mm; arrays that broadcast to the
            box's shape (an axis along which a coordinate does not change may have length 1).
        to_index: (3, 4) map from frame coordinates to the index inside the box.
    """

    slices: Slices
    x: Array
    y: Array
    z: Array
    to_index: FloatArray

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(s.stop - s.start for s in self.slices)

    def at(self, window: Slices) -> tuple[Array, Array, Array]:
        """Coordinates x, y, z inside a window; their shapes broadcast to the window's."""
        return _part(self.x, window), _part(self.y, window), _part(self.z, window)

    def window(self, lower: ArrayLike, upper: ArrayLike) -> Slices | None:
        """Slices inside the patch that hold a box, corners (3,) in frame coordinates, or None."""
        points = corners(lower, upper) @ self.to_index[:, :3].T + self.to_index[:, 3]
        return _index_box(points, self.shape)

    def fuse(self, solids: Iterable[Solid], fillet: float = 2.0, margin: float = 5.0) -> Array:
        """Signed distance (x, y, z), mm, of a union; each solid is evaluated in its own box only.

        Args:
            solids: in the frame of the patch.
            fillet: rounding of the seams in mm.
            margin: up to here outside a solid the distance is true; beyond it is too large.
        """
        distance = np.full(self.shape, FAR_MM, dtype=np.float32)
        for solid in solids:
            lower, upper = solid.bounds()
            window = self.window(lower - margin, upper + margin)
            if window is not None:
                piece = solid.distance(*self.at(window))
                distance[window] = smooth_min(distance[window], piece, fillet)
        return distance


def cut_patch(grid: Grid, frame: Frame, lower: ArrayLike, upper: ArrayLike) -> Patch | None:
    """The voxels of `grid` inside a box given in `frame` (mm); None where the box misses it."""
    slices = _index_box(grid.lps_to_index(frame.to_lps(corners(lower, upper))), grid.size)
    return None if slices is None else _patch(grid, frame, slices)


def whole_patch(grid: Grid) -> Patch:
    """All voxels of `grid`, in LPS mm."""
    i, j, k = (slice(0, n) for n in grid.size)
    return _patch(grid, Frame.world(), (i, j, k))


def bounds_of(solids: Iterable[Solid]) -> tuple[FloatArray, FloatArray]:
    """Corners (3,) of the box that holds all the solids, mm."""
    boxes = [solid.bounds() for solid in solids]
    return np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)


def _patch(grid: Grid, frame: Frame, slices: Slices) -> Patch:
    matrix = frame.axes @ grid.affine_lps[:3, :3]
    first = grid.index_to_lps([s.start for s in slices])
    shift = frame.axes @ (first - frame.origin)
    i, j, k = np.ix_(*(np.arange(s.stop - s.start, dtype=np.float32) for s in slices))
    x, y, z = (
        sum(
            (np.float32(c) * n for c, n in zip(row, (i, j, k), strict=True) if abs(c) > 1e-12),
            start,
        )
        for row, start in zip(matrix, shift.astype(np.float32), strict=True)
    )
    inverse = np.linalg.inv(matrix)
    return Patch(slices, x, y, z, np.column_stack([inverse, -inverse @ shift]))


def _part(coordinate: Array, window: Slices) -> Array:
    i, j, k = (s if n > 1 else slice(None) for s, n in zip(window, coordinate.shape, strict=True))
    return coordinate[i, j, k]


def corners(lower: ArrayLike, upper: ArrayLike) -> FloatArray:
    """(8, 3) corners of a box."""
    ends = np.stack([np.asarray(lower, dtype=np.float64), np.asarray(upper, dtype=np.float64)])
    return np.array(list(product(*ends.T)))


def _index_box(corners_index: FloatArray, shape: tuple[int, ...]) -> Slices | None:
    low = np.maximum(np.ceil(corners_index.min(axis=0) - 1e-6).astype(int), 0)
    high = np.minimum(np.floor(corners_index.max(axis=0) + 1e-6).astype(int) + 1, shape)
    if np.any(low >= high):
        return None
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k
