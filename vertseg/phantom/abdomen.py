"""Organs of the belly and the great vessels, placed by the levels of the spine."""

from __future__ import annotations

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.phantom.canvas import Organ
from vertseg.phantom.fields import Ellipsoid, Limb, Solid, tube, unit, vector
from vertseg.phantom.spine import Spine
from vertseg.phantom.tissues import Tissue
from vertseg.phantom.torso import Torso


def _place(spine: Spine, level: float, x: float, y: float) -> FloatArray:
    """LPS point beside the spine's course, offsets scaled to the subject."""
    return spine.point(level) + np.array([x, y, 0.0]) * spine.scale


def great_vessels(spine: Spine, blood_hu: float) -> list[Organ]:
    """Aorta with arch and iliac branches, and the caval veins."""
    scale = spine.scale
    course = [
        (12.2, 6, -66),
        (11.0, 2, -62),
        (10.4, 10, -48),
        (10.6, 20, -28),
        (11.6, 24, -14),
        (14, 22, -20),
        (16, 15, -27),
        (18, 8, -30),
        (20, 6, -32),
        (22, 6, -33),
        (23.3, 3, -33),
    ]
    aorta = np.array([_place(spine, *p) for p in course])
    radii = np.array([15, 14.5, 13.5, 12.5, 12, 11.5, 11, 10.5, 9.5, 8.8, 8.2]) * scale
    vein = np.array(
        [
            _place(spine, *p)
            for p in [
                (15.6, -22, -52),
                (17, -24, -44),
                (19, -20, -36),
                (21, -17, -33),
                (23.6, -12, -30),
            ]
        ]
    )
    wide = np.array([(11, 11), (12, 10), (11, 9), (11, 8), (9, 7)]) * scale
    flat = np.tile((1.0, 0, 0), (5, 1))
    organs = [
        Organ(Tissue.VENA_CAVA, tuple(tube(vein, wide, flat)), blood_hu * 0.9),
        Organ(Tissue.AORTA, tuple(tube(aorta, radii)), blood_hu),
    ]
    for side in (1, -1):
        branch = np.array(
            [
                _place(spine, *p)
                for p in [(23.3, 2, -33), (24.3, side * 24, -34), (25.4, side * 44, -36)]
            ]
        )
        branch = np.vstack([branch, branch[-1] + (side * 18, -40, -70)])
        organs.append(Organ(Tissue.AORTA, tuple(tube(branch, [7, 6, 5.5, 5])), blood_hu))
        veins = np.vstack([vein[-1:], branch[1:] + (-side * 2, 13, -4)])
        organs.append(Organ(Tissue.VENA_CAVA, tuple(tube(veins, [7, 7, 6.5, 6])), blood_hu * 0.9))
    return organs


def aortic_plaques(rng: np.random.Generator, spine: Spine, amount: int) -> list[Organ]:
    """Calcified spots on the wall of the abdominal aorta."""
    organs = []
    for _ in range(amount):
        angle = rng.uniform(0, 2 * np.pi)
        spot = _place(spine, rng.uniform(19, 23.2), 6 + 9 * np.cos(angle), -32 + 9 * np.sin(angle))
        solid = Ellipsoid(vector(spot), (2.2, 1.4, rng.uniform(2, 5)))
        organs.append(Organ(Tissue.AORTA, (solid,), float(rng.uniform(350, 800))))
    return organs


def solid_organs(spine: Spine, torso: Torso, blood_hu: float) -> list[Organ]:
    """Liver, spleen, stomach, pancreas-like fold and kidneys."""
    s, rise = spine.scale, 0.35 * (blood_hu - 42)
    girth = torso.habitus.girth
    liver = (
        Ellipsoid(vector(_place(spine, 18.0, -68 * girth, -38)), (72 * s, 92 * s, 82 * s)),
        Ellipsoid(vector(_place(spine, 17.8, -5, -86)), (68 * s, 42 * s, 40 * s)),
    )
    spleen = Ellipsoid(vector(_place(spine, 18.2, 98 * girth, 8)), (26 * s, 46 * s, 48 * s))
    stomach = (
        Ellipsoid(vector(_place(spine, 18.3, 58, -48)), (40 * s, 42 * s, 50 * s)),
        Ellipsoid(vector(_place(spine, 19.6, 22, -84)), (48 * s, 24 * s, 26 * s)),
    )
    filling = tuple(Ellipsoid(e.centre, tuple(r - 4.5 for r in e.radii)) for e in stomach)  # type: ignore[arg-type]
    bubble = np.asarray(stomach[0].centre) + (0, -24 * s, 4)
    organs = [
        Organ(Tissue.LIVER, liver, 58 + rise, 8.0, inside=3.0),
        Organ(Tissue.SPLEEN, (spleen,), 48 + rise, inside=3.0),
        Organ(Tissue.STOMACH, stomach, 42, 8.0, inside=3.0),
        Organ(Tissue.STOMACH, filling, 14, 8.0, inside=8.0),
        Organ(
            Tissue.STOMACH, (Ellipsoid(vector(bubble), (26 * s, 11 * s, 28 * s)),), -980, inside=9.0
        ),
    ]
    for side in (1, -1):
        organs += _kidney(spine, side, 32 + 1.2 * rise)
    return organs


