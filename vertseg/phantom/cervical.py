"""Neck vertebrae as solids in their own frames: C3-C7, and the special forms of C1 and C2."""

from __future__ import annotations

import numpy as np

from vertseg.phantom.arch import back_wall
from vertseg.phantom.fields import Ellipsoid, Limb, Plate, Solid, Vector, tube, unit, vector
from vertseg.phantom.spine import PosedVertebra
from vertseg.phantom.vertebral_body import VertebralBody

_JOINT_GAP_MM = 1.0
_FACET = unit((0.0, 1.0, 1.0))  # the upper facets look back and up at 45 degrees


def cervical_solids(vertebra: PosedVertebra) -> list[Solid]:
    """Arch and processes of C3-C7."""
    solids: list[Solid] = []
    for side in (1, -1):
        solids += _pillar(vertebra, side, upper=True) + _pillar(vertebra, side, upper=False)
        solids += _pedicle_and_lamina(vertebra, side) + _transverse(vertebra, side)
    return solids + _spinous(vertebra)


def cervical_parts(vertebra: PosedVertebra) -> dict[str, list[Solid]]:
    """The solids of `cervical_solids` by the part of the vertebra that they make."""
    parts: dict[str, list[Solid]] = {"arch": [], "spinous": _spinous(vertebra)}
    for name, side in (("left", 1), ("right", -1)):
        parts["arch"] += _pedicle_and_lamina(vertebra, side)
        parts[f"{name}_upper_articular"] = _pillar(vertebra, side, upper=True)
        parts[f"{name}_lower_articular"] = _pillar(vertebra, side, upper=False)
        parts[f"{name}_transverse"] = _transverse(vertebra, side)
    return parts


def cervical_cuts(vertebra: PosedVertebra) -> list[Limb]:
    """The transverse foramina."""
    x, y = _foramen(vertebra)
    radii = (0.5, 0.5) if vertebra.name == "C7" else (2.8, 2.8)
    return [Limb((s * x, y, -12), (s * x, y, 12), radii, radii) for s in (1, -1)]


def upper_cervical(vertebra: PosedVertebra) -> list[Solid]:
    """All of C1 or C2."""
    return _first(vertebra) if vertebra.name == "C1" else _second(vertebra)


def _foramen(vertebra: PosedVertebra) -> tuple[float, float]:
    if vertebra.name == "C1":
        return 27.0, 5.0
    if vertebra.name == "C2":
        return 20.5, 2.0
    return 0.5 * vertebra.size.width_lower + 5.0, back_wall(vertebra) - 4.0


def _pillar(vertebra: PosedVertebra, side: int, upper: bool) -> list[Solid]:
    """Half of the articular pillar, which ends in a facet."""
    size = vertebra.size
    gap = vertebra.gap_above if upper else vertebra.gap_below
    x = side * (0.5 * size.canal_width + 5.0)
    y = back_wall(vertebra) + 5.0
    sign = 1.0 if upper else -1.0
    joint = np.array([x, y, sign * 0.5 * gap])
    centre = joint - sign * (2.6 + 0.5 * _JOINT_GAP_MM) * _FACET
    axes = (vector(_FACET), (1.0, 0.0, 0.0), vector(np.cross(_FACET, (1, 0, 0))))
    facet = Plate(vector(centre), (2.6, 5.6, 5.6), axes, rounding=2.2)
    return [facet, Limb((x, y, 0), vector(centre), (5.0, 5.5), (4.8, 4.0), (1, 0, 0))]


def _pedicle_and_lamina(vertebra: PosedVertebra, side: int) -> list[Solid]:
    size, wall = vertebra.size, back_wall(vertebra)
    x = side * (0.5 * size.canal_width + 3.0)
    half = (0.5 * size.pedicle_width, 0.5 * size.pedicle_height)
    pedicle = Limb((side * 0.3 * size.width_lower, wall - 3, 1.0), (x, wall + 5, 0.5), half, half)
    back = wall + size.canal_depth + 1.5
    slant = unit((side * 0.75, 0.65, 0.3))
    tall = 0.42 * vertebra.height
    return [
        pedicle,
        Limb(
            (x, wall + 6, -1.0), (side * 0.5, back, -2.5), (2.2, tall), (2.2, tall), vector(slant)
        ),
    ]


def _transverse(vertebra: PosedVertebra, side: int) -> list[Solid]:
    hole_x, hole_y = _foramen(vertebra)
    wall, half = back_wall(vertebra), 0.5 * vertebra.size.transverse_width
    stretch = vertebra.variation.transverse_stretch[0 if side > 0 else 1]
    tip = (side * half * stretch, wall - 1.0, -2.5)
    front = (side * min(hole_x + 6.0, half), hole_y - 3.5, -2.0)
    root = (side * 0.42 * vertebra.size.width_lower, hole_y - 3.0, 0.0)
    pillar = (side * (0.5 * vertebra.size.canal_width + 3.0), wall + 3.0, -1.0)
    stout = 3.6 if vertebra.name == "C7" else 2.6
    bars: list[Solid] = [
        Limb(pillar, tip, (stout, stout + 1), (stout, stout), (0, 1, 0)),
        Limb((side * (hole_x + 4.3), hole_y - 2, -2.5), tip, (1.8, 2.5), (2.2, 2.5)),
    ]
    return [*bars, Limb(root, front, (1.8, 2.5), (2.2, 2.8), (0, 1, 0))]


