"""Implants, cement and fillings of teeth, drawn into a label volume."""

from __future__ import annotations

import numpy as np

from vertseg.phantom import Tissue
from vertseg.training.factory.instrumentation import instrument
from vertseg.training.factory.tissue import CALCIFICATION, CEMENT, GAS, METAL
from vertseg.training.volumes import box_around


def insert(
    labels: np.ndarray,
    landmarks: dict[int, np.ndarray],
    spacing_mm: float,
    rng: np.random.Generator,
    instrumented: bool | None = None,
) -> np.ndarray:
    """`labels` (x, y, z) with random implants around `landmarks` (voxels), fillings, bowel gas.

    Screws, rods and plates come in one body of ten, or as `instrumented` says.
    """
    labels = labels.copy()
    rows = sorted((p for p in landmarks.values()), key=lambda p: -p[2])
    metal = rng.random() < 0.10 if instrumented is None else instrumented
    if metal and len(rows) > 4:
        instrument(labels, landmarks, spacing_mm, rng)
    if rng.random() < 0.05:
        for _ in range(int(rng.integers(1, 4))):
            point = rows[int(rng.integers(len(rows)))]
            _ball(labels, point, rng.uniform(5, 11) / spacing_mm, CEMENT, rng)
    if 2 in landmarks and rng.random() < 0.25:
        _fill_teeth(labels, landmarks[2], spacing_mm, rng)
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 12))):
            point = rows[int(rng.integers(len(rows) // 2, len(rows)))]
            away = rng.uniform((-110, -130, -40), (110, -45, 40)) / spacing_mm
            _ball(labels, point + away, rng.uniform(5, 25) / spacing_mm, GAS, rng)
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 12))):
            point = rows[int(rng.integers(len(rows)))]
            away = rng.uniform((-30, -50, -15), (30, -20, 15)) / spacing_mm
            _ball(labels, point + away, rng.uniform(1.5, 5) / spacing_mm, CALCIFICATION, rng)
    return labels


def _fill_teeth(
    labels: np.ndarray, axis_point: np.ndarray, spacing_mm: float, rng: np.random.Generator
) -> None:
    """Metal along the jaw, about as high as C2."""
    rows = np.arange(labels.shape[2])
    rows = rows[np.abs(rows - axis_point[2]) * spacing_mm < 20.0]
    jaw = np.argwhere(labels[:, :, rows] == Tissue.MANDIBLE) + (0, 0, rows.min(initial=0))
    if not len(jaw):
        return
    for point in jaw[rng.integers(len(jaw), size=int(rng.integers(1, 8)))]:
        _ball(labels, point, rng.uniform(1.5, 4.0) / spacing_mm, METAL, rng)


def _ball(
    labels: np.ndarray, centre: np.ndarray, radius: float, value: int, rng: np.random.Generator
) -> None:
    radii = radius * rng.uniform(0.6, 1.4, 3)
    box, points = box_around(labels.shape, centre - radii, centre + radii)
    if points is None:
        return
    away = (points - np.asarray(centre)[:, None, None, None]) / radii[:, None, None, None]
    labels[box][(away**2).sum(0) <= 1] = value
