"""Flags of the chain of vertebrae: its levels, its course, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.labels import label_of, name_of
from vertseg.measure.flag import Flag, listed
from vertseg.sequence.anchors import shows_landmark
from vertseg.sequence.offsets import load_statistics
from vertseg.sequence.steps import steps_of
from vertseg.sequence.words import ABSENT

if TYPE_CHECKING:
    from vertseg.stages.result import Result, Vertebra

_LARGEST_TURN_DEG = 45.0
"""1 % of 1,975 real spine courses turn by more at some vertebra (3 % by more than 35 degrees); with
an error of 1.5 mm at each centre, 2 % do (6 %)."""
_LOW_PEAK = 0.3


def level_flags(result: Result) -> Iterator[Flag]:
    """Levels that may be shifted or cannot be counted, gaps in the chain, unusual numbering."""
    numbers = [vertebra.label for vertebra in result.vertebrae]
    if result.level_shift_possible:
        rival = f": {result.rival}" if result.rival else ""
        sentence = (
            f"The levels are uncertain{rival} (margin {result.margin:.1f} nats). Check by counting "
            "from C2, the last rib or the sacrum."
        )
        yield Flag("level_shift", "check", (), sentence)
    if numbers and not shows_landmark(numbers):
        sentence = (
            "Neither dens, first rib, last rib nor sacrum is in view, so levels cannot be counted: "
            "check them against another image."
        )
        yield Flag("no_landmark", "check", (), sentence)
    for upper, lower in zip(numbers, numbers[1:], strict=False):
        if (upper, lower) not in load_statistics().neighbours:
            names = (name_of(upper), name_of(lower))
            sentence = (
                f"{names[0]} is followed by {names[1]}: check whether a vertebra between them "
                "was missed."
            )
            yield Flag("gap", "check", names, sentence)
        if (upper, lower) in result.doubled:
            names = (name_of(upper), name_of(lower))
            sentence = (
                f"{names[0]} and {names[1]} have the same mask before they are set apart: check "
                "whether one was found twice, or lies beside its vertebra."
            )
            yield Flag("doubled", "check", names, sentence)
        if (upper, lower) in ABSENT:
            absent = name_of(ABSENT[upper, lower])
            sentence = f"{absent} is absent, as in few people: check by counting ribs."
            yield Flag("numbering_variant", "check", (absent,), sentence)
    for variant in ("T13", "L6"):
        if label_of(variant) in numbers:
            sentence = f"{variant} was found, which few people have: check by counting ribs."
            yield Flag("numbering_variant", "check", (variant,), sentence)


def direction_flags(result: Result) -> Iterator[Flag]:
    """Vertebrae that may run from the feet upwards, or be no vertebrae."""
    if result.upside_down_possible:
        sentence = (
            "The vertebrae would fit about as well upside down: check that the scan shows a spine, "
            "and that head and feet, front and back are where its header says."
        )
        yield Flag("upside_down", "check", (), sentence)


def course_flags(vertebrae: Sequence[Vertebra]) -> Iterator[Flag]:
    """Distances that differ from those of other spines of this size, and sharp turns."""
    for step in steps_of(vertebrae):
        if step.is_wide or step.is_short:
            names = (vertebrae[step.row].name, vertebrae[step.row + 1].name)
            sentence = (
                f"{names[0]} and {names[1]} are {step.length_mm:.0f} mm apart, "
                f"{step.usual_mm:.0f} mm would be usual here: check whether one was found twice, "
                "missed or is fractured."
            )
            yield Flag("spacing", "check", names, sentence)
    steps = np.diff([vertebra.point_lps_mm for vertebra in vertebrae], axis=0)
    for row in range(len(steps) - 1):
        turn = _angle_deg(steps[row], steps[row + 1])
        if turn > _LARGEST_TURN_DEG:
            name = vertebrae[row + 1].name
            sentence = f"The spine turns by {turn:.0f} degrees at {name}: check its centroid."
            yield Flag("curvature", "check", (name,), sentence)


def _angle_deg(first: FloatArray, second: FloatArray) -> float:
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    cosine = float(first @ second) / lengths if lengths else 1.0
    return math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))


def peak_flags(vertebrae: Sequence[Vertebra]) -> Iterator[Flag]:
    """Vertebrae whose own heatmap is low."""
    names = tuple(v.name for v in vertebrae if v.score is not None and v.score < _LOW_PEAK)
    if names:
        what = "they are vertebrae" if len(names) > 1 else "it is a vertebra"
        sentence = f"Weak evidence for {listed(names)}: check that {what}, and the level."
        yield Flag("weak_evidence", "check", names, sentence)
