"""Soft tissue round the spine: discs, canal with cord, foramina, and the muscles along it."""

from __future__ import annotations

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.phantom.arch import back_wall
from vertseg.phantom.canvas import Organ
from vertseg.phantom.fields import Ellipsoid, Limb, tube, vector
from vertseg.phantom.patch import Frame
from vertseg.phantom.spine import Spine
from vertseg.phantom.tissues import Tissue

FAT_HU = -95.0


def discs(spine: Spine) -> list[Organ]:
    """All intervertebral discs, the last one on the sacrum."""
    organs = []
    for upper, lower in zip(spine.vertebrae[1:], [*spine.vertebrae[2:], None], strict=True):
        size = upper.size
        end = lower.frame.origin if lower else spine.sacrum.origin
        frame = upper.frame
        reach = frame.to_local(end)
        depth = (
            size.depth_lower if lower is None else 0.5 * (size.depth_lower + lower.size.depth_upper)
        )
        width = (
            size.width_lower if lower is None else 0.5 * (size.width_lower + lower.size.width_upper)
        )
        radii = (0.49 * width, 0.49 * depth)
        start, stop = 0.3 * reach, 0.75 * reach
        rod = Limb(vector(start), vector(stop), radii, radii, cap=2.0)
        organs.append(Organ(Tissue.DISC, (rod,), 88.0, frame=frame))
    return organs


def canal_line(spine: Spine) -> tuple[FloatArray, FloatArray]:
    """Middle of the canal (n, 3) LPS mm and its (width, depth) (n, 2), from C1 to the sacrum."""
    points, sizes = [], []
    for vertebra in spine.vertebrae:
        y = back_wall(vertebra) + 0.5 * vertebra.size.canal_depth
        points.append(vertebra.frame.to_lps((0, y, 0)))
        sizes.append((vertebra.size.canal_width, vertebra.size.canal_depth))
    below = np.array([(0, 24.0, 3.0), (0, 22.0, -26.0), (0, 12.0, -50.0)]) * spine.scale
    points += list(spine.sacrum.to_lps(below))
    sizes += [(26.0, 15.0), (20.0, 11.0), (10.0, 6.0)]
    return np.array(points), np.array(sizes)


def canal_contents(spine: Spine) -> list[Organ]:
    """Epidural fat, thecal sac and cord."""
    points, sizes = canal_line(spine)
    back = spine.vertebrae[10].frame.axes[1]
    flat = np.tile((1.0, 0, 0), (len(points), 1))
    sac = np.maximum(0.5 * sizes - np.linspace((1.6, 1.4), (3.6, 2.6), len(sizes)), 2.0)
    cord_end = next(i for i, v in enumerate(spine.vertebrae) if v.name == "L1") + 1
    cord = np.minimum(0.5 * sizes[:cord_end] - 3.0, (6.0, 4.3))
    cord[-1] = (2.0, 2.0)
    return [
        Organ(Tissue.FAT, tuple(tube(points, 0.62 * sizes, flat)), -50.0, rigid=True),
        Organ(Tissue.CORD, tuple(tube(points - 0.8 * back, sac, flat)), 20.0, rigid=True),
        Organ(Tissue.CORD, tuple(tube(points[:cord_end], cord, flat[:cord_end])), 40.0, rigid=True),
    ]


def foramina(spine: Spine) -> list[Organ]:
    """Fat round the nerve roots beside the canal, with the root inside."""
    organs = []
    for vertebra in spine.vertebrae[2:]:
        if vertebra.region == "cervical":
            continue
        wall, size = back_wall(vertebra), vertebra.size
        for side in (1, -1):
            x, z = 0.5 * size.canal_width, -0.42 * vertebra.gap_below
            fat = Limb(
                (side * (x - 1), wall + 4, z),
                (side * (x + 7), wall + 3, z),
                (4, 6),
                (4.5, 7),
                (0, 1, 0),
            )
            root = Ellipsoid((side * (x + 4), wall + 3.5, z + 2), (5.0, 2.0, 2.2))
            organs.append(Organ(Tissue.FAT, (fat,), FAT_HU + 10, frame=vertebra.frame))
            organs.append(Organ(Tissue.CORD, (root,), 35.0, frame=vertebra.frame))
    return organs


