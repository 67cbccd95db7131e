"""Where the mask of a vertebra lies on the border of a scan, or of what was scanned within it.

Processes reach the border of many scans, and the body is whole all the same; so what counts as cut
is decided by the area of the body itself that lies on the border.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.geometry.boxes import Box
from vertseg.geometry.directions import OPPOSITE, PAIRS, in_order
from vertseg.geometry.grid import Grid
from vertseg.labels import label_of
from vertseg.measure.body import Body
from vertseg.stages.borders import PADDING_HU

CUT_MM2 = 100.0
"""Of a body on the border; less is a rim that just touches it."""

_PADDING_SHARE = 0.05  # of the voxels around a mask
_BEYOND_WALLS_MM = 2.0
_IN_CANAL_MM = 4.0
_BODY_RADIUS_MM = 20.0  # where walls were not found: processes begin further away
_RING = label_of("C1")


@dataclass(frozen=True, eq=False)
class Face:
    """Voxels of a mask on one side of what was scanned.

    Attributes:
        side: letter of the direction in which nothing was scanned.
        index: (n, 3) of the voxels, in the box of the mask.
        voxel_mm2: area of one of them on that side.
    """

    side: str
    index: npt.NDArray[np.intp]
    voxel_mm2: float


def border_faces(
    values: npt.NDArray[np.int16 | np.float32], mask: npt.NDArray[np.bool_], box: Box, grid: Grid
) -> tuple[Face, ...]:
    """All sides of what was scanned that a mask touches.

    Args:
        values: (i, j, k) HU of a box with at least a voxel around the mask where there is one.
        mask: (i, j, k) of the vertebra, in the same box.
        box: in voxels of the scan.
        grid: of the whole scan.
    """
    faces = [*_at_ends(mask, box, grid), *_at_padding(values, mask, grid.crop(box))]
    return tuple(face for face in faces if len(face.index))


def sides_touched(box: Box, grid: Grid) -> str:
    """Sides of the grid that a box of voxels reaches, letters of ``"LRAPSI"`` in that order."""
    return in_order(side for _, _, side in _ends_reached(box, grid))


def _ends_reached(box: Box, grid: Grid) -> Iterator[tuple[int, int, str]]:
    """Axis, plane of the box (0 or -1) and side, for each end of the grid that a box reaches."""
    for axis, code in enumerate(grid.axis_codes()):
        if box[axis].start <= 0:
            yield axis, 0, OPPOSITE[code]
        if box[axis].stop >= grid.size[axis]:
            yield axis, -1, code


def _at_ends(mask: npt.NDArray[np.bool_], box: Box, grid: Grid) -> Iterator[Face]:
    for axis, plane, side in _ends_reached(box, grid):
        index = np.argwhere(mask.take([plane], axis))
        index[:, axis] = plane % mask.shape[axis]
        yield Face(side, index, _voxel_mm2(grid, axis))


def _at_padding(
    values: npt.NDArray[np.int16 | np.float32], mask: npt.NDArray[np.bool_], grid: Grid
) -> Iterator[Face]:
    """The side towards which padding begins right beside the mask, if any."""
    padded = values <= PADDING_HU
    if not padded.any():
        return
    around = ndimage.binary_dilation(mask)
    beside = padded & around
    if np.count_nonzero(beside) < _PADDING_SHARE * np.count_nonzero(around & ~mask):
        return
    middles = [grid.index_to_lps(np.argwhere(part).mean(axis=0)) for part in (beside, mask)]
    away = middles[0] - middles[1]
    world = int(np.abs(away).argmax())
    side = PAIRS[world][int(away[world] > 0)]
    (axis,) = (n for n, code in enumerate(grid.axis_codes()) if code in PAIRS[world])
    index = np.argwhere(mask & ndimage.binary_dilation(padded))
    yield Face(side, index, _voxel_mm2(grid, axis))


def _voxel_mm2(grid: Grid, axis: int) -> float:
    return float(np.prod([step for n, step in enumerate(grid.spacing) if n != axis]))


def sides_of(faces: Sequence[Face]) -> str:
    """Letters of their sides, in the order of ``"LRAPSI"``."""
    return in_order(face.side for face in faces)


def is_body_cut(
    faces: Sequence[Face],
    grid: Grid,
    label: int,
    point_lps_mm: Sequence[float],
    body: Body | None,
) -> bool:
    """Whether the border of what was scanned cuts the body, not only processes; in C1, the ring.

    Args:
        faces: of the mask on the border.
        grid: of the mask's box.
        label: VerSe label.
        point_lps_mm: (3,) centroid.
        body: walls and end plates, those at the border included; None where they are not known.
    """
    area_mm2 = 0.0
    for face in faces:
        points = grid.index_to_lps(face.index)
        if label == _RING:
            inside = np.ones(len(points), bool)
        elif body is None:
            inside = np.linalg.norm(points - point_lps_mm, axis=1) <= _BODY_RADIUS_MM
        else:
            inside = _within(body, points)
        area_mm2 += np.count_nonzero(inside) * face.voxel_mm2
    return area_mm2 >= CUT_MM2


def _within(body: Body, points_lps_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether points (n, 3) lie between the walls and end plates, which bulge a little."""
    height_mm = max(body.anterior_mm, body.middle_mm, body.posterior_mm)
    left, back, up = body.frame.from_lps(points_lps_mm).T
    beside = np.abs(left) <= body.width_mm / 2 + _BEYOND_WALLS_MM
    # Before the canal there is nothing but the body, of which a tilted border cuts one end more.
    median = np.abs(left) <= body.width_mm / 4
    front, back_wall = -body.depth_mm / 2 - _BEYOND_WALLS_MM, body.depth_mm / 2
    between = (back >= front) & (back <= back_wall + _IN_CANAL_MM * median)
    return beside & between & (np.abs(up) <= height_mm / 2 + _BEYOND_WALLS_MM)
