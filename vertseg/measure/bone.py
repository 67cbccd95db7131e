"""Cortical and trabecular bone of a vertebra, by density and depth.

Cortical is the outermost layer of voxels, and what lies up to 3 mm below the surface and is denser
than half way from the trabecular density to the densest bone near by: the half maximum, as in
measurements of cortical thickness (Prevrhal et al., Phys Med Biol 1999;44:751). Trabecular is the
rest. Thin cortices are narrower than a voxel, so the cortical volume is an upper limit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.geometry.grid import Grid
from vertseg.io.hounsfield import AIR_HU

CORTICAL, TRABECULAR = 1, 2
_DEEPEST_MM = 3.0
_NEAR_MM = 6.0


def split_bone(
    values: npt.NDArray[np.int16 | np.float32],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    trabecular_hu: float | None,
) -> npt.NDArray[np.uint8]:
    """Which voxels of a vertebra are cortical (1) and which trabecular (2); 0 outside.

    Args:
        values: (i, j, k) HU.
        mask: (i, j, k), this vertebra only; a box with a voxel around it is enough.
        grid: where both lie.
        trabecular_hu: mean HU of the core of its body; the median of the mask's inside if None.
    """
    inside = ndimage.binary_erosion(mask)
    depth_mm = ndimage.distance_transform_edt(mask, sampling=grid.spacing)
    core = trabecular_hu
    if core is None:
        core = float(np.median(values[inside])) if inside.any() else 0.0
    reach = [2 * max(1, round(_NEAR_MM / 2 / step)) + 1 for step in grid.spacing]
    bone = np.where(mask, values, AIR_HU).astype(np.float32)
    densest = ndimage.maximum_filter(bone, size=reach)
    dense = (depth_mm <= _DEEPEST_MM) & (bone > (core + densest) / 2)
    split = np.where(mask, np.uint8(TRABECULAR), np.uint8(0))
    split[mask & (dense | ~inside)] = CORTICAL
    return split
