"""Poses the atlas along a spine course: draw an anatomy once, then apply it on any grid.

Every vertebra carries a similarity (anisotropic: along and across the spine) from the patient
to the atlas; they are blended with Gaussian weights into one smooth map (polyaffine, Arsigny et
al., JMIV 2009), and a smooth random warp makes each body another one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from vertseg.phantom import Tissue
from vertseg.training.atlas import Atlas
from vertseg.training.numbering import draw_numbering, mix_shapes

_T12_LEVEL, _L1, _L6 = 18, 20, 25
_SLIDE_SD_MM = 25.0
"""The diaphragm, the carina and the aortic arch lie a level higher or lower in one patient than in
another."""


@dataclass(frozen=True)
class Anatomy:
    """One patient, drawn once.

    Attributes:
        labels: vertebra label of each target level, cranial to caudal, shape (n,).
        sources: atlas level index (0 = C1) that each target level is made of, shape (n,).
        centres_lps_mm: where each level's centre lies, shape (n, 3).
        to_atlas: matrices from patient to atlas offsets, shape (n, 3, 3).
        blend_mm: standard deviation of the blending weights.
        warp: seeds, amplitudes (mm) and wavelengths (mm) of the random warp.
        slide_mm: how far organs, and ribs away from the spine, lie caudal of their usual level.
        front_slide_mm: the same for what lies right in front of the spine: airways, heart, vessels.
    """

    labels: np.ndarray
    sources: np.ndarray
    centres_lps_mm: np.ndarray
    to_atlas: np.ndarray
    blend_mm: float
    warp: tuple[tuple[int, float, float], ...]
    slide_mm: float = 0.0
    front_slide_mm: float = 0.0

    @property
    def variant(self) -> bool:
        """Whether the numbering differs from C1 ... L5."""
        return len(self.labels) != 24 or not np.array_equal(self.sources, np.arange(24))


def draw_anatomy(
    points_lps_mm: np.ndarray,
    atlas: Atlas,
    rng: np.random.Generator,
    numbering: str | None = None,
    mixed_shapes: bool = False,
) -> Anatomy:
    """Draws sizes, turns, numbering and warp for the course `points_lps_mm` (24, 3).

    `numbering` is one of ``usual``, ``l6``, ``t13``, ``no_t12``, ``no_l5``, or drawn if None. With
    `mixed_shapes` a vertebra of the usual numbering may look like its neighbour in the atlas.
    """
    labels, sources, points = draw_numbering(points_lps_mm, rng, numbering)
    if mixed_shapes and len(labels) == 24:
        sources = mix_shapes(sources, rng)
    to_atlas = _draw_similarities(points, sources, atlas, rng)
    warp = tuple(
        (int(rng.integers(2**31)), amplitude * rng.uniform(0.3, 1.5), wave * rng.uniform(0.8, 1.3))
        for amplitude, wave in ((5.0, 45.0), (2.0, 18.0), (0.9, 9.0))
    )
    slide, front = (float(mm) for mm in rng.normal(0.0, _SLIDE_SD_MM, 2))
    anatomy = Anatomy(labels, sources, points, to_atlas, 9.0, warp, slide, front)
    blend = rng.uniform(12.0, 22.0)
    return anatomy if anatomy.variant else replace(anatomy, blend_mm=blend)


def _draw_similarities(points, sources, atlas: Atlas, rng: np.random.Generator) -> np.ndarray:
    n = len(points)
    target_frames, target_step = _frames(points, _smooth_noise(n, 4.0, rng))
    atlas_frames, atlas_step = _frames(atlas.centres_lps_mm, np.zeros(24))
    along = target_step / atlas_step[sources]
    usual = np.median(along)
    across = rng.normal(0.98 * (0.6 + 0.4 * usual), 0.06) * np.exp(_smooth_noise(n, 0.05, rng))
    scale = np.stack(
        [
            across * rng.normal(1, 0.04) * np.exp(rng.normal(0, 0.04, n)),
            across * rng.normal(1, 0.05) * np.exp(rng.normal(0, 0.04, n)),
            along * np.exp(rng.normal(0, 0.02, n)),
        ],
        axis=1,
    )
    tilt = _rotation_x(rng.normal(0, np.deg2rad(3.5), n))
    forward = atlas_frames[sources] @ tilt
    return np.einsum("nij,nj,nkj->nik", forward, 1.0 / scale, target_frames)


def _frames(points: np.ndarray, axial_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes (n, 3, 3; columns left, posterior, cranial) and mean step in mm at each level."""
    extended = np.concatenate(
        [2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]]
    )
    step = np.linalg.norm(np.diff(extended, axis=0), axis=1)
    cranial = _unit(extended[:-2] - extended[2:])
    turn = np.deg2rad(axial_deg)
    left = np.stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)], axis=1)
    posterior = _unit(np.cross(cranial, left))
    left = np.cross(posterior, cranial)
    return np.stack([left, posterior, cranial], axis=2), 0.5 * (step[1:] + step[:-1])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _rotation_x(angle: np.ndarray) -> np.ndarray:
    c, s, one, zero = np.cos(angle), np.sin(angle), np.ones_like(angle), np.zeros_like(angle)
    rows = [[one, zero, zero], [zero, c, -s], [zero, s, c]]
    return np.moveaxis(np.array(rows), -1, 0)


def _smooth_noise(n: int, sigma: float, rng: np.random.Generator) -> np.ndarray:
    noise = ndimage.gaussian_filter1d(rng.normal(0, 1, n + 16), 3.0)[8:-8]
    return noise / max(float(noise.std()), 0.2) * abs(rng.normal(0, sigma))


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


