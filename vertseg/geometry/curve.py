"""A smooth curve through points, each coordinate without overshoot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import FloatArray


def monotone_curve(at: npt.ArrayLike, knots: FloatArray, places: FloatArray) -> FloatArray:
    """Piecewise cubic through places, monotone wherever they are.

    Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5 (1984). It is what scipy's
    ``PchipInterpolator`` draws, whose import takes longer than a preview.

    Args:
        at: (...,) where the curve is wanted, between the first and the last knot.
        knots: (N,) ascending, at least two.
        places: (N, d) of the curve at the knots.

    Returns:
        (..., d) places.

    >>> monotone_curve([0.5], np.array([0.0, 1.0]), np.array([[0.0], [2.0]])).tolist()
    [[1.0]]
    """
    position = np.asarray(at, dtype=np.float64)
    steps = np.diff(knots)[:, None]
    chords = np.diff(places, axis=0) / steps
    slopes = _slopes(steps, chords)
    part = np.clip(np.searchsorted(knots, position, side="right") - 1, 0, len(knots) - 2)
    along = (position - knots[part])[..., None]
    step, chord, first, last = steps[part], chords[part], slopes[part], slopes[part + 1]
    bend = (first + last - 2.0 * chord) / step
    curvature = (chord - first) / step - bend
    return np.asarray(places[part] + along * (first + along * (curvature + along * bend / step)))


def _slopes(steps: FloatArray, chords: FloatArray) -> FloatArray:
    """(N, d) slopes at the knots, from the steps (N - 1, 1) and the chords (N - 1, d) between."""
    if len(chords) == 1:
        return np.concatenate([chords, chords])
    before, after = chords[:-1], chords[1:]
    same = np.sign(before) * np.sign(after) > 0
    first, second = 2.0 * steps[1:] + steps[:-1], steps[1:] + 2.0 * steps[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (first + second) / (first / before + second / after)
    inner = np.where(same, mean, 0.0)
    start = _slope_at_end(steps[0], steps[1], chords[0], chords[1])
    end = _slope_at_end(steps[-1], steps[-2], chords[-1], chords[-2])
    return np.concatenate([start[None], inner, end[None]])


def _slope_at_end(
    step: FloatArray, next_step: FloatArray, chord: FloatArray, next_chord: FloatArray
) -> FloatArray:
    """(d,) slope at an end, from the three points there, limited so that nothing overshoots."""
    slope = ((2.0 * step + next_step) * chord - step * next_chord) / (step + next_step)
    turns = np.sign(chord) != np.sign(next_chord)
    limited = np.where(turns & (np.abs(slope) > 3.0 * np.abs(chord)), 3.0 * chord, slope)
    return np.where(np.sign(slope) != np.sign(chord), 0.0, limited)
