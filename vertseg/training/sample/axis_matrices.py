"""Matrices that act along one axis of a volume: blur, slices, down-sampling.

A scanner's point spread, its slices and the later smoothing are separable, so each is a small
matrix per axis, drawn on the host and applied in the graph by `separable`.
"""

from __future__ import annotations

import numpy as np
from keras import ops
from scipy import ndimage


def separable(volume, along_x, along_y, along_z):
    """Applies one matrix per axis: (x, y, z) -> (rows of each matrix)."""
    nx, ny, nz = volume.shape
    volume = ops.reshape(ops.matmul(along_x, ops.reshape(volume, (nx, ny * nz))), (-1, ny, nz))
    volume = ops.matmul(along_y, volume)
    return ops.matmul(volume, ops.transpose(along_z))


def slice_matrix(size: int, thickness_px: float, offset_px: float) -> np.ndarray:
    """Means (size, size) over slices of `thickness_px`, interpolated between their centres."""
    if thickness_px <= 1.0:
        return np.eye(size, dtype=np.float32)
    count = int(np.ceil(size / thickness_px)) + 2
    centres = (np.arange(count) - 1) * thickness_px + offset_px
    position = np.arange(size)
    within = np.abs(position[None, :] - centres[:, None]) <= 0.5 * thickness_px
    average = within + 1e-6 * np.exp(-np.abs(position[None, :] - centres[:, None]))
    average = average / average.sum(1, keepdims=True)
    away = np.abs(position[:, None] - centres[None, :]) / thickness_px
    interpolate = np.maximum(0.0, 1.0 - away)
    interpolate /= interpolate.sum(1, keepdims=True)
    return (interpolate @ average).astype(np.float32)


def smoothing_matrix(size: int, sigma_px: float) -> np.ndarray:
    """The Gaussian (size, size) of `vertseg.geometry.resampling` along an axis.

    Cut at 4 sigma; the edge is continued.
    """
    matrix = np.eye(size)
    if sigma_px > 0:
        matrix = ndimage.gaussian_filter1d(matrix, sigma_px, axis=0, mode="nearest")
    return matrix.astype(np.float32)


def mean_matrix(size: int) -> np.ndarray:
    """The mean of each voxel and its neighbours along an axis (size, size), border included."""
    near = np.abs(np.subtract.outer(np.arange(size), np.arange(size))) <= 1
    return (near / near.sum(axis=1, keepdims=True)).astype(np.float32)


def row_norm(matrix: np.ndarray) -> float:
    """Mean norm of the rows of (n, n): by how much the matrix damps white noise."""
    return float(np.linalg.norm(matrix, axis=1).mean())


def bspline_matrix(size: int, controls: int) -> np.ndarray:
    """Uniform cubic B-spline basis (size, controls) over the whole axis, float32."""
    position = np.linspace(0, controls - 3, size) + 1
    d = np.abs(position[:, None] - np.arange(controls)[None, :])
    near = 2 / 3 - d**2 + d**3 / 2
    far = np.maximum(2 - d, 0) ** 3 / 6
    return np.where(d < 1, near, far).astype(np.float32)
