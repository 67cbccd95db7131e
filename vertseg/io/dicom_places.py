"""Whether the slices of a series lie in a straight, even row, as the planes of a volume do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vertseg.errors import InputError
from vertseg.geometry.grid import FloatArray
from vertseg.io.dicom_slice import Slice

_SAME_MM = 0.01
_ROUNDING_MM = 0.1  # positions are often stored with one decimal
_LARGEST_SHARE = 0.1  # of the distance of slices, by which one may lie off an even row
_NOTED_SHARE = 0.02
_LARGEST_ASIDE = 0.5
_GAP = 1.5  # times the usual distance
_SAME_STEP = 0.02
_LEAST_PART = 3  # steps
_SPLIT_REMEDY = (
    "Keep one part in the folder, or resample the series to one distance, for instance with "
    "dcm2niix, whose file with _Eq in its name has one."
)
_MISSING_REMEDY = "Copy or export the whole series again."


@dataclass(frozen=True)
class Row:
    """The even row in which slices lie.

    Attributes:
        first_lps_mm: (3,) place of the first slice.
        step_lps_mm: (3,) from one slice to the next.
        warnings: what was taken as even although it is not quite.
    """

    first_lps_mm: FloatArray
    step_lps_mm: FloatArray
    warnings: tuple[str, ...]


def even_row(slices: Sequence[Slice], where: str) -> Row:
    """The row that fits the places of slices, which are sorted along their normal.

    Raises:
        InputError: slices are doubled or missing, or lie too far off the row.
    """
    points = np.array([one.position for one in slices], dtype=np.float64)
    normal = slices[0].kind.axes_lps[:, 2]
    steps = np.diff(points @ normal)
    _check_no_double(slices, steps, where)
    first, step = _fitted(points)
    usual = float(np.median(steps))
    even = first + np.arange(len(points))[:, None] * step
    along = np.abs((points - even) @ normal)
    aside = float(np.linalg.norm(points - even, axis=1).max())
    largest = max(_LARGEST_SHARE * usual, _ROUNDING_MM)
    if float(along.max()) > largest or steps.max() > _GAP * usual + _ROUNDING_MM:
        raise _uneven(slices, steps, where)
    if aside > _LARGEST_ASIDE * usual:
        what = f"has slices up to {aside:.1f} mm away from a straight, even row"
        raise InputError(what, where, "slices of one volume", _MISSING_REMEDY)
    share = float(along.max()) / usual
    if share <= _NOTED_SHARE:
        return Row(first, step, ())
    text = f"slices lie up to {share:.0%} of their distance off an even row: treated as even"
    return Row(first, step, (text,))


def _fitted(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Start and step of the even row with the least squared distances to the points (n, 3)."""
    numbers = np.arange(len(points)) - (len(points) - 1) / 2
    step = numbers @ points / (numbers @ numbers)
    return points.mean(axis=0) + numbers[0] * step, step


def _check_no_double(slices: Sequence[Slice], steps: FloatArray, where: str) -> None:
    double = np.flatnonzero(steps < _SAME_MM)
    if not double.size:
        return
    one, other = slices[double[0]], slices[double[0] + 1]
    names = f"{one.name} and {other.name}"
    if one.sop_uid and one.sop_uid == other.sop_uid:
        what, remedy = f"holds one slice twice: {names}", "Remove one of the two files."
    else:
        what = f"has two slices at one place: {names}"
        remedy = "Keep one time or one kind of reconstruction in the folder."
    if double.size > 1:
        what += f", and {double.size - 1} more pairs"
    raise InputError(what, where, "one slice at each place", remedy)


def _uneven(slices: Sequence[Slice], steps: FloatArray, where: str) -> InputError:
    """What is wrong with uneven distances: they change at a slice, or slices are missing."""
    expected = "slices at even distances"
    part = _parts(steps)
    if part:
        at, before, after = part
        what = f"its slices are {before:.4g} mm apart up to {slices[at].name}, "
        what += f"then {after:.4g} mm"
        return InputError(what, where, expected, _SPLIT_REMEDY)
    usual = float(np.median(steps))
    worst = int(np.abs(steps - usual).argmax())
    between = f"{slices[worst].name} and {slices[worst + 1].name}"
    what = f"{between} are {steps[worst]:.2f} mm apart, others {usual:.2f} mm"
    gaps = np.flatnonzero(steps > _GAP * usual)
    missing = int(np.rint(steps[gaps] / usual - 1).sum()) if gaps.size else 0
    if missing:
        what += f": about {missing} slice{'s are' if missing > 1 else ' is'} missing"
    return InputError(what, where, expected, _MISSING_REMEDY)


def _parts(steps: FloatArray) -> tuple[int, float, float] | None:
    """Where and how the distance changes for good: slice, distance before, distance after."""
    changes = np.flatnonzero(np.abs(np.diff(steps)) > _SAME_STEP * np.abs(steps[1:]) + _SAME_MM) + 1
    runs = np.split(steps, changes)
    long = [run for run in runs if len(run) >= _LEAST_PART]
    if len(long) != len(runs) or len(runs) < 2:
        return None
    return len(runs[0]), float(np.median(runs[0])), float(np.median(runs[1]))
