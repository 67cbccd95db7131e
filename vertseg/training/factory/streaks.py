"""Streaks that metal throws in its slices, on a coarse grid.

Rays through metal lose so much that too little, and mostly noise, is measured of them. That error
is reconstructed alone, by filtered back-projection (Kak & Slaney, Principles of Computerized
Tomographic Imaging, 1988, chapters 3 and 4), and added to the painted scan.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy import sparse

from models.matrices import linear_kernel
from vertseg.training.factory.tissue import METAL

_PIXELS = 48
"""Of the coarse grid, along x and along y."""
_ANGLES = 60
_WATER_PER_MM = 0.02
_METAL_PER_MM = (0.05, 0.25)
"""Attenuation above that of the body: titanium and, where it fills its voxels in part, less."""
_SATURATION = (0.005, 0.1)
"""Share of the rays' intensity that is scatter: what a ray through thick metal still measures."""
_NOISE = (0.0, 0.03)
_LARGEST_HU = 1200.0


def metal_streaks(labels: np.ndarray, spacing_mm: float, rng: np.random.Generator) -> np.ndarray:
    """The error in HU, float32 (48, 48, z), that the metal in `labels` (x, y, z) makes.

    It is 0 without metal. `expand` returns the matrices that bring it onto the grid of `labels`.
    """
    error = np.zeros((_PIXELS, _PIXELS, labels.shape[2]), np.float32)
    metal = labels == METAL
    rows = np.flatnonzero(metal.any(axis=(0, 1)))
    if not len(rows):
        return error
    along_x, along_y = (_shrink(n) for n in labels.shape[:2])
    share = np.tensordot(along_x, metal[:, :, rows].astype(np.float32), 1)
    share = np.matmul(along_y, share)
    pixel_mm = spacing_mm * max(labels.shape[:2]) / _PIXELS
    rays = _rays()
    dense, scatter = rng.uniform(*_METAL_PER_MM), np.exp(rng.uniform(*np.log(_SATURATION)))
    loss = dense * pixel_mm * (rays @ share.reshape(-1, len(rows)))
    measured = -np.log((np.exp(-loss) + scatter) / (1.0 + scatter))
    spread = rng.uniform(*_NOISE) * (np.exp(0.5 * measured) - 1.0)
    wrong = measured - loss + spread * rng.standard_normal(loss.shape)
    filtered = _ramp_filtered(wrong.reshape(_ANGLES, -1, len(rows)), pixel_mm)
    back = rays.T @ filtered.reshape(-1, len(rows)) * (np.pi / _ANGLES)
    hu = back.reshape(_PIXELS, _PIXELS, -1) * (1000.0 / _WATER_PER_MM)
    error[:, :, rows] = np.clip(hu, -_LARGEST_HU, _LARGEST_HU)
    return error


def expand(count: int) -> np.ndarray:
    """Matrix (count, 48) from the coarse grid to `count` voxels, linear between its pixels."""
    place = (np.arange(count) + 0.5) * _PIXELS / count - 0.5
    weights = linear_kernel(place[:, None] - np.arange(_PIXELS))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _shrink(count: int) -> np.ndarray:
    """Matrix (48, count) that averages voxels to pixels."""
    weights = expand(count).T
    return weights / weights.sum(axis=1, keepdims=True)


@functools.cache
def _rays() -> sparse.csr_array:
    """What each pixel gives to the detector at each angle, (angles x detector, pixels)."""
    detector = int(np.ceil(1.5 * _PIXELS))
    middle = np.arange(_PIXELS) - 0.5 * (_PIXELS - 1)
    x, y = (a.ravel() for a in np.meshgrid(middle, middle, indexing="ij"))
    rows, columns, weights = [], [], []
    for step in range(_ANGLES):
        angle = np.pi * step / _ANGLES
        place = np.cos(angle) * x + np.sin(angle) * y + 0.5 * (detector - 1)
        low = np.floor(place).astype(int)
        for beside, weight in ((0, 1.0 - place + low), (1, place - low)):
            rows.append(step * detector + low + beside)
            columns.append(np.arange(x.size))
            weights.append(weight)
    entries = np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array(entries, (_ANGLES * detector, x.size), dtype=np.float32)


def _ramp_filtered(sinogram: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Projections (angles, detector, z) through a ramp filter with a Hann window, per mm."""
    count = 2 * sinogram.shape[1]
    frequency = np.fft.rfftfreq(count, pixel_mm)
    window = 0.5 * (1.0 + np.cos(np.pi * frequency / frequency[-1]))
    spectrum = np.fft.rfft(sinogram, count, axis=1) * (frequency * window)[:, None]
    return np.fft.irfft(spectrum, count, axis=1)[:, : sinogram.shape[1]]