def _spinous(vertebra: PosedVertebra) -> list[Solid]:
    size, variation = vertebra.size, vertebra.variation
    wall = back_wall(vertebra)
    fall = np.deg2rad(size.spinous_slope + variation.spinous_fall_deg)
    reach = size.spinous_length * variation.spinous_stretch
    root = np.array([0.0, wall + size.canal_depth + 1.0, -2.0])
    tip = np.array([0.0, wall + reach * np.cos(fall), -1.0 - reach * np.sin(fall)])
    tip[0] = np.tan(np.deg2rad(variation.spinous_turn_deg)) * (tip[1] - root[1])
    tall = 0.36 * vertebra.height
    blade = Limb(vector(root), vector(tip), (2.8, 1.1 * tall), (2.6, 0.8 * tall))
    if vertebra.name in ("C6", "C7"):
        return [blade, Ellipsoid(vector(tip), (3.8, 3.5, 4.5))]
    fork = [
        Limb(vector(0.4 * root + 0.6 * tip), vector(tip + (s * 4, 1.5, -0.5)), (2.2, 3.0), (2, 2.4))
        for s in (1, -1)
    ]
    return [blade, *fork]


def _first(vertebra: PosedVertebra) -> list[Solid]:
    """C1: a ring round the dens, which is its origin."""
    scale = vertebra.size.transverse_width / 76.0
    back = 0.92 * vertebra.size.canal_depth + 14.0
    solids: list[Solid] = [
        *_arch(
            [(-15, -3, 0), (-8, -8.5, 0.5), (0, -10, 1), (8, -8.5, 0.5), (15, -3, 0)], (2.8, 4.8)
        ),
        *_arch(
            [
                (-19, 11, 0),
                (-18, 20, 1),
                (-11, back - 4, 1),
                (0, back, 2),
                (11, back - 4, 1),
                (18, 20, 1),
                (19, 11, 0),
            ],
            (2.8, 3.8),
        ),
        Ellipsoid((0, back + 1.5, 2), (3.0, 3.0, 4.0)),
    ]
    for side, stretch in zip((1, -1), vertebra.variation.transverse_stretch, strict=True):
        tilt = (vector(unit((1, 0, side * 0.35))), (0, 1, 0), vector(unit((-side * 0.35, 0, 1))))
        solids.append(Ellipsoid((side * 17.5 * scale, 5, 0), (6.5, 10.5, 8.5), tilt))
        tip = (side * 37.0 * scale * stretch, 8, -2)
        solids.append(Limb((side * 20, 2, -1), (side * 31, 2, -2), (2.2, 3.0), (2.2, 3), (0, 1, 0)))
        solids.append(Limb((side * 20, 9, -1), tip, (2.6, 3.5), (4.0, 5.0), (0, 1, 0)))
        solids.append(Limb((side * 31, 2, -2), tip, (2.2, 3.0), (4.0, 5.0)))
    return solids


def _arch(points: list[Vector], radii: tuple[float, float]) -> list[Limb]:
    """A flat curved bar in the horizontal plane: `radii` across and along z."""
    places = np.asarray(points)
    steps = np.gradient(places, axis=0)
    thin = np.stack([-steps[:, 1], steps[:, 0], np.zeros(len(places))], axis=1)
    return tube(places, np.tile(radii, (len(places), 1)), thin)


def _second(vertebra: PosedVertebra) -> list[Solid]:
    """C2 with the dens."""
    wall, size = back_wall(vertebra), vertebra.size
    top = vertebra.gap_above + 8.5
    solids: list[Solid] = [
        VertebralBody.of(vertebra),
        Ellipsoid((0, 0, 3), (9.5, 7.5, 8.0)),
        Limb((0, -0.5, 2), (0, 0.5, vertebra.gap_above - 3), (6.0, 6.0), (4.8, 4.8)),
        Limb(
            (0, 0.5, vertebra.gap_above - 3), (0, 1.5, top - 4.0), (4.8, 4.8), (4.6, 4.6), cap=4.0
        ),
    ]
    for side in (1, -1):
        slope = (vector(unit((1, 0, -side * 0.4))), (0, 1, 0), vector(unit((side * 0.4, 0, 1))))
        x = side * (0.5 * size.canal_width + 3.5)
        solids += [
            Ellipsoid((side * 14.0, 3.5, 7.0), (8.5, 8.5, 4.0), slope),
            Limb((side * 12, 4, 5), (x, wall + 6, 0), (4.5, 5.5), (4.5, 5.0)),
            *_pillar(vertebra, side, upper=False),
            Limb(
                (x, wall + 7, 0),
                (side * 0.5, wall + size.canal_depth + 2, -3),
                (3.0, 5.5),
                (3.2, 6.0),
                vector(unit((side * 0.7, 0.7, 0.3))),
            ),
            Limb(
                (side * 17, 5, 1), (side * 0.5 * size.transverse_width, 5, -3), (2.6, 3.5), (2.4, 3)
            ),
            Limb((side * 13, -1, 2), (side * 24, 0, -2), (1.8, 2.5), (2.0, 2.5), (0, 1, 0)),
        ]
    return solids + _spinous_of_second(vertebra)


def _spinous_of_second(vertebra: PosedVertebra) -> list[Solid]:
    wall, size = back_wall(vertebra), vertebra.size
    reach = size.spinous_length * vertebra.variation.spinous_stretch
    root = (0.0, wall + size.canal_depth + 1.0, -3.0)
    tip = (0.0, wall + reach - 4.0, -8.0)
    fork = [Limb(tip, (s * 4.5, tip[1] + 4.0, -10.0), (2.6, 4.5), (2.4, 3.2)) for s in (1, -1)]
    return [Limb(root, tip, (4.0, 7.0), (3.8, 5.5)), *fork]
