"""A CT volume and its labels, painted structure by structure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from vertseg.grid import Grid
from vertseg.phantom.fields import Array, Solid
from vertseg.phantom.patch import Frame, Slices, bounds_of, cut_patch
from vertseg.phantom.tissues import Tissue

AIR_HU = -1000.0


@dataclass(frozen=True, eq=False)
class Organ:
    """A soft structure: the union of solids, of one HU.

    Attributes:
        label: tissue id.
        solids: in the frame `frame`.
        hu: mean HU.
        fillet: rounding of the seams, mm.
        inside: paint only inside the body cavity, this far (mm) from its wall; None: anywhere.
        frame: the frame of the solids.
    """

    label: int
    solids: tuple[Solid, ...]
    hu: float
    fillet: float = 3.0
    inside: float | None = None
    frame: Frame = field(default_factory=Frame.world)


class Canvas:
    """HU and labels on a grid; edges are blended over about a voxel, as a scanner would."""

    def __init__(self, grid: Grid) -> None:
        """Start with air everywhere."""
        self.grid = grid
        self.hu = np.full(grid.size, AIR_HU, dtype=np.float32)
        self.labels = np.full(grid.size, Tissue.AIR, dtype=np.uint8)
        self.cavity: Array | None = None
        self._soft = np.float32(0.6 * float(np.prod(grid.spacing)) ** (1 / 3))

    def fill(self, slices: Slices, distance: Array, hu: Array | float, label: int) -> None:
        """Paint the voxels with negative distance; arrays fill `slices` of the volume."""
        share = np.clip(0.5 - distance / (2 * self._soft), 0, 1)
        view = self.hu[slices]
        view += share * (np.asarray(hu, dtype=np.float32) - view)
        self.labels[slices][distance < 0] = label

    def paint(self, organ: Organ, margin_mm: float = 4.0) -> None:
        """Paint an organ where it touches the grid."""
        lower, upper = bounds_of(organ.solids)
        patch = cut_patch(self.grid, organ.frame, lower - margin_mm, upper + margin_mm)
        if patch is None:
            return
        distance = patch.fuse(organ.solids, organ.fillet)
        if organ.inside is not None and self.cavity is not None:
            distance = np.maximum(distance, self.cavity[patch.slices] + np.float32(organ.inside))
        self.fill(patch.slices, distance, organ.hu, organ.label)


def texture(rng: np.random.Generator, grid: Grid, sigma_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """Smooth random field of mean 0 and SD 1 on a grid; `sigma_mm` along its three axes."""
    noise = rng.standard_normal(grid.size, dtype=np.float32)
    sigma = [s / step for s, step in zip(sigma_mm, grid.spacing, strict=True)]
    smooth = gaussian_filter(noise, sigma, mode="wrap", truncate=3.0)
    return np.asarray(smooth / max(float(smooth.std()), 1e-6), dtype=np.float32)
