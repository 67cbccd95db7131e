"""Grades of vertebral fractures against a reader's, as in Genant's scale (0 to 3).

Proportions have Wilson's 95 % interval; counts per patient, and kappa, have that of 2,000
samples of patients with replacement. To compare with: sensitivity 95.7 % at 0.29 false positives a
patient, grade right in 68 % (Burns et al., Radiology 2017;284:788).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vertseg.errors import NoInputError
from vertseg.evaluate.reader_tables import Key, read_measured, read_table

IntArray = npt.NDArray[np.int64]

COLUMNS = ("grade", "genant", "genant_grade", "fx-g", "fx_g")
"""Names of a reader's column."""

_GRADES = (0, 1, 2, 3)
_SAMPLES = 2000
_Z = 1.959964


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class FractureScores:
    """How grades agree with a reader's.

    Attributes:
        vertebrae: graded by both.
        patients: with such a vertebra.
        fractured: of the vertebrae, by the reader.
        not_graded: vertebrae of the reader's that were found, but could not be graded.
        not_found: vertebrae of the reader's that the summary lacks.
        sensitivity: least grade of the reader's -> share of those vertebrae with a grade above 0.
        found_by_grade: grade of the reader's -> share of those vertebrae with a grade above 0.
        specificity: share of the sound vertebrae with grade 0.
        false_positives: sound vertebrae with a grade above 0, per patient.
        grade_right: share of the fractured vertebrae whose grade is the reader's.
        kappa: Cohen's, of the four grades.
        weighted_kappa: with linear weights.
        table: (4, 4) vertebrae, by the reader's grade and by the measured one.
    """

    vertebrae: int
    patients: int
    fractured: int
    not_graded: int
    not_found: int
    sensitivity: dict[int, Estimate]
    found_by_grade: dict[int, Estimate]
    specificity: Estimate
    false_positives: Estimate
    grade_right: Estimate
    kappa: Estimate
    weighted_kappa: Estimate
    table: IntArray


def score_fractures(table: Path, prediction: Path) -> FractureScores:
    """Compare the grades of a run with a reader's table.

    Args:
        table: of the reader, see `vertseg.evaluate.reader_tables`.
        prediction: output folder of the run, or its summary.

    Raises:
        InputError: a table cannot be read.
        NoInputError: no vertebra is in both.
    """
    measured = read_measured(prediction, "genant_grade_hint")
    return compare_grades(read_table(table, COLUMNS), measured, str(table))


def compare_grades(
    read: Mapping[Key, float], measured: Mapping[Key, float | None], where: str = ""
) -> FractureScores:
    """Scores of grades by case and label; raises NoInputError where no vertebra is in both."""
    both = [key for key in read if measured.get(key) is not None]
    if not both:
        remedy = "Check the names of cases and vertebrae."
        raise NoInputError("has no vertebra of the results", where, remedy=remedy)
    truth = np.array([int(np.clip(round(read[key]), 0, 3)) for key in both])
    grades = np.array([int(measured[key] or 0) for key in both])
    cases = np.unique([case for case, _ in both], return_inverse=True)[1]
    pairs = _Pairs(truth, grades, cases)
    broken, sound = truth > 0, truth == 0
    return FractureScores(
        vertebrae=len(both),
        patients=pairs.patients,
        fractured=int(np.count_nonzero(broken)),
        not_graded=sum(key in measured and measured[key] is None for key in read),
        not_found=sum(key not in measured for key in read),
        sensitivity={n: proportion(grades[truth >= n] > 0) for n in _GRADES[1:]},
        found_by_grade={n: proportion(grades[truth == n] > 0) for n in _GRADES[1:]},
        specificity=proportion(grades[sound] == 0),
        false_positives=pairs.sampled(_false_positives),
        grade_right=proportion(grades[broken] == truth[broken]),
        kappa=pairs.sampled(lambda chosen: kappa(chosen.table)),
        weighted_kappa=pairs.sampled(lambda chosen: kappa(chosen.table, weighted=True)),
        table=pairs.table,
    )


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Grades by the reader and by measurement, with the patient (0, 1, ...) of each."""

    truth: IntArray
    grades: IntArray
    cases: IntArray

    @property
    def patients(self) -> int:
        return int(self.cases.max()) + 1

    @property
    def table(self) -> IntArray:
        return np.bincount(4 * self.truth + self.grades, minlength=16).reshape(4, 4)

    def sampled(self, figure: Callable[[_Pairs], float]) -> Estimate:
        """A figure, with the interval of samples of patients."""
        rng = np.random.default_rng(0)
        rows = [np.flatnonzero(self.cases == n) for n in range(self.patients)]
        values = []
        for _ in range(_SAMPLES):
            drawn = [rows[n] for n in rng.integers(0, len(rows), len(rows))]
            again = np.repeat(np.arange(len(drawn)), list(map(len, drawn)))
            chosen = np.concatenate(drawn)
            values.append(figure(_Pairs(self.truth[chosen], self.grades[chosen], again)))
        finite = np.array(values)[np.isfinite(values)]
        low, high = np.percentile(finite, [2.5, 97.5]) if finite.size else (np.nan, np.nan)
        return Estimate(figure(self), float(low), float(high))


def _false_positives(pairs: _Pairs) -> float:
    return int(np.count_nonzero((pairs.truth == 0) & (pairs.grades > 0))) / pairs.patients


def proportion(hits: npt.NDArray[np.bool_]) -> Estimate:
    """Share of True in `hits` (n,) with Wilson's interval; NaN of nothing."""
    count = hits.size
    if count == 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    share, z2 = float(hits.mean()), _Z * _Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * np.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return Estimate(share, max(middle - float(half), 0.0), min(middle + float(half), 1.0))


def kappa(table: IntArray, weighted: bool = False) -> float:
    """Cohen's kappa of a (n, n) table of counts; NaN where chance alone would agree.

    Args:
        table: by the one's category and by the other's.
        weighted: count a disagreement by how far the categories lie apart.
    """
    apart = np.abs(np.subtract.outer(np.arange(len(table)), np.arange(len(table))))
    cost = apart if weighted else apart > 0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    by_chance = float((cost * expected).sum())
    return 1.0 - float((cost * table).sum()) / by_chance if by_chance else float("nan")


def format_fractures(scores: FractureScores) -> str:
    """The scores as text."""
    lines = [
        f"{scores.vertebrae} vertebrae of {scores.patients} patients, {scores.fractured} fractured;"
        f" {scores.not_graded} more were found but not graded, {scores.not_found} not found",
        *(f"sensitivity, grade {n} and above  {e}" for n, e in scores.sensitivity.items()),
        *(f"found of grade {n}                {e}" for n, e in scores.found_by_grade.items()),
        f"specificity                     {scores.specificity}",
        f"false positives per patient       {scores.false_positives}",
        f"grade right where fractured     {scores.grade_right}",
        f"kappa                           {scores.kappa}",
        f"weighted kappa                  {scores.weighted_kappa}",
        "reader's grade (rows) and measured (columns) 0 to 3",
        *("  " + "".join(f"{count:7d}" for count in row) for row in scores.table),
    ]
    return "\n".join(lines)
