"""Flags of the ends of the chain: whether the spine goes on where no vertebra was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of
from vertseg.measure.flag import Flag
from vertseg.sequence.offsets import load_statistics
from vertseg.sequence.steps import steps_of

if TYPE_CHECKING:
    from vertseg.stages.result import Result, Vertebra

_MOST_BEYOND = 1.5
"""Distances to the next vertebra that the spine may go on beyond the chain. In 350 scans, it does
so by 1.21 at most, and by 1.57 to 3.95 where two vertebrae and more were missed."""
_MOST_BEYOND_C2 = 2.0
"""The same above C2, where the first stage takes in some of the skull: up to 1.86 where C1 is cut,
2.22 where it was missed."""
_C1, _C2, _T13 = (label_of(name) for name in ("C1", "C2", "T13"))
_SACRUM_FOLLOWS = (label_of("L5"), label_of("L6"))


def end_flags(result: Result) -> Iterator[Flag]:
    """Ends of the chain beyond which the spine, as the first stage sees it, goes on."""
    course, vertebrae = result.spine_lps_mm, result.vertebrae
    if len(course) < 3:  # two points are the ends of the scan where only x and y were sought
        return
    scale = _scale(vertebrae)
    first, last = vertebrae[0], vertebrae[-1]
    above_mm = course[0][2] - first.point_lps_mm[2]
    below_mm = last.point_lps_mm[2] - course[-1][2]
    ends = ((first, above_mm, -1, "above"), (last, below_mm, 1, "below"))
    for vertebra, beyond_mm, step, where in ends:
        usual = _usual_beyond(vertebra.label, step)
        if usual is None or beyond_mm <= 0:
            continue
        most = _MOST_BEYOND_C2 if (vertebra.label, step) == (_C2, -1) else _MOST_BEYOND
        if beyond_mm / (usual * scale) - _left_out_beyond(result, vertebra.label, step) > most:
            sentence = (
                f"The spine goes on {beyond_mm:.0f} mm {where} {vertebra.name}: check whether "
                "vertebrae are missing there."
            )
            yield Flag("missing_at_end", "check", (vertebra.name,), sentence)


def _scale(vertebrae: Sequence[Vertebra]) -> float:
    """Size of the spine against the mean of all people; 1 where one vertebra does not tell."""
    labels = [vertebra.label for vertebra in vertebrae]
    steps = steps_of(vertebrae)
    ratios = [step.length_mm / _mean_mm(labels[step.row], labels[step.row + 1]) for step in steps]
    return float(np.median(ratios)) if ratios else 1.0


def _usual_beyond(label: int, step: int) -> float | None:
    """Mean distance in mm of a level to the next one upwards or downwards; None where none is."""
    if (step < 0 and label == _C1) or (step > 0 and label in _SACRUM_FOLLOWS):
        return None
    order = [level for level in ORDER_CRANIAL_TO_CAUDAL if level != _T13 or label == _T13]
    other = order[order.index(label) + step]
    return _mean_mm(label, other) if step > 0 else _mean_mm(other, label)


def _mean_mm(upper: int, lower: int) -> float:
    return float(np.linalg.norm(load_statistics().neighbours[upper, lower].mean_mm))


def _left_out_beyond(result: Result, label: int, step: int) -> int:
    place = ORDER_CRANIAL_TO_CAUDAL.index
    return sum((place(left) - place(label)) * step > 0 for left in result.left_out)