def _kidney(spine: Spine, side: int, hu: float) -> list[Organ]:
    s = spine.scale
    centre = _place(spine, 20.6 if side > 0 else 21.0, side * 62, 12)
    up = unit((-side * 0.28, 0.22, 1.0))
    across = unit(np.cross((0, 1, 0), up))
    axes = (vector(across), vector(np.cross(up, across)), vector(up))
    sinus = vector(centre + (-side * 13, -5, 0))
    whole = Ellipsoid(vector(centre), (26 * s, 25 * s, 54 * s), axes)
    return [
        Organ(Tissue.KIDNEY, (whole,), hu),
        Organ(Tissue.FAT, (Ellipsoid(sinus, (16 * s, 9 * s, 26 * s), axes),), -70.0),
        Organ(
            Tissue.KIDNEY,
            (Limb(sinus, vector(np.add(sinus, (-side * 12, -3, -12))), (5, 7), (4, 4)),),
            15.0,
        ),
    ]


def bowels(rng: np.random.Generator, spine: Spine, torso: Torso) -> list[Organ]:
    """Colon with stool and gas, loops of small bowel, and vessels of their mesentery."""
    organs: list[Organ] = []
    for _ in range(42):
        start = _place(spine, rng.uniform(20, 26.5), rng.uniform(-80, 80), rng.uniform(-96, -46))
        steps = rng.normal(0, 1, (4, 3)) * (24, 9, 14)
        loop = start + np.cumsum(np.vstack([np.zeros(3), steps]), axis=0)
        radius = rng.uniform(9, 14)
        organs.append(Organ(Tissue.BOWEL, tuple(tube(loop, [radius] * 5)), 45.0, inside=12.0))
        inside = float(rng.choice([15.0, 30.0, 60.0, 220.0], p=[0.5, 0.25, 0.2, 0.05]))
        organs.append(Organ(Tissue.BOWEL, tuple(tube(loop, [radius - 3] * 5)), inside, inside=14.0))
    for _ in range(50):
        start = _place(spine, rng.uniform(19.5, 25.5), rng.uniform(-40, 40), rng.uniform(-75, -45))
        end = start + rng.normal(0, 1, 3) * (30, 14, 30)
        vessel = Limb(vector(start), vector(end), (2.0, 2.0), (1.2, 1.2))
        organs.append(Organ(Tissue.FAT, (vessel,), 50.0, inside=10.0))
    girth = torso.habitus.girth
    for course in (
        [(24.6, -92, -30), (23.0, -96, -16), (21.4, -92, -14), (20.6, -84, -40)],
        [(20.4, -80, -70), (21.0, -40, -94), (21.4, 0, -98), (20.6, 50, -90), (19.4, 88, -50)],
        [(19.4, 100, -24), (21.5, 104, -6), (23.5, 102, -6), (25.2, 92, -22), (26.5, 40, -20)],
    ):
        line = np.array([_place(spine, lv, x * girth, y) for lv, x, y in course])
        organs += _colon(rng, line)
    return organs


def _colon(rng: np.random.Generator, line: FloatArray) -> list[Organ]:
    """A stretch of colon with its pouches: wall, stool, and gas that rises to the front."""
    along = np.linspace(0, len(line) - 1, 8 * len(line))
    points = np.stack([np.interp(along, range(len(line)), line[:, a]) for a in range(3)], axis=1)
    points += rng.normal(0, 1.5, points.shape)
    radii = (
        rng.uniform(15, 19)
        + 3.0 * np.sin(along * 7.0 + rng.uniform(0, 6))
        + rng.normal(0, 1, len(along))
    )
    organs = [
        Organ(Tissue.BOWEL, tuple(tube(points, radii)), 40.0, inside=5.0),
        Organ(
            Tissue.BOWEL, tuple(tube(points, radii - 2.5)), float(rng.uniform(-60, 50)), inside=7.5
        ),
    ]
    gas: list[Solid] = []
    for point, radius in zip(points, radii, strict=True):
        if rng.random() < 0.45:
            size = rng.uniform(0.35, 0.7) * radius
            gas.append(Ellipsoid(vector(point + (0, -0.35 * radius, 0)), (size, 0.7 * size, size)))
        for _ in range(3):
            gas.append(Ellipsoid(vector(point + rng.normal(0, 0.4 * radius, 3)), (2.0, 1.6, 2.0)))
    return [*organs, Organ(Tissue.BOWEL, tuple(gas), -920.0, inside=9.0)]


def pelvic_organs(spine: Spine) -> list[Organ]:
    """Bladder, rectum and gluteal fat planes."""
    base = spine.sacrum.origin
    bladder = Ellipsoid(vector(base + (0, -52, -100)), (42, 34, 34))
    rectum = base + np.array([(0, 32, -62), (4, 30, -90), (0, 8, -125)])
    return [
        Organ(Tissue.BLADDER, (bladder,), 40.0, inside=2.0),
        Organ(Tissue.BLADDER, (Ellipsoid(bladder.centre, (39, 31, 31)),), 6.0, inside=5.0),
        Organ(Tissue.BOWEL, tuple(tube(rectum, [17, 18, 12])), 42.0, inside=0.0),
        Organ(Tissue.BOWEL, tuple(tube(rectum, [8, 11, 4])), -400.0, inside=3.0),
    ]
