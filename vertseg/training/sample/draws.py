"""Host side of the factory: draws one training sample as a dictionary of arrays.

A sample is made from its seed alone, so any one can be made again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from models.matrices import blur_matrix
from models.presets import VERTEBRA_CHANNELS
from vertseg.labels import label_of
from vertseg.training.factory.marrow import behind_bodies, vary_bone
from vertseg.training.factory.outline import seen_share
from vertseg.training.factory.streaks import expand, metal_streaks
from vertseg.training.factory.tissue import CEMENT, draw_tissue
from vertseg.training.recipe import Recipe, SourceVolume
from vertseg.training.sample import axis_matrices as acquire
from vertseg.training.sample.strength import smoothing_voxels, weaken
from vertseg.training.sample.synthesis import HU_SCALE

_ELASTIC_CONTROLS = 6
_SLOW_CONTROLS = 8
_SHELL_MM = (0.5, 1.3)
"""Thickness of end plates and cortex; a coarser voxel holds only so much of it."""
_LEAST_ARCH_HU = 120.0
"""Of arches, also where the bodies have lost their bone."""
_LEAST_MARROW_HU = -60.0
"""Of the middle of arches: fat."""
_ARCH_SHELL_MM = (0.6, 2.4)
"""Thickness of the cortex of arches; it comes on top of the thin shell of all bone."""
_ARCH_CORTEX_HU = (200.0, 1500.0)


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


def draw_sample(
    recipe: Recipe, source: SourceVolume, bank: NoiseBank, rng: np.random.Generator
) -> dict[str, Any]:
    """All arrays that the graph needs for one sample of `source`."""
    real = source.volume.dtype != np.uint8
    draw: dict[str, Any] = {"painted": np.int32(not real)}
    volume = source.volume
    if recipe.stage == "segmentation":
        draw["mask"] = _wanted_share(source, recipe.source_spacing_mm)
        if not real:
            volume = vary_bone(volume, source.landmarks, recipe.source_spacing_mm, rng)
    draw["labels"] = volume.astype(np.int16)
    draw["noise"] = bank.draw(rng)
    draw_paint(draw, recipe, source.landmarks, rng)
    draw_streaks(draw, recipe, None if real else volume, rng)
    draw_scanner(draw, recipe, rng, real)
    _draw_field_of_view(draw, recipe, source, rng)
    _draw_deformation(draw, recipe, source, rng)
    draw["gain"] = np.float32(1.0 + rng.uniform(-recipe.gain, recipe.gain))
    draw["shift"] = np.float32(rng.uniform(-recipe.shift_hu, recipe.shift_hu) / HU_SCALE)
    if recipe.augmentation < 1.0:
        weaken(draw, recipe, source)
    if recipe.stage == "segmentation":
        jitter = recipe.augmentation * rng.normal(0, 2.5, 3) / recipe.source_spacing_mm
        point = source.landmarks[source.wanted] + jitter
        draw["landmarks"] = point[None].astype(np.float32)
    else:
        _draw_landmarks(draw, recipe, source, [draw[f"fov_{axis}"] for axis in "xyz"])
    return draw


def _wanted_share(source: SourceVolume, spacing_mm: float) -> np.ndarray:
    """Share of each voxel that the wanted vertebra takes, uint8 in 255ths.

    Masks of real scans hold what their readers saw; of painted bodies it is where the bone is.
    """
    if source.mask is not None:
        return (source.mask == source.wanted) * np.uint8(255)
    bone = source.volume == source.wanted
    if (source.volume == CEMENT).any():
        bone = ndimage.binary_fill_holes(bone)
    return np.rint(255.0 * seen_share(bone, spacing_mm)).astype(np.uint8)


def draw_paint(draw, recipe: Recipe, landmarks, rng) -> None:
    """Adds what the tissues look like to `draw`: tables over the labels, and slow textures.

    In arches the bone is denser than in bodies, or hollow, and never as faint as muscle;
    `landmarks` (voxels) tell where.
    """
    tissue = draw_tissue(rng)
    shell = min(1.0, rng.uniform(*_SHELL_MM) / recipe.source_spacing_mm)
    cortex = tissue.cortex * np.float32(shell)
    draw.update(hu=tissue.hu, bone=tissue.bone, cortex=cortex, texture=tissue.texture)
    draw["behind"] = behind_bodies(landmarks, recipe.source_size, recipe.source_spacing_mm)
    body = tissue.hu[label_of("L1")]
    arch = max(rng.uniform(-120, 150), _LEAST_ARCH_HU - body)
    draw["arch_hu"] = np.float32(arch)
    layers = rng.uniform(*_ARCH_SHELL_MM) / recipe.source_spacing_mm
    cortex = rng.uniform(*_ARCH_CORTEX_HU) * np.clip((layers, layers - 1.0), 0.0, 1.0)
    draw["arch_cortex_hu"] = cortex.astype(np.float32)
    marrow = max(rng.uniform(-350, 50) * rng.random(), _LEAST_MARROW_HU - body - arch)
    draw["arch_core_hu"] = np.float32(marrow)
    draw["patchy_cortex"] = np.float32(rng.uniform(0, 0.8))
    draw["patchy_hu"] = np.float32(rng.uniform(0, 90) * rng.random())
    draw["slow_noise"] = rng.normal(0, 0.7, (_SLOW_CONTROLS,) * 3).astype(np.float32)
    for axis, size in zip("xyz", recipe.source_size, strict=True):
        draw[f"slow_{axis}"] = acquire.bspline_matrix(size, _SLOW_CONTROLS)


def draw_streaks(draw, recipe: Recipe, labels: np.ndarray | None, rng) -> None:
    """Adds the streaks of metal in `labels` to `draw`, and the matrices onto the source grid.

    A real scan has its own streaks, and no `labels`.
    """
    if labels is None:
        labels = np.zeros(recipe.source_size, np.uint8)
    draw["streaks"] = metal_streaks(labels, recipe.source_spacing_mm, rng)
    x, y, z = recipe.source_size
    draw.update(streaks_x=expand(x), streaks_y=expand(y), streaks_z=np.eye(z, dtype=np.float32))


def draw_scanner(draw, recipe: Recipe, rng, real: bool, thickness_mm: float | None = None) -> None:
    """Adds point spread, slices and noise to `draw`; real scans are only made a little worse.

    Noise is sometimes drawn out along x, as through shoulders and hips.
    The slice thickness is drawn, along z or x, unless it is given, along z.
    """
    spacing = recipe.source_spacing_mm
    in_plane = rng.uniform(0.0, 0.5) if real else rng.uniform(0.3, 1.0)
    grain = rng.uniform(0.2, 0.8)
    thickness = 1.0
    if rng.random() < (0.3 if real else 0.7):
        thickness = 1.0 + 4.0 * rng.random() ** 2
    thick_axis = "z" if rng.random() < 0.8 else "x"
    if thickness_mm is not None:
        thickness, thick_axis = thickness_mm, "z"
    gain = 1.0
    streaks = rng.uniform(1.5, 6.0) if not real and rng.random() < 0.15 else 1.0
    for axis, size in zip("xyz", recipe.source_size, strict=True):
        psf, own = blur_matrix(size, in_plane / spacing), grain / spacing
        own *= streaks if axis == "x" else 1.0
        noise = blur_matrix(size, own)
        if axis == thick_axis and thickness > spacing:
            slices = acquire.slice_matrix(size, thickness / spacing, rng.uniform(0, 1))
            psf, noise = slices @ psf, slices @ noise
        gain *= acquire.row_norm(noise)
        draw[f"psf_{axis}"], draw[f"grain_{axis}"] = psf, noise
        sigma = smoothing_voxels(recipe, real) * rng.uniform(0.8, 1.15)
        draw[f"smooth_{axis}"] = acquire.smoothing_matrix(size, sigma)
    dose = rng.uniform(0, 15) if real else rng.uniform(0, 70) * rng.random()
    draw["noise_hu"] = np.float32(dose / gain)


def _draw_field_of_view(draw, recipe: Recipe, source: SourceVolume, rng) -> None:
    """0/1 windows along x, y, z; whole, cut along z, or a narrow column around the spine."""
    size = np.array(recipe.source_size)
    low, high = np.zeros(3), size - 1.0
    spacing = recipe.source_spacing_mm
    if rng.random() < 0.6:
        if rng.random() < 0.6:
            low[2] = source.centre[2] - rng.uniform(10, 0.5 * size[2] * spacing) / spacing
        if rng.random() < 0.6:
            high[2] = source.centre[2] + rng.uniform(10, 0.5 * size[2] * spacing) / spacing
    if rng.random() < 0.5:
        half = rng.uniform(32, 100, 2) / spacing
        middle = source.centre[:2] + rng.uniform(-12, 12, 2) / spacing
        low[:2], high[:2] = middle - half, middle + half
    for axis in range(3):
        index = np.arange(size[axis])
        window = (index >= low[axis]) & (index <= high[axis])
        draw[f"fov_{'xyz'[axis]}"] = window.astype(np.float32)


def _draw_deformation(draw, recipe: Recipe, source: SourceVolume, rng) -> None:
    angles = np.deg2rad(rng.uniform(-1, 1, 3) * recipe.rotation_deg)
    ratio = recipe.config.spacing_at(source.wanted) / recipe.source_spacing_mm
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
    """Landmarks in source voxels and their state: 1 seen, 2 seen but unnamed, 0 not, -1 unsure."""
    labels = recipe.config.labels or VERTEBRA_CHANNELS
    points = np.full((len(labels), 3), -1e4, np.float32)
    state = np.zeros(len(labels), np.float32)
    edge = 9.0 / recipe.source_spacing_mm
    for row, label in enumerate(labels):
        if label in source.doubtful:
            points[row], state[row] = source.doubtful[label], -1
        elif label in source.landmarks:
            points[row] = source.landmarks[label]
            state[row] = _visibility(points[row], fov, edge)
            if state[row] == 1 and label in source.unnamed:
                state[row] = 2
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
