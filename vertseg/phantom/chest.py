"""Lungs with their vessels, diaphragm, heart, airways, gullet; and the soft parts of the neck."""

from __future__ import annotations

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.phantom.canvas import Canvas, Organ
from vertseg.phantom.fields import Array, Ellipsoid, Solid, tube, unit, vector
from vertseg.phantom.patch import Patch
from vertseg.phantom.spine import Spine
from vertseg.phantom.tissues import Tissue

_DOMES = ((-58.0, 16.3), (60.0, 16.8))  # x of each dome, level of its top


def _place(spine: Spine, level: float, x: float, y: float) -> FloatArray:
    return spine.point(level) + np.array([x, y, 0.0]) * spine.scale


def dome_height(patch: Patch, spine: Spine) -> Array:
    """Signed distance (x, y, z) above the diaphragm, about, mm; `patch` is in LPS mm."""
    heights = []
    for x, level in _DOMES:
        top = _place(spine, level, x, -52.0)
        u = (patch.x - np.float32(top[0])) / np.float32(66 * spine.scale)
        v = (patch.y - np.float32(top[1])) / np.float32(76 * spine.scale)
        heights.append(np.float32(top[2]) - np.float32(40 * spine.scale) * (u * u + v * v))
    return patch.z - np.maximum(
        np.maximum(heights[0], heights[1]), np.float32(spine.point(20.2)[2])
    )


def mediastinum(spine: Spine) -> tuple[Solid, ...]:
    """What lies between the lungs: heart, great vessels and fat."""
    s = spine.scale
    upper = tube(
        [_place(spine, 8, 0, -20), _place(spine, 10.5, 2, -44), _place(spine, 13, 2, -60)],
        np.array([(28, 22), (30, 38), (26, 58)]) * s,
        np.tile((1, 0, 0), (3, 1)),
    )
    lower = tube(
        [_place(spine, 13, 2, -40), _place(spine, 17, 6, -34), _place(spine, 19, 6, -30)],
        np.array([(24, 40), (20, 34), (20, 32)]) * s,
        np.tile((1, 0, 0), (3, 1)),
    )
    return (*upper, *lower, *_heart(spine))


def _heart(spine: Spine, coat_mm: float = 0.0) -> tuple[Solid, ...]:
    s = spine.scale * (1 + coat_mm / 45)
    up = unit((-0.5, 0.35, 0.75))
    across = unit(np.cross((0, 1, 0), up))
    axes = (vector(across), vector(np.cross(up, across)), vector(up))
    ventricle = Ellipsoid(vector(_place(spine, 15.2, 26, -84)), (44 * s, 42 * s, 58 * s), axes)
    atrium = Ellipsoid(vector(_place(spine, 14.3, -14, -62)), (38 * s, 34 * s, 40 * s))
    return ventricle, atrium


def lung_distance(patch: Patch, cavity: Array, spine: Spine) -> Array:
    """Signed distance (x, y, z) to the lungs, bones not considered, mm; `patch` is in LPS mm."""
    top = np.float32(spine.point(8.6)[2])
    lung = np.maximum(cavity + np.float32(2.5), -0.8 * dome_height(patch, spine))
    lung = np.maximum(lung, patch.z - top)
    return np.maximum(lung, -patch.fuse(mediastinum(spine), 8.0, margin=12.0))


def paint_lungs(
    canvas: Canvas, lung: Array, gravity: Array, spine: Spine, rng: np.random.Generator
) -> None:
    """Fill the lungs, and the lungs with vessels.

    Args:
        canvas: where to paint.
        lung: signed distance (x, y, z) to the lungs, mm.
        gravity: (x, y, z), or 1 voxel along some axes: -1 in front, 1 behind, where lung is denser.
        spine: places the vessels.
        rng: draws the vessels.
    """
    trees = _vessel_trees(spine, rng)
    if lung.min() > 0:
        return
    slices = tuple(slice(0, n) for n in lung.shape)
    canvas.fill(slices, lung, np.float32(-858) + 38 * gravity, Tissue.LUNG)  # type: ignore[arg-type]
    inside = canvas.labels == Tissue.LUNG
    before = canvas.hu.copy()
    for solids in trees:
        canvas.paint(Organ(Tissue.LUNG, solids, 35.0, fillet=0.5))
    canvas.hu[~inside] = before[~inside]


def _vessel_trees(spine: Spine, rng: np.random.Generator) -> list[tuple[Solid, ...]]:
    trees = []
    for side in (1, -1):
        hilum = _place(spine, 13.2, side * 34, -46)
        for number in range(22):
            height = 0.9 - 1.8 * number / 21
            turn = 2.4 * number + rng.uniform(-0.3, 0.3)
            flat = np.sqrt(1 - height * height)
            aim = np.array(
                [side * (0.45 + 0.55 * abs(np.cos(turn))) * flat, np.sin(turn) * flat, height]
            )
            trunk = _wander(rng, hilum, aim, 110.0 * spine.scale)
            tree: list[Solid] = list(tube(trunk, np.linspace(3.6, 0.9, len(trunk))))
            for start in trunk[2:-1]:
                twig = _wander(rng, start, unit(aim + 0.8 * rng.normal(0, 1, 3)), 45.0)
                tree += tube(twig, np.linspace(1.5, 0.6, len(twig)))
            trees.append(tuple(tree))
    return trees


