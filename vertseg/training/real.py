"""Real data as training sources: scans with points, and vertebra masks without their scan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from models.presets import VERTEBRA_CHANNELS
from vertseg.centroids import centroids_from_json
from vertseg.grid import Grid
from vertseg.image import read_image
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.preprocess import resample
from vertseg.training.recipe import Recipe, SourceVolume

HELD_OUT = ("totalseg", "tptbox", "taichi", "thorax1mm")
"""Scans that validate the bundled weights and are never trained on."""

UNSURE_LEVELS = {"thorax4mm": range(18, 29), "cptac": range(1, 29)}
"""Labels whose numbering is doubtful in a scan: their places are learned, their names are not."""


@dataclass(frozen=True)
class RealVolume:
    """A scan (int16 HU) or a mask (uint8 labels) at isotropic spacing on an LPS grid.

    Attributes:
        name: subject.
        volume: (x, y, z).
        landmarks: label -> voxel coordinates.
        unnamed: labels of landmarks whose name is doubtful.
        doubtful: label -> where a vertebra may lie that the border cuts.
    """

    name: str
    volume: np.ndarray
    landmarks: dict[int, np.ndarray]
    unnamed: frozenset[int] = frozenset()
    doubtful: Mapping[int, np.ndarray] = field(default_factory=dict)


def load_scans(data: Path, spacing_mm: float, hold_out=HELD_OUT) -> list[RealVolume]:
    """Scans of ``ct/`` in BIDS layout that have points, at `spacing_mm`."""
    scans = []
    for path in sorted(data.glob("ct/rawdata/sub-*/*_ct.nii.gz")):
        name = path.parent.name.removeprefix("sub-")
        points = data / "ct/derivatives" / path.parent.name / f"sub-{name}_seg-subreg_ctd.json"
        if name in hold_out or not points.exists():
            continue
        image = read_image(path)
        grid = _isotropic(image.grid, spacing_mm)
        volume = resample(image, grid, 0.4 * spacing_mm, normalise=False)
        hu = np.rint(volume).astype(np.int16)
        landmarks = _landmarks(points, image.grid, grid)
        unnamed = frozenset(UNSURE_LEVELS.get(name, ()))
        scans.append(RealVolume(name, hu, landmarks, unnamed, _cut_neighbours(landmarks)))
    return scans


def load_masks(data: Path, spacing_mm: float, hold_out=HELD_OUT) -> list[RealVolume]:
    """Vertebra masks of ``masks/`` at `spacing_mm`, nearest label; landmarks of whole vertebrae."""
    masks = []
    for path in sorted(data.glob("masks/derivatives/sub-*/*_msk.nii.gz")):
        name = path.parent.name.removeprefix("sub-")
        if name in hold_out:
            continue
        image = nib.load(path)
        source = Grid.from_affine_ras(image.shape, image.affine)
        grid = _isotropic(source, spacing_mm)
        matrix = grid.index_map_to(source)
        labels = np.asarray(image.dataobj).astype(np.uint8)
        volume = ndimage.affine_transform(
            labels, matrix[:3, :3], matrix[:3, 3], output_shape=grid.size, order=0
        )
        landmarks = _centres(volume)
        points = path.with_name(f"sub-{name}_seg-subreg_ctd.json")
        if points.exists():
            given = _landmarks(points, source, grid)
            landmarks = {label: given[label] for label in landmarks if label in given}
        masks.append(RealVolume(name, volume, landmarks))
    return masks


def draw_scan(
    recipe: Recipe, scans: list[RealVolume], rng: np.random.Generator, outside: int = -1024
) -> SourceVolume:
    """A window of a random scan, around a random point of its spine; `outside` beyond it."""
    scan = scans[rng.integers(len(scans))]
    points = np.array([*scan.landmarks.values()])
    centre = points[rng.integers(len(points))].copy()
    spacing = recipe.source_spacing_mm
    centre[2] += rng.uniform(-90, 90) / spacing
    near = np.abs(points[:, 2] - centre[2]) < 0.35 * recipe.source_size[2]
    if near.any():
        centre[:2] = points[near, :2].mean(0)
    centre[:2] += rng.uniform(-1, 1, 2) * recipe.translation_mm / spacing
    return _window_around(scan, recipe, centre, outside)


def draw_vertebra(
    recipe: Recipe, volumes: list[RealVolume], rng: np.random.Generator
) -> SourceVolume:
    """The window of a random label volume that the segmentation stage sees of a random vertebra."""
    volume = volumes[rng.integers(len(volumes))]
    label = int(rng.choice(list(volume.landmarks)))
    shift = recipe.config.shift_posterior_mm / recipe.source_spacing_mm
    centre = volume.landmarks[label] + (0, shift, 0)
    return _window_around(volume, recipe, centre, outside=0, wanted=label)


def _isotropic(grid: Grid, spacing_mm: float) -> Grid:
    low, high = grid.bounds_lps_mm()
    size = np.maximum(np.rint((high - low) / spacing_mm).astype(int), 1)
    return Grid.axis_aligned(0.5 * (low + high), tuple(int(n) for n in size), (spacing_mm,) * 3)


def _landmarks(path: Path, source: Grid, grid: Grid) -> dict[int, np.ndarray]:
    """Points in voxels of `grid`."""
    centroids, _ = centroids_from_json(json.loads(path.read_text()), source)
    return {c.label: np.array(grid.lps_to_index(c.point_lps_mm)) for c in centroids}


def _cut_neighbours(landmarks: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Where the course goes on above and below, at two more levels each: only whole vertebrae
    have points, so there may be a cut one; nothing lies above C1 and below L5 or L6."""
    labels = sorted(landmarks, key=ORDER_CRANIAL_TO_CAUDAL.index)
    found = {}
    if len(labels) < 2:
        return found
    for end, inner, step in ((labels[0], labels[1], -1), (labels[-1], labels[-2], 1)):
        offset = landmarks[end] - landmarks[inner]
        for count in (1, 2):
            label = end + step * count
            if 1 <= label <= 24 and end <= 24:
                found[label] = landmarks[end] + count * offset
    return found


def _centres(labels: np.ndarray) -> dict[int, np.ndarray]:
    """Rough centre of each whole vertebral body: middle of the label's anterior half."""
    centres = {}
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or label not in VERTEBRA_CHANNELS or _touches_border(box, labels.shape):
            continue
        index = np.argwhere(labels[box] == label)
        front = index[:, 1] < np.quantile(index[:, 1], 0.5)
        centre = index[front].mean(0) + [s.start for s in box]
        centres[label] = centre
    return centres


def _touches_border(box, shape) -> bool:
    return any(s.start == 0 or s.stop == n for s, n in zip(box, shape, strict=True))


def _window_around(
    scan: RealVolume, recipe: Recipe, centre: np.ndarray, outside: int, wanted: int = 0
) -> SourceVolume:
    """The part of `scan` under the recipe's source grid centred on `centre`."""
    size = np.array(recipe.source_size)
    start = np.rint(centre - 0.5 * (size - 1)).astype(int)
    low, high = np.maximum(start, 0), np.minimum(start + size, scan.volume.shape)
    window = np.full(recipe.source_size, outside, scan.volume.dtype)
    if (high > low).all():
        into = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
        window[into] = scan.volume[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    landmarks = {label: point - start for label, point in scan.landmarks.items()}
    doubtful = {label: point - start for label, point in scan.doubtful.items()}
    middle = np.asarray(centre) - start
    return SourceVolume(window, landmarks, middle, wanted, scan.unnamed, doubtful)
