"""Which vertebrae a body has, and which of the atlas each is made of."""

from __future__ import annotations

import numpy as np

from vertseg.labels import label_of

_MIXED_SHARE = 0.75
_ALIKE_SHARE = 0.5
"""How often the last vertebra of a region and the first of the next one look alike."""

_C3, _C6, _C7, _T1, _T12, _T13 = map(label_of, ("C3", "C6", "C7", "T1", "T12", "T13"))
_L1, _L5, _L6 = map(label_of, ("L1", "L5", "L6"))


def is_lumbar(labels: np.ndarray) -> np.ndarray:
    """Whether each label (n,) is one of L1 to L6."""
    return (labels >= _L1) & (labels <= _L6)


def mix_shapes(labels: np.ndarray, sources: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shapes (n,) of bones that stray by up to two levels from those given, in steps of one.

    There is one atlas: a network that memorises its vertebrae fails on those of a patient.
    Levels are named by what stands beside the bones: the skull, the first rib, the last rib, the
    sacrum. Each region keeps to itself, but C7 and T1, and T12 and L1, may look alike.

    Args:
        labels: of the vertebrae, cranial to caudal, shape (n,).
        sources: atlas level index (0 = C1) of each, shape (n,).
        rng: source of the draws.
    """
    shapes = sources.copy()
    thoracic = ((labels >= _T1) & (labels <= _T12)) | (labels == _T13)
    lumbar = is_lumbar(labels)
    for rows, lowest, highest in (
        ((labels >= _C3) & (labels <= _C6), _C3, _C6),
        (thoracic, _T1, _T12),
        (lumbar, _L1, _L5),
    ):
        if rng.random() < _MIXED_SHARE:
            usual = sources[rows]
            steps = rng.choice([-1, 0, 1], len(usual), p=[0.15, 0.7, 0.15])
            steps[0] = rng.integers(-1, 2)
            stray = np.clip(np.cumsum(steps), -2, 2)
            shapes[rows] = np.maximum.accumulate(np.clip(usual + stray, lowest - 1, highest - 1))
    last_rib = np.flatnonzero(thoracic)[-1]
    for upper, looks in (
        (np.flatnonzero(labels == _C7)[0], (_C7, _T1)),
        (last_rib, (_T12, _L1)),
    ):
        kind = rng.random()
        if kind < _ALIKE_SHARE:
            shapes[upper : upper + 2] = looks[kind < 0.5 * _ALIKE_SHARE] - 1
    return shapes


def draw_numbering(
    points: np.ndarray, rng: np.random.Generator, wanted: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Usual numbering, or one more or one fewer thoracic or lumbar vertebra.

    Args:
        points: (24, 3) centres C1 to L5.
        rng: draws which.
        wanted: ``usual``, ``l6``, ``t13``, ``no_t12`` or ``no_l5``; drawn if None.

    Returns:
        (n,) labels, (n,) rows of the atlas whose shapes they take, (n, 3) points.
    """
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


def _insert(
    labels: np.ndarray, sources: np.ndarray, level: int, label: int, at: int
) -> tuple[np.ndarray, np.ndarray]:
    """Doubles the atlas level `level`; the extra label stands at row `at`."""
    return np.insert(labels, at, label), np.insert(sources, level, level)


def _fit_length(points: np.ndarray, n: int) -> np.ndarray:
    """The course with `n` rows: dropped or continued at the lower end."""
    if n <= len(points):
        return points[:n]
    return np.concatenate([points, points[-1:] + (points[-1] - points[-2])])
