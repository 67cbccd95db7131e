"""The published choice of vertebrae: one maximum for each label between the first and the last.

Payer et al., VISAPP 2020, section 3.2; thresholds and the search at the ends, which the paper does
not give, are those of its authors' code (``models/PUBLISHED.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from vertseg.geometry.centroid import Centroid

DISTANCE_MM = (12.5, 50.0)
"""Between neighbours, exclusive."""

VISIBLE = 0.25
"""Height from which on a heatmap says that its vertebra is visible."""

_END_MM = 30.0
_END_HEIGHT = 0.5

Maxima = Mapping[int, Sequence[Centroid]]
"""Label -> its heatmap's maxima, each with its height as score, the highest first."""


def choose_sequence(maxima: Maxima, z_limits_mm: tuple[float, float]) -> list[Centroid]:
    """Vertebrae from the head downwards.

    Neighbours lie 12.5 to 50 mm apart, none above the one before, and the sum of heights is the
    largest; where no sequence from the first to the last visible vertebra is such, it is the best
    part of one. Labels follow each other as numbers do, from C1 to L6.

    Args:
        maxima: of the labels 1 to 25; further ones are not used.
        z_limits_mm: lower and upper end of the scan.
    """
    first, last = visible_range(maxima, z_limits_mm)
    levels = [list(maxima.get(label, ())) for label in range(first, last + 1)]
    return _best_path(levels, whole=True) or _best_path(levels, whole=False)


def visible_range(maxima: Maxima, z_limits_mm: tuple[float, float]) -> tuple[int, int]:
    """First and last visible label; the first is the larger one where nothing is visible.

    They are the labels with the highest maximum near the upper and the lower end of the scan; an
    end without one is that of the longest run of visible labels.
    """
    first, last = _longest_run(maxima)
    low, high = z_limits_mm
    upper = _strongest_between(maxima, high - _END_MM, high)
    lower = _strongest_between(maxima, low, low + _END_MM)
    ends = upper or first, lower or last
    return ends if ends[0] <= ends[1] else (first, last)


def _longest_run(maxima: Maxima) -> tuple[int, int]:
    runs: list[list[int]] = []
    for label in range(1, 26):
        if not _height(maxima, label) > VISIBLE:
            continue
        if runs and runs[-1][-1] == label - 1:
            runs[-1].append(label)
        else:
            runs.append([label])
    longest: Sequence[int] = max(runs, key=len, default=[1, 0])
    return longest[0], longest[-1]


def _strongest_between(maxima: Maxima, low_mm: float, high_mm: float) -> int | None:
    """The label whose highest maximum lies between two heights and is the highest of such."""
    there = [
        label
        for label in range(1, 26)
        if _height(maxima, label) >= _END_HEIGHT
        and low_mm <= maxima[label][0].point_lps_mm[2] <= high_mm
    ]
    return max(there, key=lambda label: _height(maxima, label), default=None)


def _height(maxima: Maxima, label: int) -> float:
    own = maxima.get(label)
    return (own[0].score or 0.0) if own else 0.0


def _best_path(levels: Sequence[Sequence[Centroid]], whole: bool) -> list[Centroid]:
    """The path with the largest sum, one place per level; of all levels, or of a part of them."""
    totals = [np.array([c.score for c in level], float) for level in levels]
    before: list[list[int]] = [[-1] * len(level) for level in levels]
    for number, (upper, lower) in enumerate(pairwise(levels), start=1):
        for row, place in enumerate(lower):
            reached = [
                total if follows(above, place) else -np.inf
                for above, total in zip(upper, totals[number - 1], strict=True)
            ]
            best = int(np.argmax(reached)) if reached else -1
            if best >= 0 and reached[best] > -np.inf:
                before[number][row] = best
                totals[number][row] += reached[best]
            elif whole:
                totals[number][row] = -np.inf
    ends = totals[-1:] if whole else totals
    heights = [total.max(initial=-np.inf) for total in ends]
    if not heights or max(heights) == -np.inf:
        return []
    number = len(levels) - len(ends) + int(np.argmax(heights))
    row, path = int(np.argmax(totals[number])), []
    while row >= 0:
        path.append(levels[number][row])
        row, number = before[number][row], number - 1
    return path[::-1]


def follows(upper: Centroid, lower: Centroid) -> bool:
    """Whether a place may be that of the next vertebra below another one."""
    step = np.subtract(lower.point_lps_mm, upper.point_lps_mm)
    low, high = DISTANCE_MM
    return bool(step[2] < 0 and low < np.linalg.norm(step) < high)
