"""Distances of neighbours in a chain, against what is usual for their levels and the body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vertseg.geometry.centroid import Centroid
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.sequence.graph import RARE
from vertseg.sequence.offsets import load_statistics

_RATIO = (0.72, 1.32)
_TOLERANCE_MM = 2.0
"""Of two centres together; in the neck, where 15 mm are usual, it is much."""


@dataclass(frozen=True)
class Step:
    """From a vertebra of a chain to the next one.

    Attributes:
        row: of the upper one.
        length_mm: how far apart the two are.
        usual_mm: how far they usually are in a spine of this size.
    """

    row: int
    length_mm: float
    usual_mm: float

    @property
    def is_wide(self) -> bool:
        """Whether the distance is unusually large."""
        return self.length_mm > _RATIO[1] * self.usual_mm + _TOLERANCE_MM

    @property
    def is_short(self) -> bool:
        """Whether the distance is unusually small."""
        return self.length_mm < _RATIO[0] * self.usual_mm - _TOLERANCE_MM


def steps_of(vertebrae: Sequence[Centroid]) -> list[Step]:
    """Steps between all that can follow each other directly, from the head downwards."""
    points = np.array([vertebra.point_lps_mm for vertebra in vertebrae]).reshape(-1, 3)
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    known = load_statistics().neighbours
    pairs = enumerate(zip(vertebrae, vertebrae[1:], strict=False))
    means = {
        row: float(np.linalg.norm(known[upper.label, lower.label].mean_mm))
        for row, (upper, lower) in pairs
        if (upper.label, lower.label) in known
    }
    ratios = [lengths[row] / mean for row, mean in means.items()]
    # One distance alone has nothing to be compared with but the mean of all people.
    scale = float(np.median(ratios)) if len(ratios) > 2 else 1.0
    return [Step(row, float(lengths[row]), scale * mean) for row, mean in means.items()]


def left_out_between(upper: int, lower: int) -> tuple[int, ...]:
    """Labels of C1 ... L5 that a link of a chain leaves out, none of a numbering variant."""
    if (upper, lower) in load_statistics().neighbours:
        return ()
    first, last = (ORDER_CRANIAL_TO_CAUDAL.index(label) for label in (upper, lower))
    return tuple(x for x in ORDER_CRANIAL_TO_CAUDAL[first + 1 : last] if x not in RARE)