def pose(anatomy: Anatomy, atlas: Atlas, origin_lps_mm, size, spacing_mm: float) -> Body:
    """The atlas under `anatomy` on the grid given by `origin_lps_mm`, `size` and `spacing_mm`."""
    origin = np.asarray(origin_lps_mm, float)
    field, owner = _field(anatomy, atlas, origin, size, spacing_mm)
    labels = _sample(atlas, field, size, spacing_mm)
    if anatomy.variant:
        labels = _renumber(labels, owner, anatomy, spacing_mm)
    landmarks = {
        int(label): _settle(anatomy, atlas, field, origin, _field_mm(spacing_mm), level)
        for level, label in enumerate(anatomy.labels)
    }
    return Body(labels, spacing_mm, origin, landmarks)


def _field_mm(spacing_mm: float) -> float:
    """Spacing of the coarse grid that carries the map."""
    return 8.0 if spacing_mm < 4.0 else 14.0


def _field(anatomy, atlas, origin, size, spacing_mm):
    """Atlas position (3, nx, ny, nz) on a coarse grid, and the blending weights (n, ...)."""
    step = _field_mm(spacing_mm)
    shape = [int(np.ceil((n - 1) * spacing_mm / step)) + 1 for n in size]
    axes = [origin[a] + step * np.arange(shape[a]) for a in range(3)]
    centres = anatomy.centres_lps_mm
    square = [(axes[a][None, :] - centres[:, a, None]) ** 2 for a in range(3)]
    energy = (
        -0.5
        / anatomy.blend_mm**2
        * (square[0][:, :, None, None] + square[1][:, None, :, None] + square[2][:, None, None, :])
    )
    weights = np.exp(energy - energy.max(0)).astype(np.float32)
    weights /= weights.sum(0)
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    offset = atlas.centres_lps_mm[anatomy.sources] - np.einsum(
        "nij,nj->ni", anatomy.to_atlas, centres
    )
    matrix = np.tensordot(anatomy.to_atlas.astype(np.float32), weights, axes=(0, 0))
    field = np.einsum("ij...,j...->i...", matrix, points)
    field += np.tensordot(offset.astype(np.float32), weights, axes=(0, 0))
    aside, behind = (points[a] - np.tensordot(centres[:, a], weights, 1) for a in (0, 1))
    around = _ramp(np.hypot(aside, behind), 30.0, 90.0)
    front = (1.0 - around) * _ramp(-behind, 20.0, 45.0)
    field[2] += anatomy.slide_mm * around + anatomy.front_slide_mm * front
    return field + _warp(anatomy, points), weights


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


def _sample(atlas: Atlas, field: np.ndarray, size, spacing_mm: float) -> np.ndarray:
    """Nearest atlas label at every voxel; the coarse field is interpolated linearly."""
    flat = np.zeros(size, np.int32)
    inside = np.ones(size, bool)
    matrices = [_linear_matrix(size[a], field.shape[a + 1], spacing_mm) for a in range(3)]
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


def _linear_matrix(size: int, coarse: int, spacing_mm: float) -> np.ndarray:
    position = np.arange(size) * spacing_mm / _field_mm(spacing_mm)
    return np.maximum(0, 1 - np.abs(position[:, None] - np.arange(coarse))).astype(np.float32)


def _separable(volume: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    volume = np.tensordot(matrices[0], volume, axes=(1, 0))
    volume = np.matmul(matrices[1], volume)
    return np.matmul(volume, matrices[2].T)


def _renumber(labels, weights, anatomy: Anatomy, spacing_mm: float) -> np.ndarray:
    """Gives the target's labels to a body whose levels are not one for one those of the atlas.

    Of two copies each belongs to the level that owns the place. Atlas bone that no level owns (a
    level left out, the seam between two copies) becomes disc. Its ribs, and those of a thoracic
    shape in the lumbar spine, become muscle.
    """
    matrices = [_linear_matrix(labels.shape[a], weights.shape[a + 1], spacing_mm) for a in range(3)]
    result = labels.copy()
    bone = (labels >= 1) & (labels <= 24)
    result[bone] = Tissue.DISC
    levels, counts = np.unique(anatomy.sources, return_counts=True)
    doubled = set(levels[counts > 1].tolist())
    for level, source in enumerate(anatomy.sources.tolist()):
        mask = labels == source + 1
        if mask.any():
            if source in doubled:
                mask &= _separable(weights[level], matrices) > 0.6
            result[mask] = anatomy.labels[level]
    present = set(levels.tolist())
    for rib in range(1, 13):
        if rib + 6 not in present:
            result[(labels == 100 + rib) | (labels == 120 + rib)] = Tissue.MUSCLE
    lumbar = (anatomy.labels >= _L1) & (anatomy.labels <= _L6)
    if (anatomy.sources[lumbar] <= _T12_LEVEL).any():
        last = (labels == 112) | (labels == 132)
        if last.any():
            last &= _separable(weights[lumbar].sum(0), matrices) > 0.5
            result[last] = Tissue.MUSCLE
    return result


def _settle(anatomy, atlas, field, origin, step_mm: float, level: int) -> np.ndarray:
    """The patient point that the field sends to the centre of `level` in the atlas."""
    wanted = atlas.centres_lps_mm[anatomy.sources[level]]
    back = np.linalg.inv(anatomy.to_atlas[level])
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
