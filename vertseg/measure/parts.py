"""The parts of a vertebra: its body, arch and processes, told apart by geometry.

The body ends at its back wall and side walls, with its corners at the pedicles bevelled. Behind it
the canal gives the scale: its half width w, its depth and the upper edge of the pedicles. The
constants were set on parametric phantoms, whose parts are known. The ids are those of SPINEPS and
TPTBox (Möller et al., Eur Radiol 2024), which call the rim of the body 49 and its inside 50.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import FloatArray, Grid
from vertseg.labels import Colour, label_of, region_of
from vertseg.measure.body import Body
from vertseg.measure.canal import Canal, measure_canal
from vertseg.measure.turn import turned

PartArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """A part of a vertebra.

    Attributes:
        id: in the mask of parts.
        name: in reports and tables.
        colour: red, green, blue in 0-255.
    """

    id: int
    name: str
    colour: Colour


WHOLE, ARCH, SPINOUS, BODY = 40, 41, 42, 50
_TRANSVERSE, _UPPER, _LOWER = 43, 45, 47  # of the left; the right one is the next

PARTS: tuple[Part, ...] = (
    Part(WHOLE, "whole", (150, 150, 150)),
    Part(BODY, "body", (230, 200, 150)),
    Part(ARCH, "arch", (90, 160, 240)),
    Part(SPINOUS, "spinous", (230, 90, 80)),
    Part(43, "left_transverse", (110, 210, 110)),
    Part(44, "right_transverse", (50, 150, 60)),
    Part(45, "left_upper_articular", (250, 220, 60)),
    Part(46, "right_upper_articular", (220, 165, 20)),
    Part(47, "left_lower_articular", (220, 130, 240)),
    Part(48, "right_lower_articular", (150, 70, 190)),
)
"""All parts. ``whole`` is a vertebra that cannot be divided. ``arch`` is pedicles and laminae, or
everything behind the body where processes cannot be told."""

_AXIS = label_of("C2")
_DENS_MM, _LEANS_MM = 8.0, 7.0
_BEHIND_WALL_MM = 1.0
_BESIDE_WALL_MM = {"cervical": 0.0, "thoracic": 5.0, "lumbar": 5.0}
_BEVEL_MM = {"cervical": 6.0, "thoracic": 8.0, "lumbar": 8.0}


def split_parts(
    mask: npt.NDArray[np.bool_], grid: Grid, label: int, body: Body | None, cut_off: bool = False
) -> PartArray:
    """The part that each voxel of a vertebra belongs to.

    Args:
        mask: (i, j, k), this vertebra only; a box around it is enough.
        grid: where the mask lies.
        label: VerSe label.
        body: its body; None where it could not be measured.
        cut_off: whether the scan ends within it, so that processes cannot be told.

    Returns:
        (i, j, k) ids of `PARTS`, 0 outside of the mask.
    """
    parts = np.zeros(mask.shape, np.uint8)
    if body is None:
        parts[mask] = WHOLE
        return parts
    region, index = region_of(label), np.argwhere(mask)
    body = turned(body, mask, grid)
    points = body.frame.from_lps(grid.index_to_lps(index)) - [0.0, body.depth_mm / 2, 0.0]
    found = np.full(len(index), ARCH, np.uint8)
    canal = None if cut_off else measure_canal(mask, grid, body)
    if canal is not None:
        found = _processes(points, canal, _height(body), region)
    in_body = _in_body(points, body.width_mm / 2, region)
    if label == _AXIS:
        in_body |= _in_dens(points)
    found[in_body] = BODY
    parts[tuple(index.T)] = found
    return parts


def _height(body: Body) -> float:
    """Of the body as it was before it broke."""
    return max(body.anterior_mm, body.middle_mm, body.posterior_mm)


def _in_body(points: FloatArray, half_width_mm: float, region: str) -> npt.NDArray[np.bool_]:
    beside = np.abs(points[:, 0]) - half_width_mm - _BESIDE_WALL_MM[region]
    behind = points[:, 1] - _BEHIND_WALL_MM
    return (beside <= 0) & (behind <= 0) & (beside + behind <= -_BEVEL_MM[region])


def _in_dens(points: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether points lie on the body's side of the canal, into which a dens may lean."""
    away, behind = np.abs(points[:, 0]), points[:, 1]
    return (away < _DENS_MM) & (behind < _LEANS_MM)


def _processes(points: FloatArray, canal: Canal, height_mm: float, region: str) -> PartArray:
    """Arch and processes of points (n, 3) left, back, up of the middle of the back wall, mm."""
    left = points[:, 0] - canal.left_mm
    away, behind = np.abs(left), points[:, 1] - canal.depth_mm
    width = canal.half_width_mm
    if region == "cervical":
        found = _cervical(away, points, canal, height_mm)
        spinous = (behind > 2.0) & (away < 0.15 * width + 1.4 * (behind - 2.0))
    else:
        found = _trunk(away, behind, points, canal, height_mm, region)
        widening = 0.4 if region == "thoracic" else 0.2
        spinous = (behind > 4.5) & (away < 0.5 * width + widening * (behind - 4.5))
    found[(found != ARCH) & (left < 0)] += 1
    found[spinous] = SPINOUS
    return found


def _trunk(
    away: FloatArray,
    behind: FloatArray,
    points: FloatArray,
    canal: Canal,
    height_mm: float,
    region: str,
) -> PartArray:
    """Thoracic and lumbar: joints above and below the pedicles, transverse processes beside."""
    back, above = points[:, 1], (points[:, 2] - canal.pedicle_top_mm) / height_mm
    width = canal.half_width_mm
    thoracic = region == "thoracic"
    lower = -above - (0.4 if thoracic else 0.3)  # below the upper part of the lamina
    found = np.full(len(points), ARCH, np.uint8)
    is_lower = (away > 0.5 * width) & (behind > -0.07 * width - 0.15 * height_mm * lower)
    found[(lower > 0) & is_lower] = _LOWER
    wide, far = (0.55, 0.5) if thoracic else (1.15, 0.65)
    beside = (away > wide * width) & (back > far * canal.depth_mm)
    high = (above > -0.05) & (back > 0.45 * canal.depth_mm)
    found[high | (beside & (above > (-0.25 if thoracic else -0.4)))] = _UPPER
    limits = (-0.65, 0.15) if thoracic else (-0.8, -0.1)
    reach = 1.55 * width - 0.15 * behind if thoracic else 1.7 * width
    level = (above > limits[0]) & (above < limits[1])
    # No joint reaches as far out, so a process that rises or hangs is still one.
    found[(away > reach) & (level | (away > reach + 0.35 * width))] = _TRANSVERSE
    return found


def _cervical(away: FloatArray, points: FloatArray, canal: Canal, height_mm: float) -> PartArray:
    """Neck: pillars with a joint at either end, transverse processes in front of them."""
    back, up, width = points[:, 1], points[:, 2] / height_mm, canal.half_width_mm
    found = np.full(len(points), ARCH, np.uint8)
    pillar = (away > width) & (back > -0.15 * width)
    found[pillar & (up > -0.05)] = _UPPER
    found[pillar & (up <= -0.05)] = _LOWER
    found[(away < 1.2 * width) & (np.abs(up + 0.05) < 0.3)] = ARCH
    found[(away > 1.2 * width) & (back < 0.2 * (away - 1.2 * width))] = _TRANSVERSE
    return found
