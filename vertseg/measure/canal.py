"""The vertebral canal and its walls, measured in the mask of a vertebra.

Straight lines from the middle of the canal find the lamina behind it and the pedicles beside it, as
lines from inside the body find its walls (`vertseg.measure.body`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import FloatArray, Grid
from vertseg.measure.body import Body, sample_mask

_STEP_MM = 1.0
_REACH_MM = np.array([34.0, 44.0, 40.0])  # left, back, up from the middle of the back wall
_BEHIND_WALL_MM = 3.0
_DEEPEST_MM, _WIDEST_MM = 40.0, 30.0
_PEDICLE_DEPTH = 0.3  # of the canal's depth: where pedicles and nothing else lie beside it
_FEWEST_LINES = 3
_NEAREST_PERCENT = 15  # of the distances to the lamina, which slopes


@dataclass(frozen=True)
class Canal:
    """Where the canal lies, in the frame of the body moved to its back wall; lengths in mm.

    Attributes:
        left_mm: middle of the canal, to the left of the median plane of the body.
        half_width_mm: from there to the inner side of the pedicles.
        depth_mm: from the back wall of the body to the laminae.
        pedicle_top_mm: upper edge of the pedicles above the middle of the body.
    """

    left_mm: float
    half_width_mm: float
    depth_mm: float
    pedicle_top_mm: float


def measure_canal(mask: npt.NDArray[np.bool_], grid: Grid, body: Body) -> Canal | None:
    """Measure the canal of a vertebra; None where no closed arch can be found.

    Args:
        mask: (i, j, k), this vertebra only.
        grid: where the mask lies.
        body: its body.
    """
    frame = body.frame.moved([0.0, body.depth_mm / 2, 0.0])
    (left, back, up), inside = sample_mask(mask, grid, frame, _STEP_MM, _REACH_MM)
    bone = inside >= 0.5
    middle, wall = len(left) // 2, len(back) // 2
    depth = _depth(bone[middle, wall:], back[wall:])
    if depth is None:
        return None
    level = bone[:, wall + round(_PEDICLE_DEPTH * depth / _STEP_MM)]
    sides = (_pedicle(level[middle:], up), _pedicle(level[middle::-1], up))
    if sides[0] is None or sides[1] is None:
        return None
    (left_mm, left_top), (right_mm, right_top) = sides[0], sides[1]
    half = (left_mm + right_mm) / 2
    return Canal((left_mm - right_mm) / 2, half, depth, (left_top + right_top) / 2)


def _depth(lines: npt.NDArray[np.bool_], back: FloatArray) -> float | None:
    """From the back wall to the laminae, along (back, up) lines in the median plane."""
    behind = lines[(back >= _BEHIND_WALL_MM) & (back <= _DEEPEST_MM)]
    reached = behind.any(axis=0)
    if np.count_nonzero(reached) < _FEWEST_LINES:
        return None
    distances = _BEHIND_WALL_MM + behind.argmax(axis=0)[reached] * _STEP_MM
    return float(np.percentile(distances, _NEAREST_PERCENT))


def _pedicle(lines: npt.NDArray[np.bool_], up: FloatArray) -> tuple[float, float] | None:
    """Distance of a pedicle along (outwards, up) lines, and the height of its upper edge."""
    near = lines[: round(_WIDEST_MM / _STEP_MM)]
    reached = near.any(axis=0) & ~near[0]
    if np.count_nonzero(reached) < _FEWEST_LINES:
        return None
    return float(np.median(near.argmax(axis=0)[reached]) * _STEP_MM), float(up[reached].max())
