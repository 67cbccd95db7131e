"""Trabecular HU against measured bone mineral density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from vertseg.errors import NoInputError
from vertseg.evaluate.reader_tables import Key, read_measured, read_table
from vertseg.labels import label_of

COLUMNS = ("bmd", "vbmd", "density")
"""Names of a reader's column."""

_OF_A_SCAN = tuple(label_of(name) for name in ("T12", "L1", "L2"))
_FEWEST = 3


@dataclass(frozen=True)
class DensityScores:
    """How trabecular HU predict a density: density = slope * HU + intercept.

    Attributes:
        pairs: compared.
        slope: change of the density for each HU, with the standard error below.
        slope_error: standard error of the slope.
        intercept: density at 0 HU.
        r: Pearson's correlation, with its 95 % interval after Fisher.
        r_low: lower end of the interval.
        r_high: upper end.
        residual: standard deviation around the line, in units of the density.
    """

    pairs: int
    slope: float
    slope_error: float
    intercept: float
    r: float
    r_low: float
    r_high: float
    residual: float


def score_density(table: Path, prediction: Path) -> DensityScores:
    """Compare the trabecular HU of a run with a table of densities.

    A density of a whole scan is compared with the mean HU of T12, L1 and L2.

    Args:
        table: see `vertseg.evaluate.reader_tables`.
        prediction: output folder of the run, or its summary.

    Raises:
        InputError: a table cannot be read.
        NoInputError: fewer than three values are in both.
    """
    return compare_density(
        read_table(table, COLUMNS), read_measured(prediction, "trabecular_hu"), str(table)
    )


def compare_density(
    read: Mapping[Key, float], measured: Mapping[Key, float | None], where: str = ""
) -> DensityScores:
    """Scores of densities by case and label; label 0 is a whole scan.

    Raises:
        NoInputError: fewer than three values are in both.
    """
    pairs = [(_hu(key, measured), value) for key, value in read.items()]
    known = np.array([(hu, value) for hu, value in pairs if hu is not None])
    if len(known) < _FEWEST:
        what = f"has {len(known)} values that the results measure, too"
        remedy = "Check the names of cases and vertebrae."
        raise NoInputError(what, where, f"{_FEWEST} or more", remedy)
    fit = stats.linregress(known[:, 0], known[:, 1])
    left = known[:, 1] - fit.slope * known[:, 0] - fit.intercept
    low, high = _interval(float(fit.rvalue), len(known))
    spread = float(np.sqrt((left**2).sum() / max(len(known) - 2, 1)))
    return DensityScores(
        pairs=len(known),
        slope=float(fit.slope),
        slope_error=float(fit.stderr),
        intercept=float(fit.intercept),
        r=float(fit.rvalue),
        r_low=low,
        r_high=high,
        residual=spread,
    )


def _hu(key: Key, measured: Mapping[Key, float | None]) -> float | None:
    case, label = key
    if label:
        return measured.get(key)
    values = [measured.get((case, level)) for level in _OF_A_SCAN]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _interval(r: float, count: int) -> tuple[float, float]:
    """Fisher's 95 % interval of a correlation."""
    if count < 4 or abs(r) >= 1.0:
        return r, r
    half = 1.959964 / np.sqrt(count - 3)
    return float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half))


def format_density(scores: DensityScores) -> str:
    """The scores as text."""
    return "\n".join(
        (
            f"{scores.pairs} densities; density = slope * HU + intercept",
            f"slope      {scores.slope:.3f} +- {scores.slope_error:.3f}",
            f"intercept  {scores.intercept:.1f}",
            f"r          {scores.r:.3f} ({scores.r_low:.3f} to {scores.r_high:.3f})",
            f"residual   {scores.residual:.1f}",
        )
    )
