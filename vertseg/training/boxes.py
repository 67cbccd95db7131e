"""The part of a volume around something, with the coordinates of its voxels."""

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
