"""Draws one patient: sizes, turns, numbering and warp along a spine course."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vertseg.training.factory.atlas import Atlas
from vertseg.training.factory.noise import smooth_noise
from vertseg.training.factory.numbering import draw_numbering, is_lumbar, mix_shapes
from vertseg.training.factory.processes import draw_processes

_SLIDE_SD_MM = 25.0
"""The carina, the aortic arch and the kidneys lie a level higher or lower in one patient than in
another."""

_RIB_SLIDE_SD_MM = 8.0
"""Ribs slope more or less, but each goes to its own vertebra: they tell its level."""

_RIGID_SHARE = 0.5
"""Share of bodies whose vertebrae are rigid though their levels are those of the atlas."""

_TURN_LEVELS = 0.8
"""Standard deviation in levels over which the direction of the spine is smoothed."""

_BLEND_MM = (12.0, 22.0)
_VARIANT_BLEND_MM = 9.0
"""Narrow where neighbours come from places in the atlas that are no neighbours."""


@dataclass(frozen=True)
class Anatomy:
    """One patient, drawn once.

    Attributes:
        labels: vertebra label of each target level, cranial to caudal, shape (n,).
        sources: atlas level index (0 = C1) of what surrounds each target level, its ribs among it,
            shape (n,).
        shapes: atlas level index of the bone of each, shape (n,).
        centres_lps_mm: where each level's centre lies, shape (n, 3).
        to_atlas: matrices from patient to atlas offsets for the surroundings, shape (n, 3, 3).
        to_shape: the same for the bones.
        blend_mm: standard deviation of the blending weights.
        warp: seeds, amplitudes (mm) and wavelengths (mm) of the random warp.
        slide_mm: how far organs and ribs away from the spine lie caudal of their usual level, at
            each level, shape (n,).
        pitch: how much further the processes slope down than the atlas's, in mm per mm, shape (n,).
        stretch: how many times as long they are, shape (n,).
        front_slide_mm: the same for what lies right in front of the spine: airways, heart, vessels.
        rigid: whether every vertebra is set into the blended body by its own map alone. Blending
            bends processes, and tears or melts bones where the levels are not one for one those
            of the atlas.
    """

    labels: np.ndarray
    sources: np.ndarray
    shapes: np.ndarray
    centres_lps_mm: np.ndarray
    to_atlas: np.ndarray
    to_shape: np.ndarray
    blend_mm: float
    warp: tuple[tuple[int, float, float], ...]
    slide_mm: np.ndarray
    pitch: np.ndarray
    stretch: np.ndarray
    front_slide_mm: float = 0.0
    rigid: bool = False


def draw_anatomy(
    points_lps_mm: np.ndarray,
    atlas: Atlas,
    rng: np.random.Generator,
    numbering: str | None = None,
    mixed_shapes: bool = False,
) -> Anatomy:
    """Draws sizes, turns, numbering and warp for the course `points_lps_mm` (24, 3).

    `numbering` is one of ``usual``, ``l6``, ``t13``, ``no_t12``, ``no_l5``, or drawn if None. With
    `mixed_shapes` a vertebra may look like its neighbour in the atlas.
    """
    labels, sources, points = draw_numbering(points_lps_mm, rng, numbering)
    shapes = mix_shapes(labels, sources, rng) if mixed_shapes else sources
    to_atlas, to_shape = _draw_similarities(points, (sources, shapes), atlas, rng)
    warp = tuple(
        (int(rng.integers(2**31)), amplitude * rng.uniform(0.3, 1.5), wave * rng.uniform(0.8, 1.3))
        for amplitude, wave in ((5.0, 45.0), (2.0, 18.0), (0.9, 9.0))
    )
    ribs, organs, front = rng.normal(0.0, (_RIB_SLIDE_SD_MM, _SLIDE_SD_MM, _SLIDE_SD_MM))
    slide = np.where(is_lumbar(labels), organs, ribs)
    blend, rigid = rng.uniform(*_BLEND_MM), bool(rng.random() < _RIGID_SHARE)
    if not np.array_equal(sources, np.arange(24)):
        blend = _VARIANT_BLEND_MM
    rigid |= not np.array_equal(shapes, np.arange(24))
    pitch, stretch = draw_processes(points, shapes, to_shape, atlas, rng.spawn(1)[0])
    return Anatomy(
        labels=labels,
        sources=sources,
        shapes=shapes,
        centres_lps_mm=points,
        to_atlas=to_atlas,
        to_shape=to_shape,
        blend_mm=blend,
        warp=warp,
        slide_mm=slide,
        pitch=pitch,
        stretch=stretch,
        front_slide_mm=float(front),
        rigid=rigid,
    )


def _draw_similarities(
    points: np.ndarray, choices: Sequence[np.ndarray], atlas: Atlas, rng: np.random.Generator
) -> list[np.ndarray]:
    """Matrices (n, 3, 3) for each choice of atlas levels (n,), with the same turns and sizes."""
    n = len(points)
    target_frames, target_step = _frames(points, smooth_noise(n, 4.0, rng))
    atlas_frames, atlas_step = _frames(atlas.centres_lps_mm, np.zeros(24))
    usual = np.median(target_step / atlas_step[choices[0]])
    across = rng.normal(0.98 * (0.6 + 0.4 * usual), 0.06) * np.exp(smooth_noise(n, 0.05, rng))
    scale = np.stack(
        [
            across * rng.normal(1, 0.04) * np.exp(rng.normal(0, 0.04, n)),
            across * rng.normal(1, 0.05) * np.exp(rng.normal(0, 0.04, n)),
            target_step * np.exp(rng.normal(0, 0.02, n)),
        ],
        axis=1,
    )
    tilt = _rotation_x(rng.normal(0, np.deg2rad(2.5), n))
    matrices = []
    for levels in choices:
        size = scale / np.stack([np.ones(n), np.ones(n), atlas_step[levels]], axis=1)
        forward = atlas_frames[levels] @ tilt
        matrices.append(np.einsum("nij,nj,nkj->nik", forward, 1.0 / size, target_frames))
    return matrices


def _frames(points: np.ndarray, axial_deg: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes (n, 3, 3; columns left, posterior, cranial) and mean step in mm at each level.

    Facets let neighbours turn against each other by a few degrees only; by the centres alone, which
    are some millimetres wrong, they would turn by many in the neck.
    """
    extended = np.concatenate(
        [2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]]
    )
    step = np.linalg.norm(np.diff(extended, axis=0), axis=1)
    cranial = _unit(ndimage.gaussian_filter1d(extended[:-2] - extended[2:], _TURN_LEVELS, axis=0))
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
