"""Poses the atlas along a spine course: draw an anatomy once, then apply it on any grid.

Every vertebra carries a similarity (anisotropic: along and across the spine) from the patient
to the atlas; they are blended with Gaussian weights into one smooth map (polyaffine, Arsigny et
al., JMIV 2009), and a smooth random warp makes each body another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.phantom import Tissue
from vertseg.training.factory.anatomy import Anatomy
from vertseg.training.factory.atlas import Atlas
from vertseg.training.factory.processes import PROCESS_BEHIND_MM, process_axes

_WARP_REACH_MM = 15.0
"""How far the random warp may carry a bone."""

_ARCH_BEHIND_MM = 12.0
"""How far behind the centre of a vertebra its arch begins."""

_PROCESS_MM = 32.0
"""From where spinous processes begin to beyond their tips."""


@dataclass(frozen=True)
class Body:
    """A posed body on an axis-aligned LPS grid.

    Attributes:
        labels: uint8 (x, y, z): vertebra labels (1-25, 28) and the atlas's tissue ids.
        spacing_mm: isotropic voxel size.
        origin_lps_mm: position of voxel (0, 0, 0).
        landmarks: label -> centre in LPS mm, for every vertebra of the anatomy.
    """

    labels: np.ndarray
    spacing_mm: float
    origin_lps_mm: np.ndarray
    landmarks: dict[int, np.ndarray]


def pose(
    anatomy: Anatomy,
    atlas: Atlas,
    origin_lps_mm: npt.ArrayLike,
    size: Sequence[int],
    spacing_mm: float,
) -> Body:
    """The atlas under `anatomy` on the grid given by `origin_lps_mm`, `size` and `spacing_mm`."""
    origin = np.asarray(origin_lps_mm, float)
    field, weights, behind_mm, own = _fields(anatomy, atlas, origin, size, spacing_mm)
    labels = _sample(atlas, field, [slice(0, n) for n in size], spacing_mm)
    if anatomy.rigid:
        labels = _without_vertebrae(labels, anatomy, behind_mm, spacing_mm)
    nearest = np.zeros(labels.shape, np.float32)
    step_mm = _field_mm(spacing_mm)
    landmarks = {}
    for level, label in enumerate(anatomy.labels.tolist()):
        if anatomy.rigid:
            field = own(level)
            box = _posed_box(anatomy, atlas, level, origin, size, spacing_mm)
            mask = _sample(atlas, field, box, spacing_mm) == anatomy.shapes[level] + 1
            near = _separable(weights[level], _linear_matrices(box, field.shape[1:], spacing_mm))
            mask &= near >= nearest[box]  # where two meet the nearer one stays
            labels[box][mask], nearest[box][mask] = label, near[mask]
        landmarks[label] = _settle(anatomy, atlas, field, origin, step_mm, level)
    return Body(labels, spacing_mm, origin, landmarks)


def _field_mm(spacing_mm: float) -> float:
    """Spacing of the coarse grid that carries the map."""
    return 8.0 if spacing_mm < 4.0 else 14.0


def _fields(
    anatomy: Anatomy, atlas: Atlas, origin: np.ndarray, size: Sequence[int], spacing_mm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Callable[[int], np.ndarray]]:
    """Atlas positions (3, nx, ny, nz) on a coarse grid, by blending and by each level's own map.

    Returns:
        The blended field, the blending weights (n, nx, ny, nz), how far each point lies behind the
        centres in mm, and a function that returns the field of one level.
    """
    step = _field_mm(spacing_mm)
    shape = [int(np.ceil((n - 1) * spacing_mm / step)) + 1 for n in size]
    axes = [origin[a] + step * np.arange(shape[a]) for a in range(3)]
    centres = anatomy.centres_lps_mm
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    energy = -0.5 / anatomy.blend_mm**2 * _squares(anatomy, atlas, points)
    weights = np.exp(energy - energy.max(0)).astype(np.float32)
    weights /= weights.sum(0)
    warp = _warp(anatomy, points)

    def own(level: int) -> np.ndarray:
        matrix = anatomy.to_shape[level]
        offset = atlas.centres_lps_mm[anatomy.shapes[level]] - matrix @ centres[level]
        there = np.einsum("ij,j...->i...", matrix, points) + offset[:, None, None, None] + warp
        aside, behind = (points[a] - centres[level, a] for a in (0, 1))
        there[1:] += _reshaped(aside, behind, anatomy.pitch[level], anatomy.stretch[level])
        return there

    offset = atlas.centres_lps_mm[anatomy.sources] - np.einsum(
        "nij,nj->ni", anatomy.to_atlas, centres
    )

    matrix = np.tensordot(anatomy.to_atlas.astype(np.float32), weights, axes=(0, 0))
    field = np.einsum("ij...,j...->i...", matrix, points)
    field += np.tensordot(offset.astype(np.float32), weights, axes=(0, 0))
    aside, behind = (points[a] - np.tensordot(centres[:, a], weights, 1) for a in (0, 1))
    around = _ramp(np.hypot(aside, behind), 30.0, 90.0)
    front = (1.0 - around) * _ramp(-behind, 20.0, 45.0)
    slide = np.tensordot(anatomy.slide_mm.astype(np.float32), weights, 1)
    field[2] += slide * around + anatomy.front_slide_mm * front
    pitch, stretch = np.tensordot(
        np.stack([anatomy.pitch, anatomy.stretch]).astype(np.float32), weights, 1
    )
    field[1:] += _reshaped(aside, behind, pitch, stretch)
    return field + warp, weights, behind, own


def _reshaped(
    aside: np.ndarray, behind: np.ndarray, pitch: np.ndarray | float, stretch: np.ndarray | float
) -> np.ndarray:
    """What sloping and stretching the processes adds to atlas positions: y and z in mm.

    It grows behind the arches up to the tips, and fades towards the skin and the ribs.
    """
    depth = behind - PROCESS_BEHIND_MM
    reach = np.clip(np.minimum(depth, 2.0 * _PROCESS_MM - depth), 0.0, _PROCESS_MM)
    reach = reach * (1.0 - _ramp(np.abs(aside), 25.0, 60.0))
    return np.stack([(1.0 / stretch - 1.0) * reach, pitch * reach])


def _squares(anatomy: Anatomy, atlas: Atlas, points: np.ndarray) -> np.ndarray:
    """Squared distances (n, ...) in mm of points (3, ...) from the axes of the vertebrae.

    An axis runs from the centre of the body to the tip of the spinous process, so that a process
    belongs to its own vertebra, although it lies as high as the next one's body.
    """
    axes = process_axes(anatomy.shapes, anatomy.to_shape, anatomy.pitch, anatomy.stretch, atlas)
    squares = np.empty((len(axes), *points.shape[1:]), np.float32)
    for level, axis in enumerate(axes):
        offset = points - anatomy.centres_lps_mm[level][:, None, None, None]
        along = np.tensordot(axis, offset, 1) / max(axis @ axis, 1.0)
        offset -= np.clip(along, 0.0, 1.0) * axis[:, None, None, None]
        squares[level] = (offset**2).sum(0)
    return squares


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, smooth between."""
    part = np.clip((value - low) / (high - low), 0.0, 1.0)
    return part * part * (3.0 - 2.0 * part)


