"""From the parameters of a subject to a CT volume with labels."""

from __future__ import annotations

import numpy as np

from vertseg.geometry.grid import Grid
from vertseg.phantom.abdomen import (
    aortic_plaques,
    bowels,
    great_vessels,
    pelvic_organs,
    solid_organs,
)
from vertseg.phantom.bone import Skeleton
from vertseg.phantom.canvas import Canvas, Organ, Ripple
from vertseg.phantom.chest import chest_organs, neck_organs, paint_lungs
from vertseg.phantom.coarse import texture
from vertseg.phantom.envelopes import build_envelopes
from vertseg.phantom.head import brain, head_bones
from vertseg.phantom.painting import mottle, paint_bones, paint_envelopes
from vertseg.phantom.patch import cut_patch
from vertseg.phantom.pelvis import pelvic_bones
from vertseg.phantom.soft_spine import (
    canal_contents,
    discs,
    foramina,
    gluteal_muscles,
    long_muscles,
)
from vertseg.phantom.subject import Subject
from vertseg.phantom.thorax import rib_bones, shoulder_bones, sternum_bone
from vertseg.phantom.torso import Torso
from vertseg.phantom.vertebra import vertebra_box, vertebra_shape

# Cancellous bone against that of L1.
_DENSITY = {"cervical": 1.45, "thoracic": 1.15, "lumbar": 1.0}
_LUNG_FROM_BONE_MM = np.float32(2.2)


def build_skeleton(subject: Subject, torso: Torso, grid: Grid) -> Skeleton:
    """All bones that touch the grid."""
    spine = subject.spine
    skeleton = Skeleton(grid.size)
    for vertebra in spine.vertebrae:
        lower, upper = vertebra_box(vertebra)
        patch = cut_patch(grid, vertebra.frame, lower, upper)
        if patch is not None:
            dense = _DENSITY[vertebra.region] * subject.trabecular_hu
            shape = vertebra_shape(patch, vertebra, dense, subject.arch_gain_hu)
            skeleton.add(patch.slices, vertebra.label, shape)
    bones = [*pelvic_bones(spine), *rib_bones(spine, torso), sternum_bone(torso)]
    for bone in [*bones, *shoulder_bones(torso), *head_bones(spine)]:
        skeleton.add_plain(grid, bone)
    return skeleton


def paint_body(subject: Subject, grid: Grid) -> Canvas:
    """Paint a subject on a grid, without noise; HU as float32."""
    # Two streams, so that the anatomy is the same on every grid.
    rng, grain = (np.random.default_rng([subject.seed, n]) for n in (1, 2))
    torso, canvas = Torso(subject.spine, subject.habitus), Canvas(grid, Ripple(rng))
    skeleton = build_skeleton(subject, torso, grid)
    body = build_envelopes(grid, subject.spine, torso, canvas.ripple, grain)
    blotch = texture(grain, grid, (4.0, 4.0, 4.0))
    paint_envelopes(canvas, body, subject, blotch)
    lung = np.maximum(body.lung, _LUNG_FROM_BONE_MM - skeleton.nearest)
    paint_lungs(canvas, lung, body.gravity, subject.spine, rng)
    for organ in _organs(subject, torso, rng):
        canvas.paint(organ)
    streaks = texture(grain, grid, (1.6, 1.6, 4.0))
    mottle(canvas, subject, blotch, streaks, skeleton.nearest)
    paint_bones(canvas, skeleton, subject, grain)
    return canvas


def _organs(subject: Subject, torso: Torso, rng: np.random.Generator) -> list[Organ]:
    """Soft structures in the order in which they are painted, later ones on top."""
    spine, blood = subject.spine, subject.blood_hu
    return [
        *solid_organs(spine, torso, blood),
        *bowels(rng, spine, torso),
        *pelvic_organs(spine),
        *gluteal_muscles(spine),
        *long_muscles(spine, subject.muscle_bulk),
        *chest_organs(spine, blood),
        *great_vessels(spine, blood),
        *aortic_plaques(rng, spine, subject.plaques),
        *brain(spine),
        *neck_organs(spine, blood),
        *foramina(spine),
        *canal_contents(spine),
        *discs(spine),
    ]
