"""Implants that join vertebrae: pedicle screws with rods, and plates in front of the neck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import FloatArray
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, region_of
from vertseg.training.factory.marrow import posterior_wall
from vertseg.training.factory.tissue import METAL
from vertseg.training.volumes import box_around

Labels = npt.NDArray[np.uint8]
Landmarks = Mapping[int, FloatArray]

PLATE_SHARE = 0.5
"""Of implants within C3-C7."""

_PEDICLE_MM = ((4.0, 22.0), (1.0, 5.0), (-8.0, 14.0))
"""Where a pedicle is looked for: aside of the centre, behind the posterior wall, above the centre.
In the neck, whose transverse processes begin beside the pedicles, not that far aside."""
_NECK_ASIDE_MM = (8.0, 15.0)
_LEAST_PEDICLE_MM3 = 30.0

_SCREW_MM = {"cervical": (1.6, 2.1), "thoracic": (2.0, 3.0), "lumbar": (2.5, 3.7)}
_BEHIND_MM = {"cervical": (10.0, 15.0), "thoracic": (14.0, 20.0), "lumbar": (18.0, 24.0)}
"""Radius of a screw, and from the pedicle to its head."""
_ROD_MM = 2.8
_FRONT_MM = 20.0


def instrument(
    labels: Labels,
    landmarks: Landmarks,
    spacing_mm: float,
    rng: np.random.Generator,
) -> None:
    """Draws the implants of two to six neighbouring vertebrae, at least one in view, in place.

    Args:
        labels: uint8 (x, y, z) with axes towards L, P, S.
        landmarks: label -> voxel coordinates of the body's centre, also outside of `labels`.
        spacing_mm: voxel size.
        rng: of the sample.
    """
    chain = [label for label in ORDER_CRANIAL_TO_CAUDAL if label in landmarks]
    seen = [place for place, label in enumerate(chain) if _is_inside(landmarks[label], labels)]
    count = min(int(rng.integers(2, 7)), len(chain))
    if not seen:
        return
    first = seen[rng.integers(len(seen))] - int(rng.integers(count))
    first = min(max(first, 0), len(chain) - count)
    chosen = {label: landmarks[label] for label in chain[first : first + count]}
    plated = all(2 < label <= 7 for label in chosen) and rng.random() < PLATE_SHARE
    (_plate if plated else _screws_and_rods)(labels, chosen, spacing_mm, rng)


def _is_inside(point: FloatArray, labels: Labels) -> bool:
    return bool((point >= 0).all() and (point <= np.array(labels.shape) - 1).all())


def _screws_and_rods(
    labels: Labels, chosen: Landmarks, spacing_mm: float, rng: np.random.Generator
) -> None:
    bones = labels.copy()
    for side in (-1, 1):
        heads = []
        for label, point in chosen.items():
            pedicle = _pedicle(bones, label, point, side, spacing_mm)
            if pedicle is not None:
                heads.append(_screw(labels, label, point, pedicle, spacing_mm, rng))
        for one, other in zip(heads[:-1], heads[1:], strict=True):
            segment(labels, one, other, _ROD_MM / spacing_mm)


def _screw(
    labels: Labels,
    label: int,
    point: FloatArray,
    pedicle: FloatArray,
    spacing_mm: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Draws a screw from the front of the body through a pedicle; the middle of its head."""
    region = region_of(label)
    share = rng.uniform((0.2, 0.1, -0.1), (0.6, 0.6, 0.1))
    tip = point + (pedicle - point) * (share[0], -share[1], share[2])
    away = (pedicle - tip) / np.linalg.norm(pedicle - tip)
    end = pedicle + away * rng.uniform(*_BEHIND_MM[region]) / spacing_mm
    radius = rng.uniform(*_SCREW_MM[region])
    segment(labels, tip, end, radius / spacing_mm)
    head = end + away * 2.0 * radius / spacing_mm
    segment(labels, end, head, 1.8 * radius / spacing_mm)
    return 0.5 * (end + head)


def _pedicle(
    bones: Labels, label: int, point: FloatArray, side: int, spacing_mm: float
) -> FloatArray | None:
    """The middle of a pedicle (3,), in voxels; None if it is not in view."""
    wall = posterior_wall(bones, label, point, spacing_mm)
    if wall is None:
        return None
    aside, behind, above = _PEDICLE_MM
    if region_of(label) == "cervical":
        aside = _NECK_ASIDE_MM
    limits = sorted((side * aside[0], side * aside[1])), behind, above
    ends = np.array(limits).T / spacing_mm + (point[0], wall[1], point[2])
    box, points = box_around(bones.shape, *ends)
    if points is None:
        return None
    own = points[:, bones[box] == label]
    if own.shape[1] * spacing_mm**3 < _LEAST_PEDICLE_MM3:
        return None
    return np.asarray(own.mean(axis=1), float)


def _plate(labels: Labels, chosen: Landmarks, spacing_mm: float, rng: np.random.Generator) -> None:
    """A plate on the front of the bodies, held by two screws in each."""
    bones = labels.copy()
    found = [_front(bones, label, point, spacing_mm) for label, point in chosen.items()]
    fronts = [front for front in found if front is not None]
    half, depth = rng.uniform(5.0, 7.0), rng.uniform(11.0, 15.0)
    for front in fronts:
        for side in (-1, 1):
            start = front + np.array([side * half, 0.0, 0.0]) / spacing_mm
            tip = front + np.array([side * half * 0.6, depth, rng.uniform(-3, 3)]) / spacing_mm
            segment(labels, start, tip, rng.uniform(1.6, 2.1) / spacing_mm)
    _cover(labels, fronts, half, spacing_mm)


def _cover(labels: Labels, fronts: Sequence[FloatArray], half_mm: float, spacing_mm: float) -> None:
    for upper, lower in zip(fronts[:-1], fronts[1:], strict=True):
        for aside in np.linspace(-half_mm, half_mm, 7):
            shift = np.array([aside, 0.0, 0.0]) / spacing_mm
            segment(labels, upper + shift, lower + shift, 1.3 / spacing_mm)


def _front(bones: Labels, label: int, point: FloatArray, spacing_mm: float) -> FloatArray | None:
    """Where the line forwards from the centre leaves the body; None if it does not."""
    if not _is_inside(point, bones):
        return None
    x, y, z = np.rint(point).astype(int)
    line = bones[x, max(y - int(_FRONT_MM / spacing_mm), 0) : y + 1, z][::-1] == label
    return None if line.all() or not line[0] else np.array([x, y - int(np.argmin(line)), z], float)


def segment(labels: Labels, start: FloatArray, end: FloatArray, radius: float) -> None:
    """Draws a rod of metal with round ends, in place; all lengths in voxels."""
    radius = max(radius, 0.6)
    low, high = np.minimum(start, end) - radius, np.maximum(start, end) + radius
    box, points = box_around(labels.shape, low, high)
    if points is None:
        return
    axis, away = end - start, points - start[:, None, None, None]
    along = np.clip(np.tensordot(axis, away, 1) / max(float(axis @ axis), 1e-9), 0, 1)
    away -= along * axis[:, None, None, None]
    labels[box][(away**2).sum(0) <= radius**2] = METAL
