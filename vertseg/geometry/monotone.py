"""Smooth curves through points that never swing beyond them.

The slopes are those of Fritsch and Butland (SIAM J. Sci. Stat. Comput. 1984;5:300-304).
``scipy.interpolate.PchipInterpolator`` gives the same values, but its import takes longer than a
preview.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import FloatArray


class MonotoneCurve:
    """A piecewise cubic with a continuous slope, monotonous between any two points.

    Args:
        places: (n,) ascending, at least two.
        values: (n, d) there.
    """

    def __init__(self, places: npt.ArrayLike, values: npt.ArrayLike) -> None:
        self._places = np.asarray(places, np.float64)
        self._values = np.asarray(values, np.float64)
        self._slopes = _slopes(self._places, self._values)

    def __call__(self, at: npt.ArrayLike) -> FloatArray:
        """Values (..., d) at places (...) between the first and the last."""
        at = np.asarray(at, np.float64)
        left = np.clip(np.searchsorted(self._places, at, "right") - 1, 0, len(self._places) - 2)
        width = self._places[left + 1] - self._places[left]
        t = ((at - self._places[left]) / width)[..., None]
        width = width[..., None]
        rise = t * t * (3 - 2 * t)
        before, after = self._values[left], self._values[left + 1]
        bend = (1 - t) * self._slopes[left] - t * self._slopes[left + 1]
        return before + (after - before) * rise + width * t * (1 - t) * bend


def _slopes(places: FloatArray, values: FloatArray) -> FloatArray:
    """(n, d) slopes at the points."""
    width = np.diff(places)[:, None]
    secants = np.diff(values, axis=0) / width
    if len(secants) == 1:
        return np.repeat(secants, 2, axis=0)
    inner = _harmonic_mean(width, secants)
    first = _end_slope(width[0], width[1], secants[0], secants[1])
    last = _end_slope(width[-1], width[-2], secants[-1], secants[-2])
    return np.concatenate([first[None], inner, last[None]])


def _harmonic_mean(width: FloatArray, secants: FloatArray) -> FloatArray:
    """Weighted means of successive secants; 0 where they do not agree on the direction."""
    before, after = secants[:-1], secants[1:]
    left, right = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    agree = before * after > 0
    safe_before, safe_after = np.where(agree, before, 1.0), np.where(agree, after, 1.0)
    return np.where(agree, (left + right) / (left / safe_before + right / safe_after), 0.0)


def _end_slope(
    width: FloatArray, next_width: FloatArray, secant: FloatArray, next_secant: FloatArray
) -> FloatArray:
    """That of the parabola through the last three points, limited so that nothing swings over."""
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    slope = np.where(slope * secant <= 0, 0.0, slope)
    too_steep = (secant * next_secant <= 0) & (np.abs(slope) > 3 * np.abs(secant))
    return np.where(too_steep, 3 * secant, slope)
