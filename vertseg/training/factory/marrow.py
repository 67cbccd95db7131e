"""What is in a vertebra besides cortex and trabeculae: vein, fat, dense bone, arches, joints."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of, region_of
from vertseg.training.factory.tissue import BONES, DENSE, JOINT, MARROW, VERTEBRAE_AND_SACRUM
from vertseg.training.volumes import box_around

_WALL_MM = 26.0
_ARCH_MM = 15.0
_JOINTS_MM = (8.0, 18.0)
"""How far behind the centres facet joints begin, in the neck and below it."""
_ATLAS = label_of("C1")


def vary_bone(
    labels: np.ndarray,
    landmarks: Mapping[int, np.ndarray],
    spacing_mm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Labels (x, y, z; axes towards L, P, S) with places of other density inside of vertebrae.

    Most bodies get the canal of the basivertebral vein, which opens the middle of the posterior
    wall; some get an island of fatty marrow; in some patients there is dense bone, as beside worn
    joints, often that of dens and atlas, and in metastases. Where bones touch in a joint, its
    cartilage parts them, in most patients. All of it stays part of the vertebra: take its mask
    first.

    Args:
        labels: uint8 label map.
        landmarks: label -> voxel coordinates of the body's centre.
        spacing_mm: voxel size.
        rng: of the sample.
    """
    bones, labels = labels, labels.copy()
    veins, islands = rng.choice([0.0, 0.8]), rng.choice([0.0, 0.25])
    dense = rng.choice([0.0, 0.0, 0.5])
    for label, point in landmarks.items():
        if label > 2 and rng.random() < veins:
            wall = posterior_wall(labels, label, point, spacing_mm)
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
    if _ATLAS in landmarks and rng.random() < 0.3:
        centre = landmarks[_ATLAS] + np.array((0, -6.0, 0.0)) / spacing_mm
        radii = rng.uniform((4.0, 5.0, 4.0), (11.0, 11.0, 12.0)) / spacing_mm
        for label in (_ATLAS, _ATLAS + 1):
            _replace(labels, label, centre + rng.normal(0, 3.0, 3) / spacing_mm, radii, DENSE)
    if landmarks and rng.random() < 0.85:
        behind = _depths(landmarks, bones.shape, spacing_mm, *_JOINTS_MM) > 0
        _open_joints(labels, bones, behind, rng)
    return labels


def _open_joints(
    labels: np.ndarray, bones: np.ndarray, behind: np.ndarray, rng: np.random.Generator
) -> None:
    """Turns a layer of voxels where two of `bones` touch into cartilage, in place.

    Vertebrae have joints at their arches, (y, z) where `behind`; what joins their bodies is fused.
    The atlas, ribs and skull have them wherever they touch, and so has the sacrum with the hips.
    """
    is_bone, is_chain = np.zeros(256, bool), np.zeros(256, bool)
    is_bone[list(BONES)], is_chain[list(VERTEBRAE_AND_SACRUM)] = True, True
    is_chain[_ATLAS] = False
    both_sides = rng.random() < 0.4
    for axis in range(3):
        one, other = (
            np.moveaxis(np.moveaxis(bones, axis, 0)[part], 0, axis)
            for part in (slice(None, -1), slice(1, None))
        )
        places = np.stack(np.nonzero((one != other) & is_bone[one] & is_bone[other]))
        pair = is_chain[one[tuple(places)]] & is_chain[other[tuple(places)]]
        places = places[:, ~pair | behind[places[1], places[2]]]
        for beyond in (0, 1) if both_sides else (int(rng.integers(2)),):
            places[axis] += beyond
            labels[tuple(places)] = JOINT


def posterior_wall(
    labels: np.ndarray, label: int, point: np.ndarray, spacing_mm: float
) -> np.ndarray | None:
    """Where the line backwards from the centre leaves the body; None if it does not."""
    x, y, z = np.rint(point).astype(int)
    if not (0 <= x < labels.shape[0] and 0 <= z < labels.shape[2] and 0 <= y < labels.shape[1]):
        return None
    line = labels[x, y : y + int(_WALL_MM / spacing_mm), z] == label
    if line.all() or not line[:1].all():
        return None
    return np.array([x, y + int(np.argmin(line)), z], float)


def _replace(
    labels: np.ndarray, label: int, centre: np.ndarray, radii: np.ndarray, by: int = MARROW
) -> None:
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
    if not landmarks:
        return np.zeros(size[1:], np.float32)
    depth = _depths(landmarks, size, spacing_mm, _ARCH_MM, _ARCH_MM)
    return np.clip(depth / 5.0, 0.0, 1.0).astype(np.float32)


def _depths(
    landmarks: Mapping[int, np.ndarray],
    size: tuple[int, int, int],
    spacing_mm: float,
    neck_mm: float,
    below_mm: float,
) -> np.ndarray:
    """How far each (y, z) lies behind the course, less `neck_mm` in the neck, `below_mm` below."""
    chain = [label for label in ORDER_CRANIAL_TO_CAUDAL[::-1] if label in landmarks]
    points = np.array([landmarks[label] for label in chain])
    offsets = [neck_mm if region_of(label) == "cervical" else below_mm for label in chain]
    rows = np.arange(size[2])
    course = np.interp(rows, points[:, 2], points[:, 1])
    depth = (np.arange(size[1])[:, None] - course) * spacing_mm
    return depth - np.interp(rows, points[:, 2], offsets)
