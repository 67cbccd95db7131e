"""Ribs with their cartilages, sternum, clavicles, shoulder blades and upper arm bones."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from vertseg.geometry.grid import FloatArray
from vertseg.phantom.arch import transverse_tip
from vertseg.phantom.bone import Bone
from vertseg.phantom.fields import Ellipsoid, Limb, Solid, tube, vector
from vertseg.phantom.spine import PosedVertebra, Spine
from vertseg.phantom.tissues import Tissue, rib_label
from vertseg.phantom.torso import Torso

# Rib: angle of the front end from straight behind (degrees), fall from back to front (mm),
# half height of the section (mm).
_RIBS: tuple[tuple[float, float, float], ...] = (
    (146, 34, 3.0),
    (150, 58, 4.5),
    (152, 76, 5.5),
    (152, 90, 6.0),
    (150, 100, 6.2),
    (146, 110, 6.4),
    (139, 120, 6.5),
    (126, 122, 6.5),
    (114, 116, 6.3),
    (99, 104, 6.0),
    (70, 66, 5.5),
    (40, 30, 4.8),
    (26, 14, 3.5),
)


def rib_bones(spine: Spine, torso: Torso) -> list[Bone]:
    """All ribs and costal cartilages."""
    bones = []
    thoracic = [v for v in spine.vertebrae if v.region == "thoracic"]
    for number, vertebra in enumerate(thoracic, 1):
        for side in (1, -1):
            path = _rib_path(vertebra, number, side, torso, spine.scale)
            bones.append(
                Bone(rib_label(number, side), _rib_solids(path, number, torso), 190.0, 0.9)
            )
            if number <= 10:
                bones.append(_cartilage(path[-1], number, side, torso))
    return bones


def _rib_path(
    vertebra: PosedVertebra, number: int, side: int, torso: Torso, scale: float
) -> FloatArray:
    """(n, 3) course of a rib from its head to its front end, LPS mm."""
    end, fall, _ = _RIBS[number - 1]
    size, height = vertebra.size, vertebra.height
    lift = 0.48 if 2 <= number <= 9 else 0.2
    head = vertebra.frame.to_lps(
        (side * 0.47 * size.width_upper, 0.36 * size.depth_upper, lift * height)
    )
    tip = np.array(transverse_tip(vertebra, side))
    forward = (side * 3.0, -8.0, 1.0) if number <= 10 else (side * 10.0, -5.0, 0.0)
    tubercle = vertebra.frame.to_lps(tip + forward)
    start = 26.0 if number > 1 else 50.0
    angles = np.linspace(start, max(end, start + 6), 2 + int(max(end - start, 10) // 16))
    share = (angles - angles[0]) / (angles[-1] - angles[0])
    first = tubercle[2] - 0.12 * fall * scale
    heights = first - 0.88 * fall * scale * share**1.15
    wall = [torso.surface("cavity", side * a, z, 5.0) for a, z in zip(angles, heights, strict=True)]
    return _smooth(np.vstack([head, tubercle, *wall]))


def _smooth(points: FloatArray) -> FloatArray:
    """The points resampled every 11 mm along a cubic spline."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    curve = CubicSpline(along, points, axis=0)
    return np.asarray(curve(np.linspace(0, along[-1], 2 + int(along[-1] // 11))))


def _outward(points: FloatArray, torso: Torso) -> FloatArray:
    """(n, 3) horizontal directions away from the middle of the chest."""
    middle = (
        np.array(
            [
                torso.surface("cavity", 0, z, 0) + torso.surface("cavity", 180, z, 0)
                for z in points[:, 2]
            ]
        )
        / 2
    )
    away = points - middle
    away[:, 2] = 0.15 * np.linalg.norm(away, axis=1)
    return away / np.linalg.norm(away, axis=1, keepdims=True)


def _rib_solids(path: FloatArray, number: int, torso: Torso) -> tuple[Solid, ...]:
    half = _RIBS[number - 1][2]
    thick = 3.0 if number < 11 else 2.7
    first = (7.0, 3.0) if number == 1 else (thick, half)  # the first rib lies flat
    radii = np.tile(first, (len(path), 1))
    radii[:3] = np.minimum(radii[:3], (3.6, 4.6))
    radii[0] = (4.5, 5.0)
    if number >= 11:
        radii[-2:] *= 0.7
    return tuple(tube(path, radii, _outward(path, torso)))


def _sternum_path(torso: Torso) -> FloatArray:
    """(n, 3) middle of the sternum from the notch downwards, LPS mm."""
    heights = np.linspace(torso.level_to_z(10.0), torso.level_to_z(16.2), 9)
    return np.array([torso.surface("cavity", 180, z, 7.0) for z in heights])


def _cartilage(end: FloatArray, number: int, side: int, torso: Torso) -> Bone:
    sternum = _sternum_path(torso)
    if number <= 7:
        place = (0.06, 0.24, 0.42, 0.56, 0.70, 0.82, 0.90)[number - 1] * (len(sternum) - 1)
        target = np.array([np.interp(place, range(len(sternum)), sternum[:, a]) for a in range(3)])
        target = target + (side * (24.0 if number == 1 else 17.0), 0, 0)
    else:
        rise = torso.surface("cavity", side * (148 - 9 * (number - 8)), end[2] + 25, 5.0)
        target = rise
    angle = 0.5 * (_angle_of(end, torso) + _angle_of(target, torso))
    low = 0.65 * end[2] + 0.35 * target[2] - (8.0 if number > 4 else 2.0)
    middle = torso.surface("cavity", angle, low, 5.0)
    path = _smooth(np.vstack([end, middle, target]))
    radii = np.tile((3.6, 5.5), (len(path), 1))
    solids = tuple(tube(path, radii, _outward(path, torso)))
    return Bone(Tissue.COSTAL_CARTILAGE, solids, 95.0, 0.0)


def _angle_of(point: FloatArray, torso: Torso) -> float:
    """Degrees from straight behind, as `Torso.surface` counts."""
    behind, ahead = (torso.surface("cavity", a, float(point[2]), 0) for a in (0, 180))
    side = torso.surface("cavity", 90, float(point[2]), 0)
    middle = 0.5 * (behind + ahead)
    x = (point[0] - middle[0]) / (side[0] - middle[0])
    return float(np.rad2deg(np.arctan2(x, (point[1] - middle[1]) / (behind[1] - middle[1]))))


def sternum_bone(torso: Torso) -> Bone:
    """Manubrium, body and xiphoid process."""
    path = _sternum_path(torso)
    width = np.array([28, 27, 20, 16, 16, 18, 18, 13, 6], dtype=np.float64)
    radii = np.stack([np.full(len(path), 5.0), width], axis=1)
    return Bone(
        Tissue.STERNUM, tuple(tube(path, radii, np.tile((0, 1, 0), (len(path), 1)))), 140, 0.8
    )


def shoulder_bones(torso: Torso) -> list[Bone]:
    """Clavicles, shoulder blades, and the heads of the raised upper arm bones."""
    bones = []
    for side in (1, -1):
        top = _sternum_path(torso)[0]
        glenoid = torso.surface("cavity", side * 82, torso.level_to_z(9.6), 46.0)
        acromion = glenoid + (side * 12, 14, 32)
        collar = _smooth(
            np.vstack(
                [
                    top + (side * 24, 0, 6),
                    top + (side * 62, -4, 16),
                    top + (side * 105, 30, 28),
                    acromion,
                ]
            )
        )
        bones.append(
            Bone(Tissue.CLAVICLE, tuple(tube(collar, np.full((len(collar), 1), 6.0))), 200, 1.6)
        )
        bones.append(Bone(Tissue.SCAPULA, _scapula(side, glenoid, acromion, torso), 170, 0.9))
        head = glenoid + (side * 24, -2, 6)
        shaft = Limb(vector(head), vector(head + (side * 48, -15, 150)), (13, 13), (11, 11))
        bones.append(Bone(Tissue.HUMERUS, (Ellipsoid(vector(head), (22, 22, 22)), shaft), 160, 2.0))
    return bones


def _scapula(
    side: int, glenoid: FloatArray, acromion: FloatArray, torso: Torso
) -> tuple[Solid, ...]:
    def on_chest(angle: float, level: float) -> FloatArray:
        return torso.surface("cavity", side * angle, torso.level_to_z(level), 21.0)

    upper, root, lower = on_chest(36, 9.4), on_chest(36, 10.6), on_chest(50, 15.2)
    neck = glenoid - (side * 10, -6, 6)
    normal = vector(_outward(on_chest(50, 12)[None], torso)[0])
    blade: list[Solid] = []
    for share in np.linspace(0.05, 0.95, 9):
        medial = upper + share * (lower - upper)
        lateral = neck + share * (lower - neck)
        blade.append(Limb(vector(medial), vector(lateral), (1.6, 8.0), (2.2, 7.0), normal, cap=3.0))
    border = Limb(vector(neck), vector(lower), (5.0, 5.0), (3.5, 4.0))
    ridge = tube(
        np.vstack([root, 0.5 * (root + acromion) + (0, 12, 0), acromion]),
        np.array([(3.0, 4.0), (3.0, 6.0), (5.0, 7.0)]),
        np.tile((0, 0.3, 1), (3, 1)),
    )
    knob = Ellipsoid(vector(glenoid), (7.0, 14.0, 17.0))
    return (*blade, border, *ridge, knob, Limb(vector(neck), vector(glenoid), (8, 8), (9, 12)))
