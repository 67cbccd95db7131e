"""The geometry of a voxel grid, free of any I/O.

Frames: ``index`` is (i, j, k), the array index with voxel centres on whole numbers; ``lps_mm`` is
the scanner's world in millimetres, x towards Left, y towards Posterior, z towards Superior (the
physical space of ITK and DICOM). NIfTI and nibabel use RAS; `affine_ras` is the one crossing. The
trap: ITK's orientation word "RAI" names where axes come *from* and equals nibabel's "LPS".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
LabelArray = npt.NDArray[np.uint8]
"""VerSe ids, 0 for background."""
Size = tuple[int, int, int]
PointLps = tuple[float, float, float]
"""x, y, z in the scanner's world, LPS mm."""

_ROUNDING_VOXELS = 1e-6
_LARGEST_MM = 1e12  # far from where products overflow
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxels: its size and where its indices lie in the world.

    Attributes:
        size: number of voxels along i, j, k, each at least 1.
        affine_lps: (4, 4) float64, read-only, index -> LPS mm. Any invertible affine: oblique,
            mirrored and sheared grids are all exact.

    Raises:
        ValueError: size or affine is not of this kind.
    """

    size: Size
    affine_lps: FloatArray

    def __post_init__(self) -> None:
        size = tuple(int(n) for n in self.size)
        if len(size) != 3 or min(size) < 1:
            raise ValueError(f"size must be three positive whole numbers, got {self.size}")
        affine = np.array(self.affine_lps, dtype=np.float64)
        if affine.shape != (4, 4) or not np.array_equal(affine[3], [0, 0, 0, 1]):
            raise ValueError(f"affine_lps must be 4x4 with last row 0 0 0 1, got {affine}")
        if not is_invertible(affine):
            raise ValueError(f"affine_lps must be finite and invertible, got {affine}")
        affine.setflags(write=False)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "affine_lps", affine)

    @classmethod
    def from_affine_ras(cls, shape: Sequence[int], affine_ras: npt.ArrayLike) -> Grid:
        """Grid from an array shape (3,) and a nibabel affine (4, 4), index -> RAS mm.

        >>> Grid.from_affine_ras((4, 4, 4), np.diag([1.0, 1.0, 3.0, 1.0])).axis_codes()
        ('R', 'A', 'S')
        """
        affine = _RAS_TO_LPS @ np.asarray(affine_ras, dtype=np.float64)
        return cls((shape[0], shape[1], shape[2]), affine)

    @classmethod
    def axis_aligned(
        cls, centre_lps_mm: npt.ArrayLike, size: Sequence[int], spacing: float | Sequence[float]
    ) -> Grid:
        """Grid with axes along L, P, S whose middle, index (size - 1) / 2, lies at the centre.

        Args:
            centre_lps_mm: (3,) point in the world.
            size: voxels along x, y, z.
            spacing: mm between voxels, one number or three.

        >>> Grid.axis_aligned((0.0, 0.0, 0.0), (3, 3, 5), 2.0).origin
        (-2.0, -2.0, -4.0)
        """
        spacing_mm = np.broadcast_to(np.asarray(spacing, dtype=np.float64), (3,))
        affine = np.diag([*spacing_mm, 1.0])
        middle = (np.asarray(size, dtype=np.float64) - 1.0) / 2.0
        affine[:3, 3] = np.asarray(centre_lps_mm, dtype=np.float64) - spacing_mm * middle
        return cls((size[0], size[1], size[2]), affine)

    @property
    def shape(self) -> Size:
        """The same as `size`, under numpy's name."""
        return self.size

    @property
    def affine_ras(self) -> FloatArray:
        """(4, 4) index -> RAS mm, as nibabel wants it."""
        return _RAS_TO_LPS @ self.affine_lps

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxel centres along i, j, k."""
        x, y, z = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return (float(x), float(y), float(z))

    @property
    def origin(self) -> PointLps:
        """Centre of voxel (0, 0, 0) in LPS mm."""
        x, y, z = self.affine_lps[:3, 3]
        return (float(x), float(y), float(z))

    @property
    def centre_lps_mm(self) -> PointLps:
        """Middle of the grid, index (size - 1) / 2, in LPS mm."""
        x, y, z = self.index_to_lps([(n - 1.0) / 2.0 for n in self.size])
        return (float(x), float(y), float(z))

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel in cubic millimetres."""
        return float(abs(np.linalg.det(self.affine_lps[:3, :3])))

    def index_to_lps(self, points: npt.ArrayLike) -> FloatArray:
        """Map indices (..., 3), whole or fractional, to LPS mm (..., 3).

        >>> grid = Grid.axis_aligned((0.0, 0.0, 0.0), (3, 3, 3), 2.0)
        >>> grid.index_to_lps([(0, 0, 0), (1, 1, 1.5)]).tolist()
        [[-2.0, -2.0, -2.0], [0.0, 0.0, 1.0]]
        """
        return apply_affine(self.affine_lps, points)

    def lps_to_index(self, points: npt.ArrayLike) -> FloatArray:
        """Map points (..., 3) in LPS mm to fractional indices (..., 3).

        >>> Grid.axis_aligned((0.0, 0.0, 0.0), (3, 3, 3), 2.0).lps_to_index((0, 0, 1)).tolist()
        [1.0, 1.0, 1.5]
        """
        return apply_affine(np.asarray(np.linalg.inv(self.affine_lps), np.float64), points)

    def index_map_to(self, other: Grid) -> FloatArray:
        """(4, 4) affine that takes an index of this grid to the index of `other` at that place."""
        return np.linalg.inv(other.affine_lps) @ self.affine_lps

    def corners_lps_mm(self, margin: float = 0.0) -> FloatArray:
        """(8, 3) corners in LPS mm: the corner voxels' centres, moved outwards by `margin` voxels.

        ``margin=0.5`` gives the outer edges.
        """
        ends = [(-margin, n - 1.0 + margin) for n in self.size]
        return self.index_to_lps(np.array(list(product(*ends))))

    def bounds_lps_mm(self) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest x, y, z in LPS mm, each (3,), of the voxel *centres*."""
        corners = self.corners_lps_mm()
        return corners.min(axis=0), corners.max(axis=0)

    def contains(self, points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether points (..., 3) in LPS mm lie in the grid, its outer half voxels included.

        >>> Grid.axis_aligned((0.0, 0.0, 0.0), (3, 3, 3), 2.0).contains([(3, 0, 0), (4, 0, 0)])
        array([ True, False])
        """
        index = self.lps_to_index(points)
        return np.asarray(is_inside(index, np.asarray(self.size)).all(axis=-1))

    def crop(self, box: tuple[slice, slice, slice]) -> Grid:
        """The grid of ``array[box]``; slices with whole start and stop and step 1.

        >>> grid = Grid.axis_aligned((0.0, 0.0, 0.0), (3, 3, 3), 2.0)
        >>> part = grid.crop((slice(1, 3), slice(None), slice(None)))
        >>> part.size, part.origin
        ((2, 3, 3), (0.0, -2.0, -2.0))
        """
        start = [s.indices(n)[0] for s, n in zip(box, self.size, strict=True)]
        stop = [s.indices(n)[1] for s, n in zip(box, self.size, strict=True)]
        affine = self.affine_lps.copy()
        affine[:3, 3] = self.index_to_lps(start)
        return Grid((stop[0] - start[0], stop[1] - start[1], stop[2] - start[2]), affine)

    def axis_codes(self) -> tuple[str, str, str]:
        """What each array axis runs towards, in nibabel's letters, such as ``("P", "I", "R")``."""
        from nibabel import orientations  # late: the geometry itself needs numpy only

        to_codes: Any = orientations.aff2axcodes
        i, j, k = to_codes(self.affine_ras)
        return (str(i), str(j), str(k))

    def is_close(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both have one size and no voxel centre lies further apart than the tolerance."""
        if self.size != other.size:
            return False
        return bool(np.abs(self.corners_lps_mm() - other.corners_lps_mm()).max() <= tolerance_mm)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        return self.size == other.size and np.array_equal(self.affine_lps, other.affine_lps)

    def __hash__(self) -> int:
        return hash((self.size, self.affine_lps.tobytes()))


def apply_affine(affine: FloatArray, points: npt.ArrayLike) -> FloatArray:
    """Apply a (4, 4) affine to points (..., 3)."""
    return np.asarray(points, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3]


def is_inside(index: FloatArray, length: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether fractional indices (...,) lie among `length` voxels, their outer halves included."""
    edge = 0.5 + _ROUNDING_VOXELS
    return np.asarray((index >= -edge) & (index <= np.asarray(length) - 1.0 + edge))


def is_invertible(affine: npt.ArrayLike) -> bool:
    """Whether a (4, 4) affine is of this world and its axes are not (nearly) in one plane."""
    matrix = np.asarray(affine, dtype=np.float64)
    if not (np.abs(matrix) <= _LARGEST_MM).all():  # NaN is not either
        return False
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if lengths.min() <= 0.0:
        return False
    return bool(abs(np.linalg.det(matrix[:3, :3] / lengths)) > 1e-3)
