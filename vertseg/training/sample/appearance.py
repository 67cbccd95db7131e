"""Draws how a volume looks in a scan: tissues, metal streaks, scanner and noise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from models.matrices import blur_matrix
from vertseg.labels import label_of
from vertseg.training.factory.marrow import behind_bodies
from vertseg.training.factory.streaks import expand, metal_streaks
from vertseg.training.factory.tissue import draw_tissue
from vertseg.training.recipe import Recipe
from vertseg.training.sample import axis_matrices as acquire
from vertseg.training.sample.draw import Paint, PerAxis, Scanner, Streaks
from vertseg.training.sample.strength import smoothing_voxels

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


_STARTS = 4_000_000
"""Places in the noise where a window can begin."""


class NoiseBank:
    """White noise drawn once; samples take a random window of it."""

    def __init__(self, size: tuple[int, int, int], seed: int = 0) -> None:
        self._size, self._seed = size, seed
        self._window = int(np.prod(size))

    @cached_property
    def values(self) -> np.ndarray:
        """All of it, (n,) float16; drawn when it is first asked for."""
        rng = np.random.default_rng(self._seed)
        return rng.standard_normal(self._window + _STARTS, dtype=np.float32).astype(np.float16)

    def starts(self, rng: np.random.Generator) -> np.ndarray:
        """Where two windows begin, (2,) int32."""
        return rng.integers(_STARTS, size=2).astype(np.int32)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Two noise volumes (2, x, y, z), float16, standard normal."""
        windows = [self.values[start : start + self._window] for start in self.starts(rng)]
        return np.stack([window.reshape(self._size) for window in windows])


class NoiseOnDevice(NoiseBank):
    """The same noise, which the trainer holds on its device: a draw says where windows begin."""

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Where its two windows begin, (2,) int32."""
        return self.starts(rng)


def draw_paint(
    recipe: Recipe, landmarks: Mapping[int, np.ndarray], rng: np.random.Generator
) -> Paint:
    """What the tissues look like: tables over the labels, and slow textures.

    In arches the bone is denser than in bodies, or hollow, and never as faint as muscle.

    Args:
        recipe: whose source grid it is.
        landmarks: label -> (3,) source voxel, which tell where arches are.
        rng: generator.
    """
    tissue = draw_tissue(rng)
    shell = min(1.0, rng.uniform(*_SHELL_MM) / recipe.source_spacing_mm)
    body = tissue.hu[label_of("L1")]
    arch = max(rng.uniform(-120, 150), _LEAST_ARCH_HU - body)
    layers = rng.uniform(*_ARCH_SHELL_MM) / recipe.source_spacing_mm
    arch_cortex = rng.uniform(*_ARCH_CORTEX_HU) * np.clip((layers, layers - 1.0), 0.0, 1.0)
    marrow = max(rng.uniform(-350, 50) * rng.random(), _LEAST_MARROW_HU - body - arch)
    return {
        "hu": tissue.hu,
        "bone": tissue.bone,
        "cortex": tissue.cortex * np.float32(shell),
        "texture": tissue.texture,
        "behind": behind_bodies(landmarks, recipe.source_size, recipe.source_spacing_mm),
        "arch_hu": np.float32(arch),
        "arch_cortex_hu": arch_cortex.astype(np.float32),
        "arch_core_hu": np.float32(marrow),
        "patchy_cortex": np.float32(rng.uniform(0, 0.8)),
        "patchy_hu": np.float32(rng.uniform(0, 90) * rng.random()),
        "slow_noise": rng.normal(0, 0.7, (_SLOW_CONTROLS,) * 3).astype(np.float32),
        "slow": PerAxis(*(acquire.bspline_matrix(n, _SLOW_CONTROLS) for n in recipe.source_size)),
    }


def draw_streaks(recipe: Recipe, labels: np.ndarray | None, rng: np.random.Generator) -> Streaks:
    """The streaks of metal in `labels` (x, y, z); None for a real scan, which has its own."""
    if labels is None:
        labels = np.zeros(recipe.source_size, np.uint8)
    x, y, z = recipe.source_size
    return {
        "streaks": metal_streaks(labels, recipe.source_spacing_mm, rng),
        "streaks_onto": PerAxis(expand(x), expand(y), np.eye(z, dtype=np.float32)),
    }


def draw_scanner(
    recipe: Recipe, rng: np.random.Generator, real: bool, thickness_mm: float | None = None
) -> Scanner:
    """Point spread, slices and noise; real scans are only made a little worse.

    Noise is sometimes drawn out along x, as through shoulders and hips.

    Args:
        recipe: whose source grid it is.
        rng: generator.
        real: whether it is a real scan.
        thickness_mm: of the slices, along z; drawn, along z or x, if None.
    """
    spacing = recipe.source_spacing_mm
    in_plane = rng.uniform(0.0, 0.5) if real else rng.uniform(0.3, 1.0)
    grain = rng.uniform(0.2, 0.8)
    thickness = 1.0
    if rng.random() < (0.3 if real else 0.7):
        thickness = 1.0 + 5.0 * rng.random() ** 2
    thick_axis = "z" if rng.random() < 0.8 else "x"
    if thickness_mm is not None:
        thickness, thick_axis = thickness_mm, "z"
    gain = 1.0
    drawn_out = rng.uniform(1.5, 6.0) if not real and rng.random() < 0.15 else 1.0
    psfs, grains, smooths = [], [], []
    for axis, size in zip("xyz", recipe.source_size, strict=True):
        psf, own = blur_matrix(size, in_plane / spacing), grain / spacing
        own *= drawn_out if axis == "x" else 1.0
        noise = blur_matrix(size, own)
        if axis == thick_axis and thickness > spacing:
            slices = acquire.slice_matrix(size, thickness / spacing, rng.uniform(0, 1))
            psf, noise = slices @ psf, slices @ noise
        gain *= acquire.row_norm(noise)
        sigma = smoothing_voxels(recipe, real) * rng.uniform(0.8, 1.15)
        psfs.append(psf)
        grains.append(noise)
        smooths.append(acquire.smoothing_matrix(size, sigma))
    dose = rng.uniform(0, 15) if real else rng.uniform(0, 70) * rng.random()
    return {
        "psf": PerAxis(*psfs),
        "grain": PerAxis(*grains),
        "smooth": PerAxis(*smooths),
        "noise_hu": np.float32(dose / gain),
    }
