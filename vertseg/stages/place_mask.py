"""The mask of one place, before masks are set apart, and what can be measured in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.geometry.boxes import filled_box
from vertseg.geometry.grid import Float32Array, Grid, PointLps

SAME = 0.7
"""Masks that share so much of the smaller one are of one vertebra, but for those of C1 and C2."""

_THICK = 0.7
"""The body is where a mask is nearly as thick as anywhere; arch and processes are thinner."""


@dataclass(frozen=True, eq=False)
class PlaceMask:
    """Mask of one place: bool (x, y, z) on a grid of its own."""

    voxels: npt.NDArray[np.bool_]
    grid: Grid

    @classmethod
    def of(cls, response: Float32Array, grid: Grid, threshold: float) -> PlaceMask:
        """The mask of a response (x, y, z) of `vertseg.stages.segmentation.vertebra_responses`.

        It may be empty: one voxel that is not in it.
        """
        box = filled_box(response > threshold)
        if not box[0].stop:
            box = (slice(0, 1),) * 3
        return cls(response[box] > threshold, grid.crop(box))

    @property
    def volume_mm3(self) -> float:
        """Volume of the mask."""
        return float(self.voxels.sum() * self.grid.voxel_volume_mm3)

    def body_centre_lps_mm(self) -> PointLps | None:
        """Middle of the thickest part, which is the body; None of an empty mask.

        Beside it, in the neck, the joints may be as thick; so from left to right half counts the
        middle of the whole mask, which is symmetric. Of 276 vertebrae of 28 scans it lies 1.4 mm
        (median) and at most 5.1 mm from where the heatmaps show them, of one in twenty more than
        3 mm.
        """
        if not self.voxels.any():
            return None
        filled = np.pad(ndimage.binary_fill_holes(self.voxels), 1)
        depth = ndimage.distance_transform_edt(filled, sampling=self.grid.spacing)
        parts, _ = ndimage.label(depth >= _THICK * depth.max())
        thickest = parts == parts[np.unravel_index(depth.argmax(), depth.shape)]
        body, whole = (
            self.grid.index_to_lps(np.argwhere(part).mean(axis=0) - 1)
            for part in (thickest, filled)
        )
        return float(body[0] + whole[0]) / 2, float(body[1]), float(body[2])


Masks = Mapping[int, PlaceMask]
"""Place -> its mask."""


def shared_part(one: PlaceMask, other: PlaceMask) -> float:
    """Share of the smaller mask that lies within the larger one, 0 where one is empty."""
    small, large = sorted((one, other), key=lambda mask: mask.volume_mm3)
    if not small.voxels.any():
        return 0.0
    points = small.grid.index_to_lps(np.argwhere(small.voxels))
    index = np.rint(large.grid.lps_to_index(points)).astype(int)
    index = index[((index >= 0) & (index < large.voxels.shape)).all(axis=1)]
    return float(large.voxels[tuple(index.T)].sum() / small.voxels.sum())
