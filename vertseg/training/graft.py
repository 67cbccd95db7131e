"""Real vertebrae, known only as masks, in the atlas's body: a second source of shapes.

The atlas is posed along the mask's own course, so that ribs, muscles and the vertebrae that the
mask does not show lie where they belong; then the mask's vertebrae take the place of the atlas's.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from vertseg.phantom import Tissue
from vertseg.training.boxes import window
from vertseg.training.courses import LEVELS, Course, complete
from vertseg.training.real import RealVolume

_GAP_MM = 8.0


def course_of(graft: RealVolume, spacing_mm: float, donors: list[Course], rng) -> np.ndarray:
    """Centres of C1 ... L5 (24, 3) in mm of the mask's grid; those not shown come from `donors`."""
    points = np.full((LEVELS, 3), np.nan)
    for label, point in graft.landmarks.items():
        if label <= LEVELS:
            points[label - 1] = point * spacing_mm
    return complete(Course(graft.name, graft.name, points), donors, rng)


def insert_graft(
    labels: np.ndarray, graft: RealVolume, start: np.ndarray, spacing_mm: float
) -> np.ndarray:
    """`labels` with the whole vertebrae of the mask instead of its own.

    Args:
        labels: posed body, uint8 (x, y, z).
        graft: mask at the same spacing.
        start: voxel of the mask at which `labels` begins.
        spacing_mm: of both.
    """
    levels = list(graft.landmarks)
    result = labels.copy()
    own = np.isin(labels, levels)
    result[own | (labels == Tissue.DISC)] = Tissue.MUSCLE
    placed = window(graft.volume, start, labels.shape, outside=0)
    placed[~np.isin(placed, levels)] = 0
    bone = (placed > 0) | ((result >= 1) & (result <= 26))
    closed = ndimage.binary_closing(bone, np.ones((1, 1, max(2, round(_GAP_MM / spacing_mm)))))
    soft = (result == Tissue.MUSCLE) | (result == Tissue.LIGAMENT)
    result[closed & soft & (own | (labels == Tissue.DISC))] = Tissue.DISC
    result[placed > 0] = placed[placed > 0]
    return result
