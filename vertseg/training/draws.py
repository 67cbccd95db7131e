"""Host side of the factory: draws one training sample as a dictionary of arrays.

A `Recipe` says what a stage sees (network grid, source grid, how wide the field is); a sample is
made from its seed alone, so any one can be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.presets import VERTEBRA_CHANNELS, StageConfig
from vertseg.training import acquire, implants
from vertseg.training.atlas import Atlas
from vertseg.training.courses import Course, complete
from vertseg.training.pose import draw_anatomy, pose
from vertseg.training.tissue import draw_tissue

_ELASTIC_CONTROLS = 6
_SLOW_CONTROLS = 8


@dataclass(frozen=True)
class Recipe:
    """What the samples of one stage look like.

    Attributes:
        stage: name of the stage.
        config: its grid and target.
        size: voxels of the training grid (may be smaller than the stage's own grid).
        source_spacing_mm: spacing of the grid on which bodies are posed and painted.
        source_size: its voxels.
        rotation_deg, scale, translation_mm, elastic_mm: limits of the random deformation.
    """

    stage: str
    config: StageConfig
    size: tuple[int, int, int]
    source_spacing_mm: float
    source_size: tuple[int, int, int]
    rotation_deg: float = 10.0
    scale: float = 0.12
    translation_mm: float = 20.0
    elastic_mm: float = 6.0


def recipe_for(stage: str, config: StageConfig) -> Recipe:
    """The recipe of a stage; source grids are finer than the network's and reach beyond it.

    The training grid is the stage's own: zero padding tells a deep network where the border is,
    and a network that was trained on smaller crops loses much on larger ones.
    """
    fine, margin, limits = _RECIPES[stage]
    a, b, c = (int(fine * n * margin) // 8 * 8 for n in config.size)
    return Recipe(stage, config, config.size, config.spacing_mm / fine, (a, b, c), *limits)


_RECIPES = {
    "spine": (1.33, 1.25, (8.0, 0.15, 30.0, 10.0)),
    "vertebrae": (1.6, 1.3, (10.0, 0.12, 18.0, 6.0)),
    "segmentation": (1.28, 1.15, (12.0, 0.12, 3.0, 3.0)),
}
"""Finer source grid, how far it reaches, and rotation, scale, translation, elastic limits."""


class NoiseBank:
    """White noise drawn once; samples take a random window of it."""

    def __init__(self, size: tuple[int, int, int], seed: int = 0) -> None:
        self._size = size
        count = int(np.prod(size)) + 4_000_000
        self._bank = np.random.default_rng(seed).standard_normal(count, dtype=np.float32)
        self._bank = self._bank.astype(np.float16)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Two noise volumes (2, x, y, z), float16, standard normal."""
        count = int(np.prod(self._size))
        starts = rng.integers(len(self._bank) - count, size=2)
        return np.stack([self._bank[s : s + count].reshape(self._size) for s in starts])


@dataclass(frozen=True)
class SourceVolume:
    """Labels or HU on a recipe's source grid with the landmarks in it.

    Attributes:
        volume: uint8 labels, or int16 HU of a real scan, of the recipe's source size.
        landmarks: label -> source voxel coordinates.
        ignored: labels about which nothing is known.
        centre: source voxel coordinates of the point that the network's grid is centred on.
        wanted: the label to segment (segmentation stage).
    """

    volume: np.ndarray
    landmarks: dict[int, np.ndarray]
    ignored: frozenset[int]
    centre: np.ndarray
    wanted: int = 0


def draw_body(
    recipe: Recipe, courses: list[Course], atlas: Atlas, rng: np.random.Generator
) -> SourceVolume:
    """A posed body around a random point of its spine."""
    course = courses[rng.integers(len(courses))]
    anatomy = draw_anatomy(complete(course, courses, rng), atlas, rng)
    centres = anatomy.centres_lps_mm
    wanted_level = int(rng.integers(len(centres)))
    centre, jitter = centres[wanted_level].copy(), np.zeros(3)
    extent = np.array(recipe.source_size) * recipe.source_spacing_mm
    if recipe.stage == "segmentation":
        centre[1] += recipe.config.shift_posterior_mm
    else:
        centre[2] += rng.uniform(-90, 90)
        near = np.abs(centres[:, 2] - centre[2]) < 0.35 * extent[2]
        if near.any():
            centre[:2] = centres[near, :2].mean(0)
        jitter = rng.uniform(-1, 1, 3) * recipe.translation_mm * (1, 1, 0)
    origin = centre - 0.5 * (np.array(recipe.source_size) - 1) * recipe.source_spacing_mm
    body = pose(anatomy, atlas, origin, recipe.source_size, recipe.source_spacing_mm)
    place = {k: (p - origin) / recipe.source_spacing_mm for k, p in body.landmarks.items()}
    label = int(anatomy.labels[wanted_level])
    labels = implants.insert(body.labels, place, recipe.source_spacing_mm, rng)
    middle = (centre + jitter - origin) / recipe.source_spacing_mm
    if recipe.stage == "segmentation":
        middle = place[label] + (0, recipe.config.shift_posterior_mm / recipe.source_spacing_mm, 0)
    return SourceVolume(labels, place, frozenset(), middle, label)


def draw_sample(
    recipe: Recipe, source: SourceVolume, bank: NoiseBank, rng: np.random.Generator
) -> dict[str, Any]:
    """All arrays that the graph needs for one sample of `source`."""
    real = source.volume.dtype != np.uint8
    draw: dict[str, Any] = {"labels": source.volume.astype(np.int16)}
    draw["painted"] = np.int32(not real)
    tissue = draw_tissue(rng)
    draw.update(hu=tissue.hu, bone=tissue.bone, cortex=tissue.cortex, texture=tissue.texture)
    draw["noise"] = bank.draw(rng)
    _draw_slow(draw, recipe, rng)
    _draw_scanner(draw, recipe, rng, real)
    fov = _draw_field_of_view(draw, recipe, source, rng)
    _draw_deformation(draw, recipe, source, rng)
    draw["gain"] = np.float32(rng.uniform(0.75, 1.25))
    draw["shift"] = np.float32(rng.uniform(-0.12, 0.12))
    if recipe.stage == "segmentation":
        draw["wanted"] = np.int32(source.wanted)
        point = source.landmarks[source.wanted] + rng.normal(0, 2.5, 3) / recipe.source_spacing_mm
        draw["landmarks"] = point[None].astype(np.float32)
    else:
        _draw_landmarks(draw, recipe, source, fov)
    return draw


def _draw_slow(draw, recipe: Recipe, rng) -> None:
    draw["slow_noise"] = rng.normal(0, 0.7, (_SLOW_CONTROLS,) * 3).astype(np.float32)
    for axis, size in zip("xyz", recipe.source_size, strict=True):
        draw[f"slow_{axis}"] = acquire.bspline_matrix(size, _SLOW_CONTROLS)


def _draw_scanner(draw, recipe: Recipe, rng, real: bool) -> None:
    """Point spread, slice thickness and noise; real scans are only made a little worse."""
    spacing = recipe.source_spacing_mm
    in_plane = rng.uniform(0.0, 0.5 if real else 0.9)
    grain = rng.uniform(0.2, 0.8)
    thickness = 1.0
    if rng.random() < (0.3 if real else 0.7):
        thickness = rng.uniform(1.0, 5.0)
    thick_axis = "z" if rng.random() < 0.8 else "x"
    gain = 1.0
    for axis, size in zip("xyz", recipe.source_size, strict=True):
        psf, own = acquire.blur_matrix(size, in_plane / spacing), grain / spacing
        noise = acquire.blur_matrix(size, own)
        if axis == thick_axis and thickness > spacing:
            slices = acquire.slice_matrix(size, thickness / spacing, rng.uniform(0, 1))
            psf, noise = slices @ psf, slices @ noise
        gain *= acquire.row_norm(noise)
        draw[f"psf_{axis}"], draw[f"grain_{axis}"] = psf, noise
        sigma = recipe.config.smoothing_sigma_mm * rng.uniform(0.8, 1.15)
        draw[f"smooth_{axis}"] = acquire.blur_matrix(size, sigma / spacing)
    dose = rng.uniform(0, 15) if real else rng.uniform(0, 70) * rng.random()
    draw["noise_hu"] = np.float32(dose / gain)


def _draw_field_of_view(draw, recipe: Recipe, source: SourceVolume, rng) -> list[np.ndarray]:
    """0/1 windows along x, y, z; whole, cut along z, or a narrow column around the spine."""
    size = np.array(recipe.source_size)
    low, high = np.zeros(3), size - 1.0
    spacing = recipe.source_spacing_mm
    if rng.random() < 0.6:
        if rng.random() < 0.6:
            low[2] = source.centre[2] - rng.uniform(10, 0.5 * size[2] * spacing) / spacing
        if rng.random() < 0.6:
            high[2] = source.centre[2] + rng.uniform(10, 0.5 * size[2] * spacing) / spacing
    if rng.random() < 0.4:
        half = rng.uniform(32, 110, 2) / spacing
        middle = source.centre[:2] + rng.uniform(-12, 12, 2) / spacing
        low[:2], high[:2] = middle - half, middle + half
    windows = []
    for axis in range(3):
        index = np.arange(size[axis])
        window = ((index >= low[axis]) & (index <= high[axis])).astype(np.float32)
        draw[f"fov_{'xyz'[axis]}"] = window
        windows.append(window)
    return windows


def _draw_deformation(draw, recipe: Recipe, source: SourceVolume, rng) -> None:
    angles = np.deg2rad(rng.uniform(-1, 1, 3) * recipe.rotation_deg)
    ratio = recipe.config.spacing_mm / recipe.source_spacing_mm
    zoom = ratio * rng.uniform(1 - recipe.scale, 1 + recipe.scale)
    matrix = _rotation(angles) * zoom
    if recipe.stage != "spine" and rng.random() < 0.5:
        matrix = np.diag([-1.0, 1.0, 1.0]) @ matrix
    shift = source.centre + rng.normal(0, 1, 3) * 0.3 * recipe.translation_mm / ratio / 3
    draw["affine"] = np.concatenate([matrix, shift[:, None]], axis=1).astype(np.float32)
    axes = [np.arange(n) - 0.5 * (n - 1) for n in recipe.size]
    draw["target_grid"] = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    amplitude = rng.uniform(0, recipe.elastic_mm) / recipe.source_spacing_mm
    controls = rng.uniform(-1, 1, (3, *(_ELASTIC_CONTROLS,) * 3)) * amplitude
    draw["elastic"] = controls.astype(np.float32)
    for axis, size in zip("xyz", recipe.size, strict=True):
        draw[f"spline_{axis}"] = acquire.bspline_matrix(size, _ELASTIC_CONTROLS)
    draw["sigma_source_px"] = np.float32(recipe.config.sigma_px * ratio)


def _rotation(angles: np.ndarray) -> np.ndarray:
    c, s = np.cos(angles), np.sin(angles)
    x = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    y = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    z = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    return x @ y @ z


def _draw_landmarks(draw, recipe: Recipe, source: SourceVolume, fov: list[np.ndarray]) -> None:
    """Landmark places in source voxels and what is known: 1 in view, 0 not, -1 unknown."""
    labels = recipe.config.labels or VERTEBRA_CHANNELS
    points = np.full((len(labels), 3), -1e4, np.float32)
    state = np.zeros(len(labels), np.float32)
    edge = 9.0 / recipe.source_spacing_mm
    for channel, label in enumerate(labels):
        if label in source.ignored:
            state[channel] = -1
        elif label in source.landmarks:
            points[channel] = source.landmarks[label]
            state[channel] = _visibility(source.landmarks[label], fov, edge)
    draw["landmarks"], draw["state"] = points, state


def _visibility(point: np.ndarray, fov: list[np.ndarray], edge: float) -> int:
    """1 well inside the field of view, 0 well outside, -1 between."""
    inside = outside = True
    for axis, window in enumerate(fov):
        seen = np.flatnonzero(window)
        if not len(seen):
            return 0
        depth = min(point[axis] - seen[0], seen[-1] - point[axis])
        inside &= depth > edge
        outside &= depth > -0.5 * edge
    return 1 if inside else (-1 if outside else 0)
