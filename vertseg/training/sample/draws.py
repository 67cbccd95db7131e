"""Host side of the factory: draws one training sample (see `draw.py`).

A sample is made from its seed alone, so any one can be made again.
"""

from __future__ import annotations

import numpy as np

from models.presets import HU_PER_UNIT, VERTEBRA_CHANNELS
from vertseg.training.factory.marrow import vary_bone
from vertseg.training.factory.outline import seen_share
from vertseg.training.recipe import Recipe, SourceVolume
from vertseg.training.sample.appearance import NoiseBank, draw_paint, draw_scanner, draw_streaks
from vertseg.training.sample.axis_matrices import bspline_matrix
from vertseg.training.sample.draw import Deformation, Draw, PerAxis, Rendering
from vertseg.training.sample.strength import weakened

_ELASTIC_CONTROLS = 6


def draw_sample(
    recipe: Recipe, source: SourceVolume, bank: NoiseBank, rng: np.random.Generator
) -> Draw:
    """All arrays that the graph needs for one sample of `source`."""
    real = source.volume.dtype != np.uint8
    segmenting = recipe.stage == "segmentation"
    volume = source.volume
    if segmenting and not real:
        volume = vary_bone(volume, source.landmarks, recipe.source_spacing_mm, rng)
    draw: Rendering = {
        "painted": np.int32(not real),
        "labels": volume.astype(np.int16),
        "noise": bank.draw(rng),
        **draw_paint(recipe, source.landmarks, rng),
        **draw_streaks(recipe, None if real else volume, rng),
        **draw_scanner(recipe, rng, real),
        "fov": _draw_field_of_view(recipe, source, rng),
        **_draw_deformation(recipe, source, rng),
        "gain": np.float32(1.0 + rng.uniform(-recipe.gain, recipe.gain)),
        "shift": np.float32(rng.uniform(-recipe.shift_hu, recipe.shift_hu) / HU_PER_UNIT),
    }
    if recipe.augmentation < 1.0:
        draw = weakened(draw, recipe, source)
    if segmenting:
        jitter = recipe.augmentation * rng.normal(0, 2.5, 3) / recipe.source_spacing_mm
        point = source.landmarks[source.wanted] + jitter
        mask = _wanted_share(source, recipe.source_spacing_mm)
        return {**draw, "landmarks": point[None].astype(np.float32), "mask": mask}
    points, state = _landmarks(recipe, source, draw["fov"])
    return {**draw, "landmarks": points, "state": state}


def _wanted_share(source: SourceVolume, spacing_mm: float) -> np.ndarray:
    """Share of each voxel that the marked vertebra takes, uint8 in 255ths.

    Masks of real scans hold what their readers saw; of painted bodies it is where the bone is, and
    whatever was implanted into it.
    """
    if source.mask is not None:
        return (source.mask == source.wanted) * np.uint8(255)
    bone = (source.volume if source.bones is None else source.bones) == source.wanted
    return np.rint(255.0 * seen_share(bone, spacing_mm)).astype(np.uint8)


def _draw_field_of_view(recipe: Recipe, source: SourceVolume, rng: np.random.Generator) -> PerAxis:
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
    windows = []
    for axis in range(3):
        index = np.arange(size[axis])
        windows.append(((index >= low[axis]) & (index <= high[axis])).astype(np.float32))
    return PerAxis(*windows)


def _draw_deformation(
    recipe: Recipe, source: SourceVolume, rng: np.random.Generator
) -> Deformation:
    angles = np.deg2rad(rng.uniform(-1, 1, 3) * recipe.rotation_deg)
    ratio = recipe.config.spacing_at(source.wanted) / recipe.source_spacing_mm
    zoom = ratio * rng.uniform(1 - recipe.scale, 1 + recipe.scale)
    matrix = _rotation(angles) * zoom
    if recipe.stage != "spine" and rng.random() < 0.5:
        matrix = np.diag([-1.0, 1.0, 1.0]) @ matrix
    shift = source.centre + rng.normal(0, 1, 3) * 0.3 * recipe.translation_mm / ratio / 3
    amplitude = rng.uniform(0, recipe.elastic_mm) / recipe.source_spacing_mm
    controls = rng.uniform(-1, 1, (3, *(_ELASTIC_CONTROLS,) * 3)) * amplitude
    return {
        "affine": np.concatenate([matrix, shift[:, None]], axis=1).astype(np.float32),
        "elastic": controls.astype(np.float32),
        "spline": PerAxis(*(bspline_matrix(n, _ELASTIC_CONTROLS) for n in recipe.size)),
        "sigma_source_px": np.float32(recipe.config.sigma_px * ratio),
    }


def _rotation(angles: np.ndarray) -> np.ndarray:
    c, s = np.cos(angles), np.sin(angles)
    x = np.array([[1, 0, 0], [0, c[0], -s[0]], [0, s[0], c[0]]])
    y = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    z = np.array([[c[2], -s[2], 0], [s[2], c[2], 0], [0, 0, 1]])
    return x @ y @ z


def _landmarks(recipe: Recipe, source: SourceVolume, fov: PerAxis) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks in source voxels and their state, see `Draw`."""
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
    return points, state


def _visibility(point: np.ndarray, fov: PerAxis, edge: float) -> int:
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
