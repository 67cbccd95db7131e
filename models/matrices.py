"""Interpolation and blurring along one axis as matrices, which every backend multiplies quickly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Kernel = Callable[[np.ndarray], np.ndarray]
"""Weights at distances of any shape."""


def linear_kernel(distance: np.ndarray) -> np.ndarray:
    """The triangle kernel of linear interpolation, at distances of any shape."""
    return np.maximum(0.0, 1.0 - np.abs(distance))


def cubic_kernel(distance: np.ndarray) -> np.ndarray:
    """The cubic convolution kernel with a = -1/2 (Keys, IEEE TASSP 1981), at any shape."""
    d = np.abs(distance)
    inner = 1.5 * d**3 - 2.5 * d**2 + 1.0
    outer = -0.5 * d**3 + 2.5 * d**2 - 4.0 * d + 2.0
    return np.where(d < 1, inner, np.where(d < 2, outer, 0.0))


def phase_weights(kernel: Kernel, radius: int, factor: int) -> np.ndarray:
    """Weights (factor, 2 * radius + 1) of the input samples i - radius ... i + radius.

    Output sample ``factor * i + p`` lies at input position ``i + (p + 1/2) / factor - 1/2``
    (voxel centres of both grids share one extent).
    """
    position = (np.arange(factor) + 0.5) / factor - 0.5
    return kernel(position[:, None] - np.arange(-radius, radius + 1)[None, :])


def upsampling_matrix(kernel: Kernel, radius: int, size: int, factor: int) -> np.ndarray:
    """Matrix (factor * size, size) that enlarges one axis; the border is repeated outwards."""
    matrix = np.zeros((size, factor, size), np.float32)
    for offset, column in enumerate(phase_weights(kernel, radius, factor).T):
        source = np.clip(np.arange(size) + offset - radius, 0, size - 1)
        matrix[np.arange(size), :, source] += column
    return matrix.reshape(factor * size, size)


def blur_matrix(size: int, sigma_px: float) -> np.ndarray:
    """Matrix (size, size) that blurs an axis with a Gaussian, rows summing to 1, float32."""
    distance = np.arange(size)[:, None] - np.arange(size)[None, :]
    weights = np.exp(-0.5 * (distance / max(sigma_px, 1e-3)) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
