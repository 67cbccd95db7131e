"""The posterior arch of thoracic and lumbar vertebrae as solids in the vertebra's frame."""

from __future__ import annotations

import numpy as np

from vertseg.phantom.fields import Ellipsoid, Limb, Plate, Prism, Solid, Vector, unit, vector
from vertseg.phantom.spine import PosedVertebra

_JOINT_GAP_MM = 1.0


def canal(vertebra: PosedVertebra) -> Solid:
    """The vertebral canal as a rod along z, to be cut out of the arch."""
    size = vertebra.size
    reach = 0.7 * (vertebra.gap_above + vertebra.gap_below)
    wall, half = back_wall(vertebra), 0.5 * size.canal_width
    if vertebra.name == "C1":
        middle, radii = wall + 0.5 * size.canal_depth, (half, 0.5 * size.canal_depth)
        return Limb((0, middle, -reach), (0, middle, reach), radii, radii)
    narrowing = {"cervical": 0.6, "thoracic": 0.3, "lumbar": 0.55}[vertebra.region]
    return Prism(wall, wall + size.canal_depth, half, narrowing, reach)


def back_wall(vertebra: PosedVertebra) -> float:
    """Distance from the centre of the body to its posterior wall, mm."""
    return 0.25 * (vertebra.size.depth_upper + vertebra.size.depth_lower) - 1.0


def arch_solids(vertebra: PosedVertebra) -> list[Solid]:
    """Pedicles, laminae, articular, transverse and spinous processes."""
    solids: list[Solid] = []
    for side in (1, -1):
        solids += _pedicle_and_lamina(vertebra, side)
        solids += _upper_joint(vertebra, side) + _lower_joint(vertebra, side)
        solids += _transverse(vertebra, side)
    return solids + _spinous(vertebra)


def arch_parts(vertebra: PosedVertebra) -> dict[str, list[Solid]]:
    """The solids of `arch_solids` by the part of the vertebra that they make."""
    parts: dict[str, list[Solid]] = {"arch": [], "spinous": _spinous(vertebra)}
    for name, side in (("left", 1), ("right", -1)):
        parts["arch"] += _pedicle_and_lamina(vertebra, side)
        parts[f"{name}_upper_articular"] = _upper_joint(vertebra, side)
        parts[f"{name}_lower_articular"] = _lower_joint(vertebra, side)
        parts[f"{name}_transverse"] = _transverse(vertebra, side)
    return parts


def pedicle_point(vertebra: PosedVertebra, side: int) -> tuple[float, float, float]:
    """Where the pedicle meets the lamina, mm."""
    size = vertebra.size
    z = 0.5 * vertebra.height - 0.5 * size.pedicle_height - 0.5
    reach = 0.55 * size.canal_depth
    return side * 0.5 * (size.canal_width + size.pedicle_width), back_wall(vertebra) + reach, z


def transverse_tip(vertebra: PosedVertebra, side: int) -> tuple[float, float, float]:
    """Tip of the transverse process, mm."""
    size, variation = vertebra.size, vertebra.variation
    which = 0 if side > 0 else 1
    x = 0.5 * size.transverse_width * variation.transverse_stretch[which]
    lift = variation.transverse_lift_mm[which]
    if vertebra.region == "thoracic":
        short = vertebra.name in ("T11", "T12", "T13")
        y = back_wall(vertebra) + (0.75 if short else 1.2) * size.canal_depth
        return side * x, y, (0.0 if short else 4.0) + lift
    forward = {"L4": 0.65, "L5": 0.45, "L6": 0.45}.get(vertebra.name, 0.8)
    return side * x, back_wall(vertebra) + forward * size.canal_depth, 2.0 + lift


