"""Directions at each vertebra that follow the course of the spine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import FloatArray

_LEFT_LPS = np.array([1.0, 0.0, 0.0])
_UP_LPS = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class SpineFrame:
    """A right-handed frame at one vertebra, in millimetres.

    Attributes:
        origin_lps_mm: (3,) its origin in the world, LPS.
        axes_lps: (3, 3) rows: unit vectors towards the left, the back and up along the spine.
    """

    origin_lps_mm: FloatArray
    axes_lps: FloatArray

    @classmethod
    def along(cls, origin_lps_mm: npt.ArrayLike, up_lps: npt.ArrayLike) -> SpineFrame:
        """Frame at a point (3,) whose third axis is `up_lps` (3,).

        Its first axis lies nearest to the patient's left.

        >>> tilted = SpineFrame.along((0.0, 0.0, 100.0), (0.0, 3.0, 4.0))
        >>> tilted.to_lps((0.0, 0.0, 10.0)).tolist()  # 10 mm up along the spine
        [0.0, 6.0, 108.0]
        """
        up = np.asarray(up_lps, dtype=np.float64)
        up = up / np.linalg.norm(up)
        left = _LEFT_LPS - up * up[0]
        left = left / np.linalg.norm(left)
        axes = np.stack([left, np.cross(up, left), up])
        return cls(np.asarray(origin_lps_mm, dtype=np.float64), axes)

    def to_lps(self, local_mm: npt.ArrayLike) -> FloatArray:
        """Points (..., 3) left, back, up in mm -> LPS mm."""
        return np.asarray(local_mm, dtype=np.float64) @ self.axes_lps + self.origin_lps_mm

    def from_lps(self, points_lps_mm: npt.ArrayLike) -> FloatArray:
        """Points (..., 3) LPS mm -> left, back, up in mm."""
        points = np.asarray(points_lps_mm, dtype=np.float64)
        return (points - self.origin_lps_mm) @ self.axes_lps.T

    def moved(self, local_mm: npt.ArrayLike) -> SpineFrame:
        """The same directions with the origin moved by (3,) left, back, up in mm."""
        return SpineFrame(self.to_lps(local_mm), self.axes_lps)


def frames_along(points_lps_mm: Sequence[Sequence[float]]) -> list[SpineFrame]:
    """Frames at the centres of vertebrae, in order from the head downwards.

    The spine's direction at a vertebra is that from its lower to its upper neighbour; a single
    vertebra is taken to stand upright in the world, as is one whose neighbours lie implausibly.
    """
    points = np.asarray(points_lps_mm, dtype=np.float64).reshape(-1, 3)
    frames = []
    for row, point in enumerate(points):
        up = points[max(row - 1, 0)] - points[min(row + 1, len(points) - 1)]
        length = float(np.linalg.norm(up))
        sane = length > 1.0 and abs(up[0]) < 0.9 * length
        frames.append(SpineFrame.along(point, up if sane else _UP_LPS))
    return frames
