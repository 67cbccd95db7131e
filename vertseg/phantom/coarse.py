"""Smooth fields on a coarse grid, interpolated to the full one: fast where detail is not needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from vertseg.geometry.grid import Grid
from vertseg.phantom.fields import Array


def coarse_steps(grid: Grid, mm: Sequence[float]) -> tuple[int, int, int]:
    """Voxels of `grid` that fit into `mm` along each axis, at least 1."""
    i, j, k = (max(int(m / s), 1) for m, s in zip(mm, grid.spacing, strict=True))
    return i, j, k


def coarse_size(size: Sequence[int], steps: Sequence[int]) -> tuple[int, int, int]:
    """Size of the coarse grid that reaches over a grid of `size`, `steps` voxels apart."""
    i, j, k = (-(-(n - 1) // s) + 1 for n, s in zip(size, steps, strict=True))
    return i, j, k


def coarse_grid(grid: Grid, steps: Sequence[int]) -> Grid:
    """The grid of every `steps`-th voxel, its last voxels at or past the end of `grid`."""
    scale = np.diag([*(float(s) for s in steps), 1.0])
    return Grid(coarse_size(grid.size, steps), grid.affine_lps @ scale)


def upsample(field: Array, size: Sequence[int], steps: Sequence[int]) -> Array:
    """Linear interpolation of `field` (x, y, z) from a coarse grid to the full one of `size`.

    Axes of length 1 stay so (the field does not change along them).
    """
    for axis, (count, step) in enumerate(zip(size, steps, strict=True)):
        if field.shape[axis] == 1 or step == 1:
            continue
        shape = list(field.shape)
        first = np.expand_dims(field.take(range(shape[axis] - 1), axis), axis + 1)
        rise = np.expand_dims(np.diff(field, axis=axis), axis + 1)
        weight = np.arange(step, dtype=np.float32) / np.float32(step)
        fine = first + rise * weight.reshape([step if a == axis + 1 else 1 for a in range(4)])
        shape[axis] = (shape[axis] - 1) * step
        fine = fine.reshape(shape)
        if shape[axis] < count:  # the last coarse node itself
            fine = np.concatenate([fine, field.take([-1], axis)], axis=axis)
        field = fine.take(range(count), axis) if fine.shape[axis] > count else fine
    return field


def texture(
    rng: np.random.Generator, grid: Grid, sigma_mm: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Smooth random field (x, y, z) of mean 0 and SD 1 on a grid.

    `sigma_mm` is its smoothness along x, y and z.
    """
    steps = coarse_steps(grid, [s / 1.5 for s in sigma_mm])
    noise = rng.standard_normal(coarse_size(grid.size, steps), dtype=np.float32)
    spacing = [n * s for n, s in zip(steps, grid.spacing, strict=True)]
    sigma = [s / step for s, step in zip(sigma_mm, spacing, strict=True)]
    if max(sigma) > 0.3:
        noise = gaussian_filter(noise, sigma, mode="wrap", truncate=3.0)
        noise /= np.float32(max(float(noise.std()), 1e-6))
    return upsample(noise, grid.size, steps)
