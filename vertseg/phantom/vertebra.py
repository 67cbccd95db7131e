"""A whole vertebra on a patch of voxels: distance, cancellous density, cortex."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vertseg.geometry.grid import FloatArray
from vertseg.phantom.arch import arch_parts, arch_solids, back_wall, canal
from vertseg.phantom.bone import BoneShape
from vertseg.phantom.cervical import (
    cervical_cuts,
    cervical_parts,
    cervical_solids,
    upper_cervical,
)
from vertseg.phantom.fields import Array, Limb, Solid, smooth_max, smooth_min
from vertseg.phantom.patch import Patch, bounds_of
from vertseg.phantom.spine import PosedVertebra
from vertseg.phantom.vertebral_body import VertebralBody

_MARGIN_MM = 6.0
RIPPLE_MM = 0.7
# Dry bone is smaller than the same bone outlined on CT; mm on every side.
IMAGED_MM = {"cervical": 0.6, "thoracic": 0.5, "lumbar": 0.35}


def vertebra_box(vertebra: PosedVertebra) -> tuple[FloatArray, FloatArray]:
    """Corners (3,) of a box around the vertebra with a margin, in its own frame, mm."""
    lower, upper = bounds_of(_all_solids(vertebra))
    return lower - _MARGIN_MM, upper + _MARGIN_MM


def body_box(vertebra: PosedVertebra) -> tuple[FloatArray, FloatArray]:
    """Corners (3,) of the body's box (of all of C1 or C2), in its own frame, mm."""
    return bounds_of(_all_solids(vertebra)[: None if vertebra.name in ("C1", "C2") else 1])


def vertebra_shape(
    patch: Patch, vertebra: PosedVertebra, trabecular_hu: float, arch_gain_hu: float = 150.0
) -> BoneShape:
    """The vertebra on a patch given in its frame.

    Args:
        patch: voxels around it.
        vertebra: which one.
        trabecular_hu: mean HU of the cancellous bone of its body.
        arch_gain_hu: how much denser the inside of arch and processes is.
    """
    patch, grown = _rippled(patch, vertebra), np.float32(IMAGED_MM[vertebra.region])
    if vertebra.name in ("C1", "C2"):
        arch = _cut(patch, patch.fuse(upper_cervical(vertebra), 2.5), vertebra)
        return BoneShape(arch - grown, trabecular_hu + arch_gain_hu, 1.1)
    body = VertebralBody.of(vertebra)
    far = patch.fuse([body], 0.0)
    wall, plate = body.wall_and_plate(patch.x, patch.y, patch.z)
    cervical = vertebra.region == "cervical"
    solids = cervical_solids(vertebra) if cervical else arch_solids(vertebra)
    arch = _cut(patch, patch.fuse(solids, 2.5), vertebra)
    distance = smooth_min(far, arch, 3.0)
    in_arch = np.clip(0.5 + 0.25 * (far - arch), 0, 1)
    shell = np.where(plate > wall, np.float32(0.8), np.float32(0.5))
    dense = np.exp(-((plate / 3.0) ** 2)) * (plate < 0)
    core = trabecular_hu + 45.0 * dense - 90.0 * _basivertebral(patch, vertebra)
    core += in_arch * (trabecular_hu + arch_gain_hu - core)
    return BoneShape(distance - grown, core, shell + in_arch * (1.1 - shell))


def nearest_part(patch: Patch, vertebra: PosedVertebra) -> tuple[list[str], NDArray[np.intp]]:
    """Part (x, y, z) of a vertebra, C3 to L6, that each voxel of a patch is nearest to.

    Returns:
        Names of the parts, and for each voxel the place of its part among them.
    """
    patch = _rippled(patch, vertebra)
    cervical = vertebra.region == "cervical"
    solids: dict[str, list[Solid]] = {"body": [VertebralBody.of(vertebra)]}
    solids |= (cervical_parts if cervical else arch_parts)(vertebra)
    distances = [np.broadcast_to(patch.fuse(part, 0.0), patch.shape) for part in solids.values()]
    return list(solids), np.argmin(distances, axis=0)


def _all_solids(vertebra: PosedVertebra) -> list[Solid]:
    if vertebra.name in ("C1", "C2"):
        return upper_cervical(vertebra)
    body = VertebralBody.of(vertebra)
    if vertebra.region == "cervical":
        return [body, *cervical_solids(vertebra)]
    return [body, *arch_solids(vertebra)]


def _rippled(patch: Patch, vertebra: PosedVertebra) -> Patch:
    """The patch with its coordinates bent by a few waves, so that no surface is perfect."""
    phases = np.asarray(vertebra.variation.ripple, dtype=np.float32)
    waves = (np.float32(1 / 7.0), np.float32(1 / 10.0))
    x, y, z = patch.x, patch.y, patch.z
    bent = [
        own + np.float32(RIPPLE_MM) * np.sin(b * waves[0] + p[0]) * np.cos(c * waves[1] + p[1])
        for own, b, c, p in ((x, y, z, phases[0]), (y, z, x, phases[1]), (z, x, y, phases[2]))
    ]
    return Patch(patch.slices, bent[0], bent[1], bent[2], patch.to_index)


def _cut(patch: Patch, arch: Array, vertebra: PosedVertebra) -> Array:
    """The arch without the canal and, in the neck, without the transverse foramina."""
    holes: list[Solid] = [canal(vertebra)]
    if vertebra.region == "cervical":
        holes += cervical_cuts(vertebra)
    return smooth_max(arch, -patch.fuse(holes, 0.0), 1.5)


def _basivertebral(patch: Patch, vertebra: PosedVertebra) -> Array:
    """Share of the basivertebral vein's channel: from the posterior wall to the middle."""
    wall = back_wall(vertebra)
    channel = Limb((0, wall + 3.0, 0), (0, 0.1 * wall, 0), (4.0, 1.6), (1.5, 1.0))
    return np.clip(0.5 - 0.5 * patch.fuse([channel], 0.0), 0, 1)
