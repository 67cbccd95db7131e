"""The large smooth surfaces of the body, computed on a coarse grid and interpolated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vertseg.grid import Grid
from vertseg.phantom.canvas import Ripple
from vertseg.phantom.chest import lung_distance
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
    """

    skin: Array
    muscle: Array
    cavity: Array
    lung: Array
    couch: Array
    gravity: Array


def build_envelopes(grid: Grid, spine: Spine, torso: Torso, ripple: Ripple) -> Envelopes:
    """The envelopes of a body on a grid."""
    steps = np.maximum(np.floor(_COARSE_MM / np.asarray(grid.spacing)), 1).astype(int)
    size = [int(-(-(n - 1) // s)) + 1 for n, s in zip(grid.size, steps, strict=True)]
    coarse = Grid(
        (size[0], size[1], size[2]), grid.affine_lps @ np.diag([*steps.astype(float), 1.0])
    )
    exact = whole_patch(coarse)
    bent = ripple.bend(exact, waves=1)
    skin, muscle = torso.distance(bent, "skin"), torso.distance(bent, "muscle")
    _add_head_and_arms(coarse, skin, muscle, spine, torso)
    cavity = torso.distance(bent, "cavity")
    lung = lung_distance(bent, cavity, spine)
    middle = np.float32(spine.point(13)[1] - 40)
    gravity = np.clip((exact.y - middle) / np.float32(100), -1, 1)
    fields = (skin, muscle, cavity, lung, _couch(exact, torso), gravity)
    return Envelopes(*(_upsample(field, grid.size, steps) for field in fields))


def _upsample(field: Array, size: tuple[int, int, int], steps: np.ndarray) -> Array:
    """Linear interpolation of a field whose voxels lie `steps` apart."""
    for axis, (count, step) in enumerate(zip(size, steps, strict=True)):
        if field.shape[axis] == 1 or step == 1:
            continue
        place = np.arange(count, dtype=np.float32) / np.float32(step)
        low = np.minimum(place.astype(int), field.shape[axis] - 2)
        shape = [1, 1, 1]
        shape[axis] = count
        weight = (place - low).reshape(shape).astype(np.float32)
        first, last = np.take(field, low, axis), np.take(field, low + 1, axis)
        field = first + weight * (last - first)
    return field


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
