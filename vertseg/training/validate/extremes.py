"""Extremes of posture and build, made from usual spine courses.

A course is a row of centres C1 ... L5 in LPS mm, shape (24, 3). Angles are Cobb angles of the curve
that is added to the one that the course has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vertseg.training.factory.atlas import LEVEL_NAMES

_LORDOSIS_DEG = (20.0, 40.0)
_KYPHOSIS_DEG = (25.0, 50.0)
_SCOLIOSIS_DEG = (35.0, 60.0)
_TALL_C2 = (1.15, 1.3)
"""A dens and body of 38 mm, where 30 to 33 mm are usual."""

Bend = dict[str, float]
"""Level -> how far the step below it is turned, as a share of the angle; linear between them."""

_LORDOSIS: Bend = {"T10": 0.0, "T12": -0.4, "L4": 0.6}
_KYPHOSIS: Bend = {"C2": 0.0, "T1": 0.5, "T11": -0.5, "L4": 0.0}
_SCOLIOSIS: Bend = {"C7": 0.0, "T4": 0.5, "T11": -0.5, "L2": 0.25, "L4": 0.0}


def hyperlordosis(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The course (24, 3) with a deeper lumbar lordosis: L5 lies further behind L4."""
    return _bent(points, _LORDOSIS, rng.uniform(*_LORDOSIS_DEG), _sagittal)


def hyperkyphosis(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The course (24, 3) with a larger thoracic kyphosis; neck and loin turn back."""
    return _bent(points, _KYPHOSIS, rng.uniform(*_KYPHOSIS_DEG), _sagittal)


def scoliosis(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The course (24, 3) with a thoracic curve, and half as large a lumbar one opposite."""
    side = rng.choice([-1.0, 1.0])
    return _bent(points, _SCOLIOSIS, side * rng.uniform(*_SCOLIOSIS_DEG), _coronal)


def tall_c2(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The course (24, 3) with a tall C2: its centre lies further from both neighbours."""
    steps = np.diff(points, axis=0)
    steps[:2] *= rng.uniform(*_TALL_C2)
    return _along(points, steps)


EXTREMES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "hyperlordosis": hyperlordosis,
    "hyperkyphosis": hyperkyphosis,
    "scoliosis": scoliosis,
    "tall C2": tall_c2,
}
"""Mark -> what makes a course (24, 3) bear it."""


def _bent(
    points: np.ndarray, bend: Bend, angle_deg: float, rotation: Callable[[float], np.ndarray]
) -> np.ndarray:
    levels = [LEVEL_NAMES.index(name) for name in bend]
    turns = np.radians(angle_deg) * np.interp(range(len(points) - 1), levels, [*bend.values()])
    steps = np.diff(points, axis=0)
    return _along(
        points, np.array([rotation(turn) @ s for turn, s in zip(turns, steps, strict=True)])
    )


def _along(points: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The course (n, 3) with other steps (n - 1, 3), about the same middle."""
    course = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    moved: np.ndarray = course - course.mean(0) + points.mean(0)
    return moved


def _sagittal(turn: float) -> np.ndarray:
    """Rotation of columns in LPS about x: what points downwards turns to the back."""
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _coronal(turn: float) -> np.ndarray:
    """Rotation of columns in LPS about y: what points downwards turns to the right."""
    c, s = np.cos(turn), np.sin(turn)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
