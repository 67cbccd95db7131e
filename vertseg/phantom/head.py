"""Base of the skull, brain case, jaw: enough of a head to end the neck."""

from __future__ import annotations

import numpy as np

from vertseg.phantom.bone import Bone
from vertseg.phantom.canvas import Organ
from vertseg.phantom.fields import Ellipsoid, Limb, Plate, Solid, tube, unit, vector
from vertseg.phantom.modifiers import Difference, Shell, Shrunk
from vertseg.phantom.patch import Frame
from vertseg.phantom.spine import Spine
from vertseg.phantom.tissues import Tissue

_FLOOR = (vector(unit((0, 0.42, 1))), (1.0, 0.0, 0.0), vector(unit((0, -1, 0.42))))
_EGG = Ellipsoid((0, -4, 80), (72, 92, 72))
_CRANIUM = Difference(_EGG, (Plate((0, -62, -10), (45, 90, 62), _FLOOR, 12.0),), fillet=12.0)
_FACE = Ellipsoid((0, -62, 14), (58, 46, 62))


def head_frame(spine: Spine) -> Frame:
    """The head's frame: upright, its origin in the middle of C1."""
    return Frame(spine.vertebra("C1").frame.origin, np.eye(3))


def head_bones(spine: Spine) -> list[Bone]:
    """Skull and lower jaw."""
    frame = head_frame(spine)
    magnum = Limb((0, 12, -20), (0, 12, 30), (15, 18), (15, 18))
    vault = Difference(Shell(_CRANIUM, 6.0), (magnum,))
    solids: list[Solid] = [
        vault,
        Limb((0, -6, 16), (0, -26, 48), (6, 13), (9, 18), (0, 1, 0.6)),  # clivus
        Limb((0, -40, 12), (0, -84, 8), (2.2, 22), (2.5, 18), (0, 0, 1)),  # hard palate
        *tube(
            [(-24, -60, 2), (-20, -82, 0), (0, -94, -1), (20, -82, 0), (24, -60, 2)], [(6, 6)] * 5
        ),
    ]
    for side in (1, -1):
        solids += [
            Ellipsoid((side * 15, 4, 13), (6, 11, 6)),  # condyle
            Ellipsoid((side * 52, 10, 8), (9, 12, 15)),  # mastoid process
            Limb((side * 20, -14, 24), (side * 58, 4, 22), (10, 9), (12, 12)),  # petrous bone
            Shell(Ellipsoid((side * 30, -62, 22), (17, 20, 20)), 1.8),  # maxillary sinus
            Limb((side * 38, -78, 30), (side * 62, -30, 34), (3, 5), (3, 5)),  # cheek bone
            Limb((side * 10, -30, 30), (side * 14, -32, 8), (1.6, 8), (1.6, 8)),  # pterygoid
        ]
    jaw_points = [
        (48, -14, 22),
        (47, -18, -10),
        (43, -26, -34),
        (30, -62, -42),
        (14, -90, -46),
        (0, -96, -47),
    ]
    mirrored = jaw_points + [(-x, y, z) for x, y, z in reversed(jaw_points[:-1])]
    radii = [(4, 7), (3.5, 12), (4, 10), (5, 12), (5, 13), (6, 14)]
    flat = [(1, 0, 0)] * 4 + [(0, 1, 0)] * 3 + [(1, 0, 0)] * 4
    jaw = tube(mirrored, radii + radii[-2::-1], flat)
    return [
        Bone(Tissue.SKULL, tuple(solids), 420.0, 2.0, frame=frame),
        Bone(Tissue.MANDIBLE, tuple(jaw), 300.0, 2.2, frame=frame),
    ]


def brain(spine: Spine) -> list[Organ]:
    """Brain in its fluid, and the air of nose and sinuses."""
    frame = head_frame(spine)
    nose = Limb((0, -38, 24), (0, -86, 24), (14, 13), (10, 14))
    return [
        Organ(Tissue.BRAIN, (_CRANIUM,), 12.0, frame=frame),
        Organ(Tissue.BRAIN, (Shrunk(_CRANIUM, 8.5),), 36.0, frame=frame),
        Organ(Tissue.CORD, (Limb((0, 8, 8), (0, -4, 40), (8, 7), (13, 11)),), 34.0, frame=frame),
        Organ(Tissue.AIRWAY, (nose,), -960.0, frame=frame),
        Organ(
            Tissue.MUSCLE, (Limb((0, -40, 24), (0, -84, 24), (2, 11), (2, 12)),), 40.0, frame=frame
        ),
        *(
            Organ(Tissue.AIRWAY, (Ellipsoid((s * 30, -62, 22), (15, 18, 18)),), -980.0, frame=frame)
            for s in (1, -1)
        ),
    ]


def head_envelope() -> tuple[Solid, ...]:
    """Soft outline of the head in its frame."""
    vault = Ellipsoid(_EGG.centre, (77, 97, 77))
    return vault, _FACE, Ellipsoid((0, -62, -22), (50, 44, 42))