def long_muscles(spine: Spine, bulk: float) -> list[Organ]:
    """Psoas, quadratus lumborum and erector spinae, each within a thin layer of fat.

    Args:
        spine: the spine that they run along.
        bulk: thickness against the mean.
    """
    organs = []
    for side in (1, -1):
        for course, radii in (
            _psoas(spine, side),
            _quadratus(spine, side),
            *_erectors(spine, side),
        ):
            flat = np.tile((1.0, 0, 0), (len(course), 1))
            grown = np.array(radii) * bulk
            organs.append(Organ(Tissue.FAT, tuple(tube(course, grown + 0.9, flat)), -60.0))
            organs.append(Organ(Tissue.MUSCLE, tuple(tube(course, grown, flat)), 56.0))
    return organs


def gluteal_muscles(spine: Spine) -> list[Organ]:
    """The three muscles of the buttock, each within its fat."""
    base, s, organs = spine.sacrum.origin, spine.scale, []
    for side in (1, -1):
        bellies = (
            ([(118, -6, 20), (135, -6, -50), (150, -22, -110)], [(10, 40), (20, 42), (12, 20)]),
            ([(104, 14, -20), (120, 2, -62), (142, -20, -112)], [(6, 26), (13, 30), (8, 12)]),
            ([(40, 72, -45), (88, 62, -90), (140, 20, -160)], [(30, 12), (40, 24), (26, 18)]),
        )
        for course, radii in bellies:
            line = base + np.array(course) * (side * s, s, s)
            thin = np.tile((side * 0.6, 0.8, 0.0), (3, 1)) if course[0][1] < 50 else None
            belly = np.array(radii) * s
            organs.append(Organ(Tissue.FAT, tuple(tube(line, belly + 1.8, thin)), -85.0))
            organs.append(Organ(Tissue.MUSCLE, tuple(tube(line, belly, thin)), 55.0))
    return organs


def _along(spine: Spine, places: list[tuple[str, float, float]]) -> FloatArray:
    """LPS points given beside vertebrae as (name, x, y); levels that are missing are left out."""
    frames: dict[str, Frame] = {v.name: v.frame for v in spine.vertebrae}
    frames["S1"] = Frame(spine.sacrum.origin, np.eye(3))
    points = [frames[n].to_lps((x, y, 0)) for n, x, y in places if n in frames]
    return np.array(points)


Course = tuple[FloatArray, list[tuple[float, float]]]


def _psoas(spine: Spine, side: int) -> Course:
    places = [
        ("L1", 25, 6),
        ("L2", 31, 6),
        ("L3", 36, 4),
        ("L4", 41, -2),
        ("L5", 48, -12),
        ("S1", 58, -34),
    ]
    if not any(v.name == "L5" for v in spine.vertebrae):
        places[4] = ("L4", 46, -8)
    upper = _along(spine, [(n, side * x, y) for n, x, y in places])
    lower = upper[-1] + np.array(
        [(side * 14, -22, -50), (side * 26, -24, -100), (side * 44, 2, -150)]
    )
    radii = [(6, 8), (10, 12), (14, 16), (17, 19), (19, 19), (17, 17), (16, 16), (14, 14), (9, 9)]
    return np.vstack([upper, lower]), [(float(a), float(b)) for a, b in radii]


def _quadratus(spine: Spine, side: int) -> Course:
    places = [("L1", 38, 26), ("L2", 52, 28), ("L3", 62, 30), ("L4", 70, 34)]
    return _along(spine, [(n, side * x, y) for n, x, y in places]), [
        (10, 6),
        (15, 8),
        (18, 9),
        (18, 9),
    ]


def _erectors(spine: Spine, side: int) -> list[Course]:
    """Longissimus with iliocostalis, and multifidus."""
    outer, outer_radii, inner, inner_radii = [], [], [], []
    for vertebra in spine.vertebrae[8::2]:
        lumbar = vertebra.region == "lumbar"
        depth = back_wall(vertebra) + vertebra.size.canal_depth
        outer.append(vertebra.frame.to_lps((side * (38 if lumbar else 30), depth + 14, 0)))
        outer_radii.append((25.0, 15.0) if lumbar else (18.0, 9.0))
        inner.append(vertebra.frame.to_lps((side * (12 if lumbar else 10), depth + 15, 0)))
        inner_radii.append((8.0, 14.0) if lumbar else (6.0, 8.0))
    outer.append(spine.sacrum.to_lps((side * 30, 34, -25)))
    inner.append(spine.sacrum.to_lps((side * 10, 34, -25)))
    return [
        (np.array(outer), [*outer_radii, (18.0, 8.0)]),
        (np.array(inner), [*inner_radii, (7.0, 6.0)]),
    ]
