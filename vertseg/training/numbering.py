"""Which vertebrae a body has, and which of the atlas each is made of."""

from __future__ import annotations

import numpy as np

_L6, _T13 = 25, 28
_MIXED_SHARE = 0.75


def mix_shapes(sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sources (24,) that stray by up to two levels from the atlas's, in steps of one.

    There is one atlas: a network that knows its vertebrae by heart fails on those of a patient.
    Only what stands at the ends of a region names its levels: the first rib, the last rib, the
    sacrum. Each region keeps to itself, but L1 may look like T12.
    """
    sources = sources.copy()
    for low, high, lowest_source in ((8, 18, 8), (19, 22, 18)):
        if rng.random() < _MIXED_SHARE:
            levels = np.arange(low, high + 1)
            steps = rng.choice([-1, 0, 1], len(levels), p=[0.15, 0.7, 0.15])
            steps[0] = rng.integers(-1, 2)
            stray = np.clip(np.cumsum(steps), -2, 2)
            mixed = np.clip(levels + stray, lowest_source, high)
            sources[levels] = np.maximum.accumulate(mixed)
    return sources


def draw_numbering(points: np.ndarray, rng: np.random.Generator, wanted: str | None):
    """Usual numbering, or one more or one fewer thoracic or lumbar vertebra."""
    labels, sources = np.arange(1, 25), np.arange(24)
    kind = rng.choice(["usual", "l6", "t13", "no_t12", "no_l5"], p=[0.84, 0.06, 0.03, 0.04, 0.03])
    kind = wanted or kind
    if kind == "l6":
        labels, sources = _insert(labels, sources, int(rng.integers(21, 23)), _L6, 24)
    elif kind == "t13":
        labels, sources = _insert(labels, sources, 18, _T13, 19)
    elif kind == "no_t12":
        labels, sources = np.delete(labels, 18), np.delete(sources, 18)
    elif kind == "no_l5":
        labels, sources = labels[:-1], np.delete(sources, 21)
    return labels, sources, _fit_length(points, len(labels))


def _insert(labels, sources, level: int, label: int, at: int):
    """Doubles the atlas level `level`; the extra label stands at row `at`."""
    return np.insert(labels, at, label), np.insert(sources, level, level)


def _fit_length(points: np.ndarray, n: int) -> np.ndarray:
    """The course with `n` rows: dropped or continued at the lower end."""
    if n <= len(points):
        return points[:n]
    return np.concatenate([points, points[-1:] + (points[-1] - points[-2])])