def _warp(anatomy: Anatomy, points: np.ndarray) -> np.ndarray:
    """The random warp in mm: smooth noise fixed to the patient, not to the grid."""
    total = np.zeros_like(points)
    low = anatomy.centres_lps_mm.min(0) - 400
    for seed, amplitude, wave in anatomy.warp:
        cells = np.ceil((np.ptp(anatomy.centres_lps_mm, axis=0) + 800) / wave).astype(int) + 4
        noise = np.random.default_rng(seed).standard_normal((3, *cells)).astype(np.float32)
        index = (points - low[:, None, None, None]) / wave
        for axis in range(3):
            total[axis] += amplitude * ndimage.map_coordinates(
                noise[axis], index, order=2, mode="nearest", prefilter=False
            )
    return total


def _sample(atlas: Atlas, field: np.ndarray, box: Sequence[slice], spacing_mm: float) -> np.ndarray:
    """Nearest atlas label at every voxel of `box`; the coarse field is interpolated linearly."""
    matrices = _linear_matrices(box, field.shape[1:], spacing_mm)
    size = [part.stop - part.start for part in box]
    flat = np.zeros(size, np.int32)
    inside = np.ones(size, bool)
    for axis in range(3):
        index = (field[axis] - atlas.origin_lps_mm[axis]) / atlas.spacing_mm
        index = _separable(index.astype(np.float32), matrices)
        index = np.rint(index, out=index).astype(np.int32)
        inside &= (index >= 0) & (index < atlas.labels.shape[axis])
        flat *= atlas.labels.shape[axis]
        flat += index
    flat[~inside] = 0
    labels = atlas.labels.reshape(-1)[flat]
    labels[~inside] = Tissue.AIR
    return labels


