"""Parts of a volume: around something, along the spine, under a grid that may reach beyond it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vertseg.geometry.boxes import Box

ALONG_MM = 90.0
"""How far above or below a vertebra a window may be centred."""


def box_around(
    shape: Sequence[int], low: npt.ArrayLike, high: npt.ArrayLike
) -> tuple[Box, np.ndarray | None]:
    """Slices of the box from `low` to `high` (voxels) cut to `shape`, and its voxels (3, ...).

    The box is empty, and the second is None, where nothing of it lies inside.
    """
    first = np.maximum(np.floor(low), 0).astype(int)
    stop = np.minimum(np.ceil(high) + 1, shape).astype(int)
    if (stop <= first).any():
        return (slice(0, 0), slice(0, 0), slice(0, 0)), None
    axes = [np.arange(first[a], stop[a], dtype=np.float32) for a in range(3)]
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
    return (i, j, k), np.stack(np.meshgrid(*axes, indexing="ij"))


def window(volume: np.ndarray, start: np.ndarray, size: Sequence[int], outside: int) -> np.ndarray:
    """The `size` voxels of `volume` (x, y, z) from `start` on, `outside` beyond its border."""
    low, high = np.maximum(start, 0), np.minimum(start + np.array(size), volume.shape)
    part = np.full(size, outside, volume.dtype)
    if (high > low).all():
        into = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
        part[into] = volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return part


def along_spine(
    points: np.ndarray, start: np.ndarray, height: float, unit_mm: float, rng: np.random.Generator
) -> np.ndarray:
    """A point on the spine, up to `ALONG_MM` above or below `start`, shape (3,).

    Args:
        points: (n, 3) centres of vertebrae.
        start: (3,) one of them.
        height: of the window that the point is the centre of; the centres in its middle 70 %
            say where the spine is.
        unit_mm: unit of all lengths.
        rng: one number is drawn.
    """
    centre = start.copy()
    centre[2] += rng.uniform(-ALONG_MM, ALONG_MM) / unit_mm
    near = np.abs(points[:, 2] - centre[2]) < 0.35 * height
    if near.any():
        centre[:2] = points[near, :2].mean(0)
    return centre


@dataclass(frozen=True)
class RealVolume:
    """A scan (int16 HU) or a mask (uint8 labels) at isotropic spacing on an LPS grid.

    Attributes:
        name: subject.
        volume: (x, y, z).
        landmarks: label -> voxel coordinates.
        unnamed: labels of landmarks whose name is doubtful.
        doubtful: label -> where a vertebra may lie that the border cuts.
        labels: of a scan: its vertebra mask, uint8 (x, y, z), where there is one.
    """

    name: str
    volume: np.ndarray
    landmarks: dict[int, np.ndarray]
    unnamed: frozenset[int] = frozenset()
    doubtful: Mapping[int, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray | None = None
