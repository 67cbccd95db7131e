"""Weaker augmentation: a draw moved towards the one that changes nothing.

At strength 0 the image that training makes of a source is the one that the network is given of it
when it is used; at strength 1 the draw is as it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vertseg.training.recipe import PRESMOOTHING, Recipe, SourceVolume
from vertseg.training.sample.axis_matrices import smoothing_matrix
from vertseg.training.sample.draw import PerAxis, Rendering


def smoothing_voxels(recipe: Recipe, real: bool) -> float:
    """Standard deviation in source voxels of the smoothing that is left to do.

    Real scans have been smoothed before they came onto the source grid.
    """
    sigma = recipe.config.smoothing_sigma_mm / recipe.source_spacing_mm
    return float(np.sqrt(max(sigma**2 - PRESMOOTHING**2, 0.0))) if real else sigma


def weakened(draw: Rendering, recipe: Recipe, source: SourceVolume) -> Rendering:
    """`draw` of `source` moved towards no augmentation, as far as the recipe says.

    Scanner, intensity, deformation and field of view are weakened; a mirror image stays one, but
    for strength 0. Tissues and anatomy stay as they were drawn: they belong to the source.
    """
    strength = np.float32(recipe.augmentation)
    sigma = smoothing_voxels(recipe, real=source.volume.dtype != np.uint8)
    sharp = [np.eye(n, dtype=np.float32) for n in recipe.source_size]
    smooth = [smoothing_matrix(n, sigma) for n in recipe.source_size]
    ratio = recipe.config.spacing_at(source.wanted) / recipe.source_spacing_mm
    mirrored = strength > 0 and np.linalg.det(draw["affine"][:, :3]) < 0
    plain = np.diag([-ratio if mirrored else ratio, ratio, ratio])
    centred = np.concatenate([plain, np.asarray(source.centre)[:, None]], axis=1)
    return {
        **draw,
        "psf": _mixed_axes(draw["psf"], sharp, strength),
        "smooth": _mixed_axes(draw["smooth"], smooth, strength),
        "fov": PerAxis(*(_widened(window, float(strength)) for window in draw["fov"])),
        "noise_hu": draw["noise_hu"] * strength,
        "shift": draw["shift"] * strength,
        "elastic": draw["elastic"] * strength,
        "gain": _mixed(draw["gain"], np.float32(1.0), strength),
        "affine": _mixed(draw["affine"], centred.astype(np.float32), strength),
    }


def _mixed_axes(drawn: PerAxis, neutral: list[np.ndarray], strength: np.float32) -> PerAxis:
    return PerAxis(*(_mixed(d, n, strength) for d, n in zip(drawn, neutral, strict=True)))


def _mixed(drawn: Any, neutral: Any, strength: np.float32) -> Any:
    return neutral + strength * (drawn - neutral)


def _widened(window: np.ndarray, strength: float) -> np.ndarray:
    """A 0/1 window with its borders moved outwards; the whole axis at strength 0."""
    seen = np.flatnonzero(window)
    if not len(seen):
        return np.ones_like(window) if strength == 0 else window
    low = int(np.floor(strength * seen[0]))
    high = len(window) - 1 - int(np.floor(strength * (len(window) - 1 - seen[-1])))
    index = np.arange(len(window))
    return ((index >= low) & (index <= high)).astype(np.float32)