def _pedicle_and_lamina(vertebra: PosedVertebra, side: int) -> list[Solid]:
    size, wall = vertebra.size, back_wall(vertebra)
    x, y, z = pedicle_point(vertebra, side)
    root = x - side * np.tan(np.deg2rad(size.pedicle_angle)) * (y - wall + 5.0)
    half = (0.5 * size.pedicle_width, 0.5 * size.pedicle_height)
    pedicle = Limb((root, wall - 5.0, z), (x, y, z), half, (half[0], 0.85 * half[1]), cap=3.0)
    thoracic = vertebra.region == "thoracic"
    tall = (0.46 if thoracic else 0.34) * vertebra.height
    low = z - (0.22 if thoracic else 0.33) * vertebra.height
    thick = 3.0 if thoracic else 3.6
    edge, share = wall + size.canal_depth, (0.4 if thoracic else 0.55)
    outer: Vector = (
        side * (0.5 * size.canal_width + 1.5),
        edge - share * size.canal_depth,
        low + 1.0,
    )
    inner: Vector = (side * 0.5, edge + 0.8 * thick, low - 1.5)
    slant = unit((side * 0.8, 0.6, 0.25 if thoracic else 0.12))
    lamina = Limb(outer, inner, (thick, 0.85 * tall), (thick, tall), vector(slant), cap=4.0)
    return [pedicle, lamina]


def _joint(vertebra: PosedVertebra, side: int, upper: bool) -> tuple[Vector, tuple[Vector, ...]]:
    """Middle of a facet joint and its axes: from the joint towards the lower vertebra first."""
    size, wall = vertebra.size, back_wall(vertebra)
    angle = size.facet_angle if upper else _lower_facet_angle(vertebra)
    angle += vertebra.variation.facet_turn_deg[0 if side > 0 else 1] * (angle < 70)
    sagittal = np.clip((90 - angle) / 60, 0, 1)  # 1 where the joint lies in the sagittal plane
    tilt = -0.35 * (1 - sagittal)
    normal = unit((side * np.cos(np.deg2rad(angle)), -np.sin(np.deg2rad(angle)), tilt))
    along = unit(np.cross(normal, np.cross((0, 0, 1.0), normal)))
    z = (0.5 if upper else -0.5) * (vertebra.gap_above if upper else vertebra.gap_below)
    z += 1.0 - 2.0 * sagittal
    x = 0.5 * size.canal_width + 1.0 + 2.0 * sagittal + 0.06 * max(angle - 40, 0) * sagittal
    y = wall + (0.93 if upper else 0.97) * size.canal_depth
    return (side * x, y, z), (vector(normal), vector(np.cross(normal, along)), vector(along))


def _lower_facet_angle(vertebra: PosedVertebra) -> float:
    """Facet angle of the joint below: that of the next level's upper facets."""
    if vertebra.name in ("T12", "T13") or (vertebra.name == "T11" and vertebra.gap_below > 30.5):
        return 26.0
    step = 6.0 if vertebra.region == "lumbar" else 0.0
    return min(vertebra.size.facet_angle + step, 106.0)


def _upper_joint(vertebra: PosedVertebra, side: int) -> list[Solid]:
    middle, axes = _joint(vertebra, side, upper=True)
    flat = vertebra.size.facet_angle > 70
    half = (2.2, 5.5, 6.5) if flat else (3.6, 6.5, 8.0)
    scale = vertebra.height / (19.0 if flat else 26.0)
    centre = np.add(middle, np.multiply(axes[0], scale * half[0] + 0.5 * _JOINT_GAP_MM))
    half = (half[0] * scale, half[1] * scale, half[2] * scale)
    plate = Plate(vector(centre), half, axes, rounding=0.9 * half[0])  # type: ignore[arg-type]
    x, y, z = pedicle_point(vertebra, side)
    foot = centre - 0.5 * half[2] * np.asarray(axes[2])
    stalk = Limb((x, y, z), vector(foot), (3.5 * scale, 5.0 * scale), (half[0], half[1] * 0.9))
    if flat:
        return [plate, stalk]
    bump = np.add(centre, (side * 2.0, 5.0, -2.0))
    return [plate, stalk, Ellipsoid(vector(bump), (3.5, 4.0, 5.0))]


