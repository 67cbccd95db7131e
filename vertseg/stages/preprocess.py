"""From a scan to what a network sees, and from a network's response back to the scan.

Payer et al., VISAPP 2020, section 3: smoothing, linear resampling, scaling of HU to [-1, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.presets import HU_PER_UNIT
from vertseg.geometry.boxes import Box
from vertseg.geometry.grid import Float32Array, Grid
from vertseg.geometry.resampling import resample_array
from vertseg.io.hounsfield import AIR_HU
from vertseg.io.image import Image

_EMPTY = AIR_HU / HU_PER_UNIT + 1e-3  # resampling leaves padding even within rounding


def resample(
    image: Image, grid: Grid, sigma_mm: float = 0.75, normalise: bool = True
) -> Float32Array:
    """A scan on a network grid.

    HU below -1024 are raised to it, the scan is smoothed, resampled linearly (outside: -1024),
    divided by 2048 and clipped to [-1, 1]. Only what the grid needs is touched.

    Args:
        image: the scan, on any grid.
        grid: the network grid.
        sigma_mm: Gaussian along each axis of the scan, against aliasing.
        normalise: False leaves HU, neither divided nor clipped.

    Returns:
        float32, of the size of `grid`.
    """
    values = resample_array(image.array, image.grid, grid, sigma_mm, AIR_HU, lowest=AIR_HU)
    if normalise:
        values /= np.float32(HU_PER_UNIT)
        np.clip(values, -1.0, 1.0, out=values)
    return values


def is_padding(values: Float32Array) -> bool:
    """Whether network input (x, y, z) shows nothing: what lies outside the scan, or was padded."""
    return not bool((values > _EMPTY).any())


def resample_to(
    array: npt.NDArray[Any],
    from_grid: Grid,
    to_grid: Grid,
    box: Box | None = None,
    outside: float = 0.0,
) -> Float32Array:
    """A network's response on the scan's grid, inside one box only.

    Args:
        array: the response, of the size of `from_grid`.
        from_grid: the network grid.
        to_grid: the scan's grid.
        box: part of `to_grid`, as returned by `paste_region`; None for all of it.
        outside: value where the response does not reach.

    Returns:
        float32, of the size of the box.
    """
    if box is None:
        return resample_array(array, from_grid, to_grid, outside=outside)
    if any(s.stop <= s.start for s in box):
        return np.empty([max(s.stop - s.start, 0) for s in box], dtype=np.float32)
    return resample_array(array, from_grid, to_grid.crop(box), outside=outside)