def _linear_matrices(
    box: Sequence[slice], coarse: Sequence[int], spacing_mm: float
) -> list[np.ndarray]:
    """Matrices from a coarse grid to the voxels of `box`, one per axis."""
    matrices = []
    for part, count in zip(box, coarse, strict=True):
        position = np.arange(part.start, part.stop) * spacing_mm / _field_mm(spacing_mm)
        weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(count)))
        matrices.append(weights.astype(np.float32))
    return matrices


def _separable(volume: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    volume = np.tensordot(matrices[0], volume, axes=(1, 0))
    volume = np.matmul(matrices[1], volume)
    return np.matmul(volume, matrices[2].T)


def _without_vertebrae(
    labels: np.ndarray, anatomy: Anatomy, behind_mm: np.ndarray, spacing_mm: float
) -> np.ndarray:
    """A blended body without vertebrae: bodies become disc, arches and stray ribs muscle."""
    result = labels.copy()
    bone = np.nonzero((labels >= 1) & (labels <= 24))
    index = np.stack(bone) * (spacing_mm / _field_mm(spacing_mm))
    behind = ndimage.map_coordinates(behind_mm, index, order=1, mode="nearest")
    result[bone] = np.where(behind > _ARCH_BEHIND_MM, Tissue.MUSCLE, Tissue.DISC)
    present = set(anatomy.sources.tolist())
    for rib in range(1, 13):
        if rib + 6 not in present:
            result[(labels == 100 + rib) | (labels == 120 + rib)] = Tissue.MUSCLE
    return result


def _posed_box(
    anatomy: Anatomy,
    atlas: Atlas,
    level: int,
    origin: np.ndarray,
    size: Sequence[int],
    spacing_mm: float,
) -> tuple[slice, ...]:
    """The voxels that a posed vertebra can lie in; none if it lies outside."""
    shape = int(anatomy.shapes[level])
    box = atlas.boxes[shape] or (slice(0, 0),) * 3
    ends = [(part.start, part.stop) for part in box]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    corners = atlas.origin_lps_mm + atlas.spacing_mm * corners - atlas.centres_lps_mm[shape]
    posed = np.linalg.solve(anatomy.to_shape[level], corners.T).T + anatomy.centres_lps_mm[level]
    shares = np.array([0.0, abs(1.0 - 1.0 / anatomy.stretch[level]), abs(anatomy.pitch[level])])
    reach = _WARP_REACH_MM + _PROCESS_MM * shares
    low = np.floor((posed.min(0) - origin - reach) / spacing_mm).astype(int)
    high = np.ceil((posed.max(0) - origin + reach) / spacing_mm).astype(int)
    low = np.clip(low, 0, size)
    high = np.clip(high, low, size)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))


def _settle(
    anatomy: Anatomy,
    atlas: Atlas,
    field: np.ndarray,
    origin: np.ndarray,
    step_mm: float,
    level: int,
) -> np.ndarray:
    """The patient point that the field sends to the centre of `level` in the atlas."""
    wanted = atlas.centres_lps_mm[anatomy.shapes[level]]
    back = np.linalg.inv(anatomy.to_shape[level])
    start = anatomy.centres_lps_mm[level]
    point = start.copy()
    for _ in range(6):
        index = ((point - origin) / step_mm)[:, None]
        inside = (index >= 0).all() and (index[:, 0] <= np.array(field.shape[1:]) - 1).all()
        if not inside:
            return start
        there = [ndimage.map_coordinates(f, index, order=1)[0] for f in field]
        point = point - back @ (np.array(there) - wanted)
    return point if np.linalg.norm(point - start) < 20 else start
