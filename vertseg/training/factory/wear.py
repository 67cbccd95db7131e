"""What age does to a spine, in a label volume: vacuum discs, fusions, osteophytes, fractures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.phantom import Tissue
from vertseg.training.factory.tissue import GAS
from vertseg.training.volumes import box_around

_HARD = (*range(1, 31), *range(41, 50), *range(101, 133))
"""Labels that osteophytes do not grow into: bones and discs."""


def degenerate(
    labels: np.ndarray,
    landmarks: dict[int, np.ndarray],
    spacing_mm: float,
    rng: np.random.Generator,
    broken: bool | None = None,
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Labels and landmarks (voxels, z upwards) with the wear of one random patient.

    Half of the bodies stay as they are; in the others the share of worn segments is drawn first.
    The centre of a fractured vertebra sinks with its upper end plate. There are fractures in one
    body of three, or as `broken` says.
    """
    if len(landmarks) < 2 or (rng.random() < 0.5 and not broken):
        return labels, landmarks
    labels, moved = labels.copy(), dict(landmarks)
    worn, fractured = rng.uniform(0, 0.6), rng.choice([0.0, 0.08, 0.25])
    if broken is not None:
        fractured = 0.25 if broken else 0.0
    chain = [label for label in ORDER_CRANIAL_TO_CAUDAL if label in landmarks]
    for upper, lower in zip(chain[:-1], chain[1:], strict=True):
        segment = _Segment(labels, upper, lower, landmarks, spacing_mm)
        if segment.outside:
            continue
        if upper > 2 and rng.random() < worn:
            segment.wear(rng)
        if upper > 2 and rng.random() < fractured:
            moved[lower] = landmarks[lower] - 0.5 * segment.collapse(rng) * segment.up
    return labels, moved


class _Segment:
    """Two neighbours and the disc between them; changes `labels` in place."""

    def __init__(
        self,
        labels: np.ndarray,
        upper: int,
        lower: int,
        landmarks: Mapping[int, np.ndarray],
        spacing_mm: float,
    ) -> None:
        self.upper, self.lower = upper, lower
        self.top, self.bottom = landmarks[upper], landmarks[lower]
        self.step_px = float(np.linalg.norm(self.top - self.bottom))
        self.up = (self.top - self.bottom) / max(self.step_px, 1e-6)
        self.front = np.cross(self.up, (1.0, 0.0, 0.0))
        self.front *= -np.sign(self.front[1]) or 1.0
        self.front /= max(float(np.linalg.norm(self.front)), 1e-6)
        middle = 0.5 * (self.top + self.bottom)
        box, points = box_around(labels.shape, middle - 40 / spacing_mm, middle + 40 / spacing_mm)
        self.outside = points is None
        if points is None:
            return
        self.view = labels[box]
        away = points - middle[:, None, None, None]
        self.along = np.tensordot(self.up, away, 1) / self.step_px
        self.ahead = np.tensordot(self.front, away, 1) * spacing_mm
        self.aside = away[0] * spacing_mm
        self.step_mm = self.step_px * spacing_mm

    def wear(self, rng: np.random.Generator) -> None:
        """A vacuum, a fusion, or osteophytes around the rim."""
        disc = (self.view == Tissue.DISC) & (np.abs(self.along) < 0.5)  # the next ones are in view
        kind = rng.choice(["vacuum", "fusion", "osteophytes"], p=[0.25, 0.2, 0.55])
        radius = 0.45 * self.step_mm + rng.uniform(0, 5)
        if kind == "vacuum":
            centre = rng.uniform(-6, 6, 2)
            near = np.hypot(self.ahead - centre[0], self.aside - centre[1]) < radius
            self.view[disc & near & (np.abs(self.along) < 0.06)] = GAS
            return
        if kind == "fusion":
            near = np.hypot(self.ahead - rng.uniform(-8, 12), self.aside) < radius
            self.view[disc & near & (self.along >= 0)] = self.upper
            self.view[disc & near & (self.along < 0)] = self.lower
        thickness = np.abs(self.along[disc]).mean() * 2.0 if disc.any() else 0.15
        self._osteophytes(rng, float(thickness), bridging=bool(rng.random() < 0.4))

    def _osteophytes(self, rng: np.random.Generator, half_disc: float, bridging: bool) -> None:
        """Bone at the rim, from the end plates on; `half_disc`: their distance from the middle."""
        body = 0.62 * self.step_mm
        angle = np.arctan2(self.aside, self.ahead)
        reach = np.hypot(self.ahead, self.aside)
        rim = np.abs(angle - rng.uniform(-1.4, 1.4)) < rng.uniform(0.4, 1.3)
        rim &= (reach > 0.7 * body) & (reach < body + rng.uniform(1, 5))
        free = ~np.isin(self.view, _HARD)
        gap = 0.0 if bridging else rng.uniform(0.02, 0.1)
        height = half_disc + rng.uniform(0.02, 0.1)
        self.view[rim & free & (self.along >= gap) & (self.along < height)] = self.upper
        self.view[rim & free & (self.along < -gap) & (self.along > -height)] = self.lower

    def collapse(self, rng: np.random.Generator) -> float:
        """The upper end plate of the lower vertebra sinks; by how much, about, in voxels."""
        kind = rng.choice(["wedge", "biconcave", "crush"], p=[0.5, 0.35, 0.15])
        sunk = rng.uniform(0.08, 0.3)
        slope = np.clip(self.ahead / (0.45 * self.step_mm), -1, 1)
        if kind == "wedge":
            depth = sunk * (slope + 1)
        elif kind == "biconcave":
            centre = np.hypot(self.ahead, self.aside) / (0.5 * self.step_mm)
            depth = sunk * np.clip(1.2 - centre**2, 0, 1)
        else:
            depth = np.full_like(slope, sunk)
        ahead_of_canal = self.ahead > -0.5 * self.step_mm
        plate = -0.12 - depth
        self.view[(self.view == self.lower) & ahead_of_canal & (self.along > plate)] = Tissue.DISC
        return float(sunk) * self.step_px
