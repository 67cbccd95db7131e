"""What is in a vertebra besides cortex and trabeculae: a vein, fat, dense bone, thick arches."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.training.boxes import box_around
from vertseg.training.tissue import DENSE, MARROW

_WALL_MM = 26.0
_ARCH_MM = 15.0


def vary_bone(
    labels: np.ndarray,
    landmarks: Mapping[int, np.ndarray],
    spacing_mm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Labels (x, y, z; axes towards L, P, S) with places of other density inside of vertebrae.

    Most bodies get the canal of the basivertebral vein, which opens the middle of the posterior
    wall; some get an island of fatty marrow; in some patients there is dense bone, as beside worn
    joints, around the dens and in metastases. All of it stays part of the vertebra: take its mask
    first.

    Args:
        labels: uint8 label map.
        landmarks: label -> voxel coordinates of the body's centre.
        spacing_mm: voxel size.
        rng: of the sample.
    """
    labels = labels.copy()
    veins, islands = rng.choice([0.0, 0.8]), rng.choice([0.0, 0.25])
    dense = rng.choice([0.0, 0.0, 0.5])
    for label, point in landmarks.items():
        if label > 2 and rng.random() < veins:
            wall = _posterior_wall(labels, label, point, spacing_mm)
            if wall is not None:
                radii = rng.uniform((2.5, 3.0, 1.5), (6.0, 11.0, 4.0)) / spacing_mm
                _replace(labels, label, wall, radii)
        if rng.random() < islands:
            spread = np.array((14.0, 14.0, 8.0)) / spacing_mm
            centre = point + rng.normal(0.0, 1.0, 3) * spread + (0, rng.choice([0, 35]), 0)
            _replace(labels, label, centre, rng.uniform(2.5, 8.0, 3) / spacing_mm)
        if rng.random() < dense:
            for _ in range(rng.integers(1, 4)):
                spread = np.array((16.0, 20.0, 12.0)) / spacing_mm
                centre = point + rng.normal(0.0, 1.0, 3) * spread
                _replace(labels, label, centre, rng.uniform(2.5, 9.0, 3) / spacing_mm, DENSE)
    return labels


def _posterior_wall(labels, label: int, point: np.ndarray, spacing_mm: float) -> np.ndarray | None:
    """Where the line backwards from the centre leaves the body; None if it does not."""
    x, y, z = np.rint(point).astype(int)
    if not (0 <= x < labels.shape[0] and 0 <= z < labels.shape[2] and 0 <= y < labels.shape[1]):
        return None
    line = labels[x, y : y + int(_WALL_MM / spacing_mm), z] == label
    if line.all() or not line[:1].all():
        return None
    return np.array([x, y + int(np.argmin(line)), z], float)


def _replace(labels, label: int, centre: np.ndarray, radii: np.ndarray, by: int = MARROW) -> None:
    """Replaces the ellipsoid's part of `label`, in place."""
    box, points = box_around(labels.shape, centre - radii, centre + radii)
    if points is None:
        return
    away = (points - centre[:, None, None, None]) / radii[:, None, None, None]
    view = labels[box]
    view[(view == label) & ((away**2).sum(0) < 1.0)] = by


def behind_bodies(
    landmarks: Mapping[int, np.ndarray], size: tuple[int, int, int], spacing_mm: float
) -> np.ndarray:
    """From 0 at the vertebral bodies to 1 at their arches, float32 (y, z), along the course."""
    chain = [landmarks[label] for label in ORDER_CRANIAL_TO_CAUDAL if label in landmarks]
    if not chain:
        return np.zeros(size[1:], np.float32)
    points = np.array(chain)[::-1]
    course = np.interp(np.arange(size[2]), points[:, 2], points[:, 1])
    depth = (np.arange(size[1])[:, None] - course) * spacing_mm
    return np.clip((depth - _ARCH_MM) / 5.0, 0.0, 1.0).astype(np.float32)
