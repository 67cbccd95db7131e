"""From heatmaps to places: sub-voxel local maxima, gathered over the label channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from vertseg.geometry.grid import Float32Array, FloatArray, IntArray

FIT_RADIUS = 2
"""Half size in voxels of the cube to which a peak is fitted; peaks have a sigma of about 3."""

SLAB = 8
"""Planes along x that are searched at a time; bounds the memory of the search."""

SUM_OF_CHANNELS = -1
"""The `Candidate.label_index` of a maximum of the sum over the faint channels."""


@dataclass(frozen=True)
class Candidate:
    """One local maximum of one channel.

    Attributes:
        label_index: channel of the heatmap array, or `SUM_OF_CHANNELS`.
        index_xyz: sub-voxel position in voxel indices of the heatmap array.
        value: height at the highest voxel.
    """

    label_index: int
    index_xyz: tuple[float, float, float]
    value: float


@dataclass(frozen=True)
class Places:
    """Positions at which some vertebra may sit, with the evidence for every label.

    Attributes:
        index_xyz: (N, 3) float64, voxel indices of the heatmap array.
        scores: (N, L) float64, for every channel the height of its peak at this place, 0 if none.
    """

    index_xyz: FloatArray
    scores: FloatArray


def find_candidates(
    heatmap: Float32Array, threshold: float = 0.05, max_per_label: int = 8
) -> list[Candidate]:
    """Local maxima of every channel, strongest first within a channel.

    A maximum is a voxel above the threshold that none of its 26 neighbours exceeds; of a plateau
    only the first voxel is taken. Only the voxels above the threshold are looked at, a few planes
    at a time, so the extra memory stays small whatever the number of labels.

    Args:
        heatmap: (x, y, z, L) floating array.
        threshold: smallest height of a maximum, above 0.
        max_per_label: the strongest so many are kept of each channel.

    Raises:
        ValueError: wrong number of dimensions, or a threshold that is not positive.
    """
    if heatmap.ndim != 4:
        raise ValueError(f"heatmap must have the shape (x, y, z, labels), got {heatmap.shape}")
    if threshold <= 0:
        raise ValueError(f"threshold must be positive, got {threshold}")
    voxels = np.concatenate(
        [_slab_maxima(heatmap, x, threshold) for x in range(0, heatmap.shape[0], SLAB)]
    )
    values = heatmap[tuple(voxels.T)]
    found = []
    for label_index in range(heatmap.shape[-1]):
        own = np.flatnonzero(voxels[:, 3] == label_index)
        strongest = own[np.argsort(-values[own], kind="stable")[:max_per_label]]
        channel = heatmap[..., label_index]
        for i in strongest:
            index_xyz = _refine(channel, voxels[i, :3])
            found.append(Candidate(label_index, index_xyz, float(values[i])))
    return found


def find_places(
    heatmap: Float32Array,
    spacing_mm: Sequence[float],
    threshold: float = 0.05,
    max_per_label: int = 8,
    merge_mm: float = 8.0,
    seed_threshold: float = 0.1,
    faint_threshold: float = 0.2,
) -> Places:
    """Gather the maxima of all channels into places, each with a score for every label.

    The strongest candidate claims all others within ``merge_mm``, and so on downwards. A place
    lies at the mean of its candidates, weighted by their squared heights. Where the network
    cannot tell the level, the mass of one vertebra is spread thinly over many channels, each below
    the threshold: maxima of the sum of what is below it are therefore places too.

    Args:
        heatmap: (x, y, z, L) floating array; values below 0 count as 0.
        spacing_mm: size of a voxel along the three axes.
        threshold: smallest height of a channel's maximum.
        max_per_label: the strongest so many are kept of each channel.
        merge_mm: candidates closer than this are one place (vertebrae are at least 11 mm apart).
        seed_threshold: the scores of a place sum up to at least this.
        faint_threshold: smallest maximum of the sum of what is below the threshold.

    Returns:
        Places in descending order of their strongest evidence; possibly none.
    """
    spacing = np.asarray(spacing_mm, float)
    candidates = find_candidates(heatmap, threshold, max_per_label)
    candidates.sort(key=lambda candidate: -candidate.value)
    total = np.empty((*heatmap.shape[:3], 1), np.float32)
    for x in range(len(total)):
        total[x] = _faint(heatmap[x], threshold).sum(-1, dtype=np.float32, keepdims=True)
    for candidate in find_candidates(total, faint_threshold, max_per_label * heatmap.shape[-1]):
        candidates.append(replace(candidate, label_index=SUM_OF_CHANNELS))
    positions, scores = [], []
    for group in _group(candidates, spacing, merge_mm):
        position, score = _as_place(group, heatmap, threshold)
        if score.sum() >= seed_threshold:
            positions.append(position)
            scores.append(score)
    return Places(
        np.array(positions, float).reshape(-1, 3),
        np.array(scores, float).reshape(-1, heatmap.shape[-1]),
    )


def _slab_maxima(heatmap: Float32Array, first_x: int, threshold: float) -> IntArray:
    """(n, 4) indices of the local maxima in the planes from ``first_x``, in array order."""
    voxels = np.argwhere(heatmap[first_x : first_x + SLAB] >= threshold)
    voxels[:, 0] += first_x
    end = np.array(heatmap.shape[:3]) - 1
    for offset in product((-1, 0, 1), repeat=3):
        if offset == (0, 0, 0):
            continue
        shifted = voxels[:, :3] + offset
        inside = ((shifted >= 0) & (shifted <= end)).all(1)
        x, y, z = np.clip(shifted, 0, end).T
        beside = heatmap[x, y, z, voxels[:, 3]]
        values = heatmap[tuple(voxels.T)]
        highest = values > beside if offset < (0, 0, 0) else values >= beside
        voxels = voxels[highest | ~inside]
    return voxels


def _refine(channel: Float32Array, voxel: FloatArray) -> tuple[float, float, float]:
    """Top of the paraboloid fitted to the logarithm around a voxel: exact for a Gaussian peak.

    Falls back to the voxel itself where the fit has no top within one voxel of it.
    """
    low = np.maximum(voxel - FIT_RADIUS, 0)
    box = channel[tuple(slice(a, b + FIT_RADIUS + 1) for a, b in zip(low, voxel, strict=True))]
    grid = np.indices(box.shape).reshape(3, -1) + (low - voxel)[:, None]
    values = box.astype(np.float64).ravel()
    usable = values > 0.2 * channel[tuple(voxel)]
    x, y, z = grid[:, usable]
    weights = values[usable]
    terms = np.stack([np.ones_like(x), x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], 1)
    if len(terms) > terms.shape[1]:
        fit = np.linalg.lstsq(terms * weights[:, None], np.log(weights) * weights, rcond=None)[0]
        hessian = np.diag(2 * fit[4:7])
        hessian[[0, 0, 1], [1, 2, 2]] = hessian[[1, 2, 2], [0, 0, 1]] = fit[7:]
        if np.linalg.eigvalsh(hessian)[-1] < -1e-6:
            shift = -np.linalg.solve(hessian, fit[1:4])
            if (np.abs(shift) <= 1).all():
                voxel = voxel + shift
    return float(voxel[0]), float(voxel[1]), float(voxel[2])


def _group(
    candidates: Sequence[Candidate], spacing: FloatArray, merge_mm: float
) -> list[list[Candidate]]:
    """Split candidates, given in order of precedence, into groups around their first members."""
    if not candidates:
        return []
    points = np.array([candidate.index_xyz for candidate in candidates]) * spacing
    free = np.ones(len(points), bool)
    groups = []
    for seed in range(len(points)):
        if free[seed]:
            near = free & (np.linalg.norm(points - points[seed], axis=1) < merge_mm)
            groups.append([candidates[int(i)] for i in np.flatnonzero(near)])
            free &= ~near
    return groups


def _faint(values: FloatArray, threshold: float) -> FloatArray:
    """Values of channels that say little here; higher ones belong to a peak, here or beside."""
    return np.where(values < threshold, np.maximum(values, 0), 0)


def _as_place(
    group: list[Candidate], heatmap: Float32Array, threshold: float
) -> tuple[FloatArray, FloatArray]:
    """Position and score of every channel of one group."""
    peaks = [candidate for candidate in group if candidate.label_index != SUM_OF_CHANNELS]
    if not peaks:
        position = np.array(group[0].index_xyz)
        voxel = np.clip(np.rint(position).astype(int), 0, np.array(heatmap.shape[:3]) - 1)
        return position, _faint(heatmap[tuple(voxel)].astype(float), threshold)
    scores = np.zeros(heatmap.shape[-1])
    for peak in peaks:
        scores[peak.label_index] = max(scores[peak.label_index], peak.value)
    weights = np.array([peak.value for peak in peaks]) ** 2
    position = np.average([peak.index_xyz for peak in peaks], axis=0, weights=weights)
    return position, scores
