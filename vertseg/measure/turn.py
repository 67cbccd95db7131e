"""How far a vertebra is turned about the spine: the turn at which its mask is its own mirror image.

The frames of `vertseg.geometry.frames` look to the patient's left, whichever way a head or a
scoliotic spine is turned.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vertseg.geometry.frames import SpineFrame
from vertseg.geometry.grid import FloatArray, Grid
from vertseg.measure.body import Body, sample_mask

_LARGEST_DEG, _STEP_DEG = 30, 2
_SHIFTS_MM = (-4.0, -2.0, 0.0, 2.0, 4.0)
_CELL_MM = 2.0
_REACH_MM = np.array([50.0, 60.0, 50.0])
_CELLS = np.array([64, 80, 64])


def turned(body: Body, mask: npt.NDArray[np.bool_], grid: Grid) -> Body:
    """The body with its left and back axes turned to the vertebra's own plane of symmetry.

    Args:
        body: as measured.
        mask: (i, j, k) of the vertebra.
        grid: where it lies.
    """
    axes, inside = sample_mask(mask, grid, body.frame, _CELL_MM, _REACH_MM)
    filled = np.nonzero(inside >= 0.5)
    points = np.stack([axis[place] for axis, place in zip(axes, filled, strict=True)], axis=1)
    angles = np.radians(np.arange(-_LARGEST_DEG, _LARGEST_DEG + 1, _STEP_DEG))
    scores = [
        max(_mirrored(points @ _about_up(a).T, shift) for shift in _SHIFTS_MM) for a in angles
    ]
    best = _about_up(float(angles[int(np.argmax(scores))]))
    return replace(body, frame=SpineFrame(body.frame.origin_lps_mm, best @ body.frame.axes_lps))


def _about_up(angle: float) -> FloatArray:
    """(3, 3) rotation of left, back, up about up."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def _mirrored(points: FloatArray, shift_mm: float) -> float:
    """Share of the cells that points (n, 3) fill whose mirror image is filled, too."""
    cells = np.floor((points + [shift_mm, 0.0, 0.0]) / _CELL_MM).astype(int) + _CELLS // 2
    cells = cells[((cells >= 0) & (cells < _CELLS)).all(axis=1)]
    filled = np.zeros(_CELLS, bool)
    filled[tuple(cells.T)] = True
    return int(np.count_nonzero(filled & filled[::-1])) / max(int(np.count_nonzero(filled)), 1)