def _wander(
    rng: np.random.Generator, start: FloatArray, aim: FloatArray, length: float
) -> FloatArray:
    """(n, 3) points of a winding path."""
    count = 2 + int(length // 14)
    steps = aim + 0.35 * rng.normal(0, 1, (count, 3))
    steps *= length / count / np.linalg.norm(steps, axis=1, keepdims=True)
    return np.vstack([start, start + np.cumsum(steps, axis=0)])


def chest_organs(spine: Spine, blood_hu: float) -> list[Organ]:
    """Heart, lung arteries, gullet, windpipe."""
    s = spine.scale
    trachea = [
        _place(spine, *p) for p in [(6, 0, -30), (8, 0, -32), (10, -1, -32), (12.2, -2, -34)]
    ]
    organs = [
        Organ(Tissue.FAT, _heart(spine, 5.0), -85.0, 10.0),
        Organ(Tissue.HEART, _heart(spine), 0.95 * blood_hu, 10.0),
        Organ(
            Tissue.HEART,
            tuple(
                tube(
                    [
                        _place(spine, 13.4, 24, -64),
                        _place(spine, 12.8, 6, -46),
                        _place(spine, 13.0, -30, -46),
                    ],
                    [13, 12, 9],
                )
            ),
            blood_hu,
        ),
        Organ(
            Tissue.VENA_CAVA,
            tuple(
                tube([_place(spine, 10, -18, -48), _place(spine, 13.5, -24, -52)], [8 * s, 9 * s])
            ),
            blood_hu,
        ),
        Organ(
            Tissue.OESOPHAGUS,
            tuple(
                tube(
                    [
                        _place(spine, *p)
                        for p in [
                            (6, 2, -16),
                            (9, 4, -22),
                            (12, 4, -26),
                            (16, 8, -32),
                            (18, 18, -38),
                        ]
                    ],
                    [(8, 5), (9, 6), (9, 6), (9, 7), (9, 8)],
                    [(1, 0, 0)] * 5,
                )
            ),
            38.0,
        ),
    ]
    for side in (1, -1):
        bronchus = [trachea[-1], _place(spine, 13.4, side * 36, -44)]
        organs.append(Organ(Tissue.AIRWAY, tuple(tube(bronchus, [8.5, 7.5])), 30.0))
        organs.append(Organ(Tissue.AIRWAY, tuple(tube(bronchus, [6.5, 5.5])), -980.0))
    organs.append(Organ(Tissue.AIRWAY, tuple(tube(trachea, [10.5 * s] * 4)), 50.0))
    organs.append(Organ(Tissue.AIRWAY, tuple(tube(trachea, [8.5 * s] * 4)), -995.0))
    return organs


def neck_organs(spine: Spine, blood_hu: float) -> list[Organ]:
    """Throat, thyroid, vessels, and the fat between the muscles of the neck."""
    throat = [_place(spine, lv, 0, y) for lv, y in ((0.6, -25), (2, -22), (4, -24), (6, -30))]
    organs = [
        Organ(Tissue.MUSCLE, tuple(tube(throat, [(18, 8)] * 4, [(1, 0, 0)] * 4)), 50.0),
        Organ(
            Tissue.AIRWAY,
            tuple(tube(throat, [(13, 5), (12, 5), (10, 5), (8, 8)], [(1, 0, 0)] * 4)),
            -980,
        ),
        Organ(
            Tissue.THYROID,
            tuple(tube([_place(spine, 6.2, 0, -44), _place(spine, 7, 0, -40)], [12, 10])),
            60,
        ),
    ]
    for side in (1, -1):
        space = [
            _place(spine, lv, side * x, y)
            for lv, x, y in ((1, 38, -14), (3, 36, -16), (5, 36, -18), (7, 40, -18), (8.5, 46, -14))
        ]
        sterno = [
            _place(spine, lv, side * x, y)
            for lv, x, y in ((1, 50, 4), (3, 46, -16), (5, 42, -30), (7.5, 26, -44))
        ]
        vessel = [
            _place(spine, lv, side * x, y)
            for lv, x, y in ((1, 28, -16), (4, 27, -20), (8, 18, -30))
        ]
        organs += [
            Organ(Tissue.FAT, tuple(tube(space, [(12, 14)] * 5, [(1, 0, 0)] * 5)), -85.0),
            Organ(Tissue.FAT, tuple(tube(sterno, [10.5] * 4)), -85.0),
            Organ(Tissue.MUSCLE, tuple(tube(sterno, [8.5] * 4)), 58.0),
            Organ(Tissue.AORTA, tuple(tube(vessel, [3.6] * 3)), blood_hu),
            Organ(
                Tissue.VENA_CAVA,
                tuple(tube(np.array(vessel) + (side * 9, 3, 0), [5.5] * 3)),
                blood_hu,
            ),
        ]
    return organs
