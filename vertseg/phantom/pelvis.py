"""Sacrum, coccyx, hip bones and the upper ends of the thigh bones."""

from __future__ import annotations

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.phantom.bone import Bone
from vertseg.phantom.fields import Ellipsoid, Limb, Plate, Solid, tube, unit, vector
from vertseg.phantom.modifiers import Difference
from vertseg.phantom.patch import Frame
from vertseg.phantom.spine import Spine
from vertseg.phantom.tissues import Tissue
from vertseg.phantom.vertebral_body import VertebralBody

# Sacral segments S1-S5: length, bend towards the front (degrees), half width and half depth of the
# fused bodies, half width and half thickness of the lateral mass, mm; figures of an adult.
_SEGMENTS = np.array(
    [
        (29.0, 4.0, 23.0, 15.0, 52.0, 12.5),
        (23.0, 12.0, 18.0, 11.0, 48.0, 11.0),
        (19.0, 30.0, 15.0, 8.5, 40.0, 8.0),
        (16.0, 50.0, 13.0, 7.0, 30.0, 6.0),
        (13.0, 64.0, 11.0, 5.5, 20.0, 4.5),
    ]
)


def pelvic_bones(spine: Spine) -> list[Bone]:
    """Sacrum, coccyx, hip bones and thigh bones."""
    places = _segment_places(spine.scale)
    bones = [_sacrum(spine, places), _coccyx(spine, places[-1])]
    level = Frame(spine.sacrum.origin, np.eye(3))
    for side in (1, -1):
        bones += [_hip(level, side, spine.scale), _femur(level, side, spine.scale)]
    return bones


def _segment_places(scale: float) -> FloatArray:
    """(6, 3) centres of S1 .. S5 and the sacral tip in the sacral frame, mm."""
    bends = np.deg2rad(_SEGMENTS[:, 1])
    steps = np.stack([np.zeros(5), -np.sin(bends), -np.cos(bends)], axis=1)
    return np.vstack([np.zeros(3), np.cumsum(steps * _SEGMENTS[:, :1] * scale, axis=0)])


def _sacrum(spine: Spine, places: FloatArray) -> Bone:
    scale = spine.scale
    solids: list[Solid] = [_first_body(scale)]
    widths = _SEGMENTS[:, 2:4] * scale
    for i in range(4):
        start = places[i] if i else places[0] + (0, 0, -6 * scale)
        solids += tube([start, places[i + 1]], widths[i : i + 2, ::-1], [(0, 1, 0)] * 2)
    for side in (1, -1):
        solids += _wing(places, side, scale) + _upper_facet(spine, side)
    return Bone(
        Tissue.SACRUM,
        (*solids, *_roof(places, scale)),
        130.0,
        0.7,
        cuts=tuple(_sacral_cuts(places, scale)),
        fillet=5.0,
        frame=spine.sacrum,
    )


def _first_body(scale: float) -> VertebralBody:
    return VertebralBody(
        (25 * scale, 21 * scale),
        (16.5 * scale, 13 * scale),
        29 * scale,
        (-0.08, 0.0),
        1.2,
        0.05,
        0.8,
        18 * scale,
        0.8,
        0.05,
        0.0,
    )


def _wing(places: FloatArray, side: int, scale: float) -> list[Solid]:
    """The lateral mass on one side, as bars that run outwards from each segment."""
    bars: list[Solid] = []
    for i in range(5):
        width, half, thick = (_SEGMENTS[i, c] * scale for c in (2, 4, 5))
        tall = 0.55 * _SEGMENTS[i, 0] * scale
        root = places[i] + (side * 0.8 * width, 2.0, 0.0)
        end = places[i] + (side * (half - 8), 10.0 - 1.5 * i, -6.0)
        bars.append(
            Limb(vector(root), vector(end), (thick, tall), (thick, 0.9 * tall), (0, 1, 0), cap=8)
        )
    return bars


def _upper_facet(spine: Spine, side: int) -> list[Solid]:
    """The facet that carries the last lumbar vertebra."""
    last = spine.vertebrae[-1]
    x, y = 0.5 * last.size.canal_width + 4.0, 13.0 * spine.scale + 0.95 * last.size.canal_depth
    normal = unit((side * 0.6, -0.8, 0.0))
    axes = (vector(normal), vector(np.cross(normal, (0, 0, 1))), (0, 0, 1.0))
    middle = np.array([side * x, y, 17.0 * spine.scale]) + 4.5 * normal
    plate = Plate(vector(middle), (4.0, 8.0, 9.0), axes, rounding=3.5)
    stem = Limb((side * (x + 3), y - 8, 2), vector(middle - (0, 0, 6)), (8.0, 9.0), (4.5, 7.0))
    return [plate, stem]


def _roof(places: FloatArray, scale: float) -> list[Solid]:
    """Laminae and median crest behind the sacral canal."""
    solids: list[Solid] = []
    for i in range(4):
        middle = _canal_middle(places, i, scale) + (0, _canal_depth(i, scale) + 2.5, -2.0)
        tall = (8.0, 8.0, 7.0, 5.0)[i] * scale
        for side in (1, -1):
            outer = places[i] + (side * 0.95 * _SEGMENTS[i, 2] * scale, _SEGMENTS[i, 3] * scale, -1)
            flat = (0, 1, 0.2)
            solids.append(Limb(vector(outer), vector(middle), (3.6, tall), (2.4, tall), flat))
        spine = middle + (0, 4.0 - 0.8 * i, -2.0)
        solids.append(Ellipsoid(vector(spine), (3.0, 5.5 - 0.8 * i, 0.75 * tall)))
    return solids