def _lower_joint(vertebra: PosedVertebra, side: int) -> list[Solid]:
    middle, axes = _joint(vertebra, side, upper=False)
    flat = _lower_facet_angle(vertebra) > 70
    half = (2.2, 5.5, 6.5) if flat else (3.6, 6.0, 8.5)
    scale = vertebra.height / (19.0 if flat else 26.0)
    half = (half[0] * scale, half[1] * scale, half[2] * scale)
    centre = np.subtract(middle, np.multiply(axes[0], half[0] + 0.5 * _JOINT_GAP_MM))
    plate = Plate(vector(centre), half, axes, rounding=0.9 * half[0])  # type: ignore[arg-type]
    wall, size = back_wall(vertebra), vertebra.size
    x = side * 0.42 * size.canal_width
    top: Vector = (x, wall + size.canal_depth + 1.0, pedicle_point(vertebra, side)[2] - 6.0)
    return [
        plate,
        Limb(top, vector(centre), (3.2 * scale, 6.5 * scale), (half[0], half[1]), (0, 1, 0)),
    ]


def _transverse(vertebra: PosedVertebra, side: int) -> list[Solid]:
    x, y, z = pedicle_point(vertebra, side)
    tip = transverse_tip(vertebra, side)
    if vertebra.region == "thoracic":
        if vertebra.name in ("T11", "T12", "T13"):
            return [Limb((x, y, z - 2), tip, (5.0, 5.0), (4.0, 4.5), (0, 1, 0))]
        bulb = Ellipsoid(tip, (5.0, 5.0, 6.0))
        return [Limb((x, y + 2, z - 2), tip, (4.0, 5.5), (3.6, 4.5), (0, 1, 0)), bulb]
    stout = vertebra.name in ("L5", "L6")
    first, last = ((7.0, 8.0), (3.5, 5.0)) if stout else ((4.0, 6.0), (2.2, 4.5))
    start = (0.9 * x, y - (5.0 if stout else 1.0), z - 1.0)
    return [Limb(start, tip, first, last, (0, 1, 0))]


def _spinous(vertebra: PosedVertebra) -> list[Solid]:
    size, variation = vertebra.size, vertebra.variation
    fall = np.deg2rad(size.spinous_slope + variation.spinous_fall_deg)
    turn = np.deg2rad(variation.spinous_turn_deg)
    wall = back_wall(vertebra)
    z = 0.5 * vertebra.height - size.pedicle_height + 1.0
    root = np.array([0.0, wall + size.canal_depth + 1.0, z - 0.1 * vertebra.height])
    reach = size.spinous_length * variation.spinous_stretch
    tip = np.array([0.0, wall + reach * np.cos(fall), -reach * np.sin(fall)])
    tip[0] = np.sin(turn) * (tip[1] - root[1])
    if vertebra.region == "lumbar":
        tall = (0.36 if vertebra.name in ("L5", "L6") else 0.47) * vertebra.height
        end = root + 0.88 * (tip - root)
        blade = Limb(vector(root), vector(end), (3.2, 0.8 * tall), (3.0, tall), cap=3.0)
        edge = Limb(
            vector(end + (0, 0, 0.6 * tall)),
            vector(end - (0, 0.5, 0.75 * tall)),
            (4.0, 3.5),
            (4.6, 4.5),
        )
        return [blade, edge]
    tall = 0.36 * vertebra.height
    middle = root + 0.55 * (tip - root)
    return [
        Limb(vector(root + (0, -1, 1)), vector(middle), (3.6, 1.1 * tall), (2.6, 0.75 * tall)),
        Limb(vector(middle), vector(tip), (2.6, 0.75 * tall), (2.8, 0.5 * tall)),
        Ellipsoid(vector(tip), (3.8, 3.6, 4.2)),
    ]
