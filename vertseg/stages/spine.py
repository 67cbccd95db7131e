"""Stage 1: where the spine is (Payer et al., VISAPP 2020, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.geometry.boxes import box_at
from vertseg.geometry.grid import Float32Array, Grid, is_inside
from vertseg.io.heatmap import KeepHeatmap
from vertseg.io.image import Image
from vertseg.stages.network import StageNetwork
from vertseg.stages.preprocess import resample
from vertseg.stages.tiles import predict_tiles, tile_starts

_TILE_OVERLAP = 16
_SMALLEST_ML = 4.0
_COURSE_STEP_MM = 24.0


@dataclass(frozen=True)
class SpineRegion:
    """The spine's heatmap; below the stage's threshold it is 0.

    Attributes:
        heatmap: float32 on `grid`.
        grid: the stage's grid.
    """

    heatmap: Float32Array
    grid: Grid

    def z_range_mm(self) -> tuple[float, float]:
        """Lowest and highest position along z (LPS) that belongs to the spine."""
        planes = np.flatnonzero(self.heatmap.any(axis=(0, 1)))
        ends = self.grid.index_to_lps([[0, 0, planes[0]], [0, 0, planes[-1]]])
        return float(ends[0, 2]), float(ends[1, 2])

    def centre_between(self, low_mm: float, high_mm: float) -> tuple[float, float]:
        """x and y (LPS mm) of the centre of mass between two heights, of all if there is none."""
        index = np.arange(self.heatmap.shape[2])
        z_mm = self.grid.index_to_lps(np.stack([0 * index, 0 * index, index], axis=1))[:, 2]
        part = self.heatmap[:, :, (z_mm >= low_mm) & (z_mm <= high_mm)]
        centre = ndimage.center_of_mass(part if part.any() else self.heatmap)
        x, y, _ = self.grid.index_to_lps(centre)
        return float(x), float(y)

    def with_points(self, points_lps_mm: npt.ArrayLike) -> SpineRegion:
        """The region with further places (n, 3) that belong to the spine; on a larger grid."""
        points = np.asarray(points_lps_mm, float).reshape(-1, 3)
        index = np.rint(self.grid.lps_to_index(points)).astype(int)
        before = np.maximum(-index.min(axis=0), 0)
        after = np.maximum(index.max(axis=0) + 1 - self.grid.size, 0)
        heatmap = np.pad(self.heatmap, np.stack([before, after], axis=1))
        heatmap[tuple((index + before).T)] = 1.0
        affine = self.grid.affine_lps.copy()
        affine[:3, 3] = self.grid.index_to_lps(-before)
        x, y, z = heatmap.shape
        return SpineRegion(heatmap, Grid((x, y, z), affine))

    def course_lps_mm(self) -> tuple[tuple[float, float, float], ...]:
        """Points along the spine from the head downwards, some 24 mm apart."""
        low, high = self.z_range_mm()
        count = max(2, round((high - low) / _COURSE_STEP_MM) + 1)
        heights = np.linspace(high, low, count).tolist()
        half = 0.5 * _COURSE_STEP_MM
        return tuple((*self.centre_between(z - half, z + half), z) for z in heights)


def find_spine(
    image: Image, network: StageNetwork, keep: KeepHeatmap | None = None
) -> SpineRegion | None:
    """The region of the spine, or None where there is none; `keep` gets the raw heatmap."""
    config = network.config
    grid = _grid(image.grid, config.size, config.spacing_mm)
    volume = resample(image, grid, config.smoothing_sigma_mm)
    axes = [
        tile_starts(n, t, min(_TILE_OVERLAP, t // 2))
        for n, t in zip(grid.size, config.size, strict=True)
    ]
    tiles = [box_at(start, config.size) for start in product(*axes)]
    heatmap = predict_tiles(lambda tile: network(tile[None, ..., None])[0], volume, tiles, 1)[
        ..., 0
    ]
    heatmap[~seen_in(grid, image.grid)] = 0.0
    if keep is not None:
        keep(heatmap, grid)
    smallest_voxels = _SMALLEST_ML * 1000.0 / grid.voxel_volume_mm3
    heatmap = _keep_spine(heatmap, config.threshold, smallest_voxels)
    return SpineRegion(heatmap, grid) if heatmap.any() else None


def _grid(source: Grid, size: tuple[int, int, int], spacing_mm: float) -> Grid:
    """A grid around the scan, as large as the stage's, or as the scan where that is larger.

    Its voxels lie on a lattice fixed in the world, whatever the axes of the scan.
    """
    corners = source.corners_lps_mm(0.5)
    low, high = corners.min(axis=0), corners.max(axis=0)
    needed = np.ceil((high - low) / spacing_mm).astype(int)
    x, y, z = (max(int(n), s) for n, s in zip(needed, size, strict=True))
    reach = 0.5 * (np.array([x, y, z]) - 1) * spacing_mm
    origin = np.rint((0.5 * (low + high) - reach) / spacing_mm) * spacing_mm
    return Grid.axis_aligned(origin + reach, (x, y, z), (spacing_mm,) * 3)


def seen_in(grid: Grid, source: Grid) -> npt.NDArray[np.bool_]:
    """Voxels of `grid` that lie in the scan; what is said about padding does not count."""
    x, y, z = np.ogrid[tuple(slice(0, n) for n in grid.size)]
    seen = np.ones(grid.size, bool)
    for (by_x, by_y, by_z, at), length in zip(grid.index_map_to(source), source.size, strict=False):
        seen &= is_inside(by_x * x + (by_y * y + at) + by_z * z, length)
    return seen


def _keep_spine(
    heatmap: Float32Array, threshold: float, smallest_voxels: float
) -> npt.NDArray[np.float32]:
    """Clears what is below the threshold and what is far too small beside the largest part."""
    parts, count = ndimage.label(heatmap > threshold, np.ones((3, 3, 3)))
    if not count:
        return np.zeros_like(heatmap)
    mass = ndimage.sum_labels(heatmap, parts, np.arange(1, count + 1))
    voxels = np.bincount(parts.ravel())[1:]
    keep = (mass >= 0.1 * mass.max()) & (voxels >= smallest_voxels)
    return np.where(np.concatenate([[False], keep])[parts], heatmap, np.float32(0))