def _canal_depth(segment: int, scale: float) -> float:
    return float((8.0, 6.0, 4.5, 3.5)[segment] * scale)


def _canal_middle(places: FloatArray, segment: int, scale: float) -> FloatArray:
    depth = _SEGMENTS[segment, 3] * scale + 0.75 * _canal_depth(segment, scale)
    return places[segment] + (0, depth, 0)


def _sacral_cuts(places: FloatArray, scale: float) -> list[Solid]:
    middles = [_canal_middle(places, i, scale) for i in range(4)]
    middles = [middles[0] + (0, 2, 24), *middles]
    radii = [(15, 9), (14, 7.5), (10, 5.5), (7, 4), (5, 3)]
    flat = [(1, 0, 0)] * 5
    cuts: list[Solid] = list(tube(np.array(middles), np.array(radii) * scale, flat))
    for i in range(4):
        middle = 0.5 * (places[i] + places[i + 1])
        x = (0.5 * (_SEGMENTS[i, 2] + _SEGMENTS[i + 1, 2]) + 2.5) * scale
        r = (5.2, 5.0, 4.2, 3.4)[i] * scale
        width, depth = _SEGMENTS[i, 2:4] * scale
        cuts.append(
            Ellipsoid(vector(middle), (0.7 * width, (0.62 - 0.1 * i) * depth, 1.5 - 0.3 * i))
        )
        for side in (1, -1):
            inner, outer = middle + (side * x, 8, 0), middle + (side * (x + 6), -22, -3)
            cuts.append(Limb(vector(inner), vector(outer), (0.8 * r, 0.8 * r), (1.3 * r, 1.3 * r)))
    return cuts


def _coccyx(spine: Spine, tip: FloatArray) -> Bone:
    steps = np.array([(0, 1, -2), (0, -10, -6), (0, -20, -7), (0, -28, -5)]) * spine.scale
    radii = [(4.0, 9.0), (3.8, 7.0), (3.2, 5.0), (2.5, 3.5)]
    solids = tube(tip + steps, radii, [(0, 0, 1)] * 4)
    return Bone(Tissue.COCCYX, tuple(solids), 130.0, 0.5, frame=spine.sacrum)


_CREST = np.array(
    [
        (43, 62, -24),
        (60, 60, 8),
        (80, 47, 32),
        (104, 24, 46),
        (126, -6, 47),
        (138, -40, 32),
        (133, -70, 8),
        (124, -84, -14),
    ],
    dtype=np.float64,
)
_HUB = np.array((84.0, -22.0, -62.0))


def _hip(frame: Frame, side: int, scale: float) -> Bone:
    mirror = np.array([side, 1, 1]) * scale
    crest, hub = _CREST * mirror, _HUB * mirror
    solids: list[Solid] = list(tube(crest, [(5.5, 5.5)] * 2 + [(5.0, 5.0)] * 6))
    middles = np.vstack([crest, 0.5 * (crest[1:] + crest[:-1])])
    steps = np.vstack([np.gradient(crest, axis=0), np.diff(crest, axis=0)])
    for point, step in zip(middles, steps, strict=True):
        normal = vector(unit(np.cross(step, point - hub)))
        solids.append(Limb(vector(hub), vector(point), (6.0, 10.0), (2.6, 13.0), normal, cap=4.0))
    for points, radii in _HIP_BARS:
        solids += tube(np.array(points) * mirror, radii)
    socket = np.array((90, -40, -96)) * mirror
    ball = Difference(
        Ellipsoid(vector(socket), (31.5 * scale,) * 3),
        (Limb(vector(socket), vector(socket + mirror * (60, 8, -32)), (27, 27), (40, 40)),),
    )
    solids.append(ball)
    hollow = Ellipsoid(vector(socket), (26.5 * scale,) * 3)
    return Bone(Tissue.HIP_BONE, tuple(solids), 150.0, 1.0, cuts=(hollow,), fillet=5.0, frame=frame)


_HIP_BARS = (
    (((56, 52, -8), (60, 36, -22), (60, 30, -44)), [(8, 8), (10, 10), (9, 9)]),
    (
        ((43, 60, -24), (48, 50, -48), (60, 30, -58), (84, -10, -68)),
        [(6, 6), (6, 6), (8, 8), (12, 12)],
    ),
    (((124, -84, -14), (112, -76, -44), (94, -50, -68)), [(5, 5), (8, 8), (13, 13)]),
    (((88, -20, -100), (74, 6, -124), (62, 2, -150)), [(14, 14), (13, 13), (14, 14)]),
    (((84, -60, -92), (50, -84, -104), (16, -92, -116)), [(10, 10), (7, 7), (10, 10)]),
    (((16, -92, -122), (36, -60, -142), (60, -6, -152)), [(8, 8), (6, 6), (10, 10)]),
)


def _femur(frame: Frame, side: int, scale: float) -> Bone:
    mirror = np.array([side, 1, 1]) * scale
    head, trochanter, shaft = (
        np.array(p) * mirror for p in ((90, -40, -96), (145, -26, -118), (146, -30, -260))
    )
    solids: tuple[Solid, ...] = (
        Ellipsoid(vector(head), (24 * scale,) * 3),
        *tube(np.stack([head, trochanter]), [(15, 15), (18, 18)]),
        *tube(np.stack([trochanter, shaft]), [(18, 18), (14, 14)]),
    )
    return Bone(Tissue.FEMUR, solids, 180.0, 1.2, frame=frame)
