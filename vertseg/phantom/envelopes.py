"""The large smooth surfaces of the body, computed on a coarse grid and interpolated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vertseg.geometry.grid import Grid
from vertseg.phantom.canvas import Ripple
from vertseg.phantom.chest import lung_distance
from vertseg.phantom.coarse import coarse_grid, coarse_steps, texture, upsample
from vertseg.phantom.fields import Array, Limb, Solid, vector
from vertseg.phantom.head import head_envelope, head_frame
from vertseg.phantom.patch import Frame, Patch, bounds_of, cut_patch, whole_patch
from vertseg.phantom.spine import Spine
from vertseg.phantom.thorax import shoulder_bones
from vertseg.phantom.tissues import Tissue
from vertseg.phantom.torso import Torso

_COARSE_MM = 4.5
_HEAD_FAT_MM = 4.0


@dataclass(frozen=True, eq=False)
class Envelopes:
    """Signed distances on the whole grid, mm.

    Attributes:
        skin, muscle, cavity: the body's outside, its outer muscles, the body cavity.
        lung: the lungs, not yet without the bones.
        couch: height above the couch's upper face.
        gravity: -1 at the front of the chest to 1 at its back.
        drift: slow random field of SD 1, for what changes over centimetres.
    """

    skin: Array
    muscle: Array
    cavity: Array
    lung: Array
    couch: Array
    gravity: Array
    drift: Array


def build_envelopes(
    grid: Grid, spine: Spine, torso: Torso, ripple: Ripple, rng: np.random.Generator
) -> Envelopes:
    """The envelopes of a body on a grid."""
    steps = coarse_steps(grid, [_COARSE_MM] * 3)
    coarse = coarse_grid(grid, steps)
    exact = whole_patch(coarse)
    bent = ripple.bend(exact, waves=1)
    skin, muscle = torso.distance(bent, "skin"), torso.distance(bent, "muscle")
    _add_head_and_arms(coarse, skin, muscle, spine, torso)
    cavity = torso.distance(bent, "cavity")
    lung = lung_distance(bent, cavity, spine)
    middle = np.float32(spine.point(13)[1] - 40)
    gravity = np.clip((exact.y - middle) / np.float32(100), -1, 1)
    drift = texture(rng, coarse, (16.0, 16.0, 16.0))
    fields = (skin, muscle, cavity, lung, _couch(exact, torso), gravity, drift)
    return Envelopes(*(upsample(field, grid.size, steps) for field in fields))


def _add_head_and_arms(grid: Grid, skin: Array, muscle: Array, spine: Spine, torso: Torso) -> None:
    arms: list[Solid] = []
    for bone in shoulder_bones(torso):
        if bone.label == Tissue.HUMERUS:
            shaft = bone.solids[-1]
            assert isinstance(shaft, Limb)
            start = vector(np.add(shaft.start, (0, 0, -25)))
            arms.append(Limb(start, shaft.end, (36, 42), (36, 40)))
    parts: list[tuple[float, tuple[Solid, ...], Frame]] = [
        (_HEAD_FAT_MM, head_envelope(), head_frame(spine)),
        (0.6 * torso.habitus.fat_mm + 2, tuple(arms), Frame.world()),
    ]
    for fat, solids, frame in parts:
        lower, upper = bounds_of(solids)
        patch = cut_patch(grid, frame, lower - 15, upper + 15)
        if patch is None:
            continue
        outside = patch.fuse(solids, 12.0, margin=15.0)
        for field, layer in ((skin, fat), (muscle, 0.0)):
            np.minimum(field[patch.slices], outside - layer, out=field[patch.slices])


def _couch(patch: Patch, torso: Torso) -> Array:
    levels = (12, 16, 20, 24, 27)
    lowest = max(torso.surface("skin", 0, torso.level_to_z(lv), 0)[1] for lv in levels)
    return np.float32(lowest + 6.0) - patch.x * patch.x / np.float32(900.0) - patch.y
