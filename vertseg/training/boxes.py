"""Parts of a volume: around something, and under a grid that may reach beyond it."""

from __future__ import annotations

import numpy as np


def box_around(shape, low, high):
    """Slices of the box from `low` to `high` (voxels) cut to `shape`, and its voxels (3, ...).

    The second is None where nothing of the box lies inside.
    """
    low = np.maximum(np.floor(low), 0).astype(int)
    high = np.minimum(np.ceil(high) + 1, shape).astype(int)
    if (high <= low).any():
        return None, None
    axes = [np.arange(low[a], high[a], dtype=np.float32) for a in range(3)]
    box = tuple(slice(int(low[a]), int(high[a])) for a in range(3))
    return box, np.stack(np.meshgrid(*axes, indexing="ij"))


def window(volume: np.ndarray, start: np.ndarray, size, outside: int) -> np.ndarray:
    """The `size` voxels of `volume` from the voxel `start` on, `outside` beyond its border."""
    low, high = np.maximum(start, 0), np.minimum(start + np.array(size), volume.shape)
    part = np.full(size, outside, volume.dtype)
    if (high > low).all():
        into = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
        part[into] = volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return part
