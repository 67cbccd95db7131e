"""Quality flags: what in a result deserves a second look, and what to look for.

A flag is a sentence for a person. Thresholds are wide, so that a flag is rare in a good result;
they were chosen to exceed the spread of 2,110 real spine courses (`vertseg.statistics`) and of
manual masks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vertseg.fractures import genant_grade
from vertseg.labels import label_of, name_of
from vertseg.measure import Measurement
from vertseg.reference_volumes import REFERENCE_VOLUME_ML
from vertseg.statistics import load_statistics

if TYPE_CHECKING:
    from vertseg.pipeline import Result, Vertebra

Severity = Literal["check", "note"]

_DISTANCE_RATIO = (0.72, 1.32)
_LARGEST_TURN_DEG = 35.0
_VOLUME_RATIO = (0.45, 2.1)
_VOLUME_AGAINST_OTHERS = (0.6, 1.6)
_LOW_PEAK = 0.3
_LOW_TRABECULAR_HU = 100.0
_DENSITY_LEVELS = tuple(label_of(name) for name in ("T12", "L1", "L2"))
_METAL_ML = 0.2
_ABSENT_LEVELS = {
    (label_of(upper), label_of(lower)): absent
    for upper, lower, absent in (("C6", "T1", "C7"), ("T11", "L1", "T12"))
}


@dataclass(frozen=True)
class Flag:
    """One thing to check.

    Attributes:
        code: short name of the kind, for filters.
        severity: ``"check"`` if the result may be wrong, ``"note"`` if the patient or the image is
            unusual.
        vertebrae: names of those concerned; empty for the whole image.
        sentence: what was seen, and what to check.
    """

    code: str
    severity: Severity
    vertebrae: tuple[str, ...]
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "vertebrae": list(self.vertebrae)}


def quality_flags(result: Result, measurements: Sequence[Measurement]) -> tuple[Flag, ...]:
    """All flags of a result, those that concern the levels first.

    Args:
        result: what the pipeline found.
        measurements: of its vertebrae, in the same order.
    """
    if not result.vertebrae:
        return (_no_spine(),)
    return (
        *_level_flags(result),
        *_chain_flags(result.vertebrae),
        *_peak_flags(result.vertebrae),
        *(_mask_flags(measurements) if result.segmented else ()),
        *_volume_flags(measurements),
        *_image_flags(result, measurements),
        *_bone_flags(measurements),
    )


def _no_spine() -> Flag:
    sentence = "No spine was found: check that the scan shows one and that its values are HU."
    return Flag("no_spine", "check", (), sentence)


def _level_flags(result: Result) -> Iterator[Flag]:
    if result.level_shift_possible:
        sentence = (
            f"The levels are uncertain: {result.rival} (margin {result.margin:.1f} nats). "
            "Count from C2, the last rib or the sacrum."
        )
        yield Flag("level_shift", "check", (), sentence)
    numbers = [vertebra.label for vertebra in result.vertebrae]
    for upper, lower in zip(numbers, numbers[1:], strict=False):
        if (upper, lower) not in load_statistics().neighbours:
            names = (name_of(upper), name_of(lower))
            sentence = (
                f"{names[0]} is followed by {names[1]}: check whether a vertebra between them "
                "was missed."
            )
            yield Flag("gap", "check", names, sentence)
        absent = _ABSENT_LEVELS.get((upper, lower))
        if absent:
            sentence = f"{absent} is absent, as in few people: count ribs and vertebrae."
            yield Flag("numbering_variant", "check", (absent,), sentence)
    for variant in ("T13", "L6"):
        if label_of(variant) in numbers:
            sentence = f"{variant} was found, which few people have: count ribs and vertebrae."
            yield Flag("numbering_variant", "check", (variant,), sentence)


def _chain_flags(vertebrae: Sequence[Vertebra]) -> Iterator[Flag]:
    """Distances that differ from those of other spines of this size, and sharp turns."""
    points = np.array([vertebra.centroid_lps_mm for vertebra in vertebrae])
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    known = load_statistics().neighbours
    pairs = [
        (above.label, below.label) for above, below in zip(vertebrae, vertebrae[1:], strict=False)
    ]
    ratios = {
        row: float(lengths[row] / np.linalg.norm(known[pair].mean_mm))
        for row, pair in enumerate(pairs)
        if pair in known
    }
    # One distance alone has nothing to be compared with but the mean of all people.
    scale = float(np.median(list(ratios.values()))) if len(ratios) > 2 else 1.0
    for row, ratio in ratios.items():
        if not _DISTANCE_RATIO[0] <= ratio / scale <= _DISTANCE_RATIO[1]:
            usual = lengths[row] / ratio * scale
            names = (vertebrae[row].name, vertebrae[row + 1].name)
            sentence = (
                f"{names[0]} and {names[1]} are {lengths[row]:.0f} mm apart, {usual:.0f} mm would "
                "be usual here: check whether one was found twice, missed or is fractured."
            )
            yield Flag("spacing", "check", names, sentence)
    for row in range(len(steps) - 1):
        turn = _angle_deg(steps[row], steps[row + 1])
        if turn > _LARGEST_TURN_DEG:
            name = vertebrae[row + 1].name
            sentence = f"The spine turns by {turn:.0f} degrees at {name}: check its centroid."
            yield Flag("curvature", "check", (name,), sentence)


def _angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    cosine = float(first @ second) / lengths if lengths else 1.0
    return math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))


def _peak_flags(vertebrae: Sequence[Vertebra]) -> Iterator[Flag]:
    names = tuple(vertebra.name for vertebra in vertebrae if vertebra.peak < _LOW_PEAK)
    if names:
        sentence = f"Weak evidence for {_listed(names)}: check that they are vertebrae."
        yield Flag("weak_evidence", "check", names, sentence)


def _mask_flags(measurements: Sequence[Measurement]) -> Iterator[Flag]:
    empty = tuple(name_of(row.label) for row in measurements if row.volume_ml == 0)
    if empty:
        sentence = f"No mask for {_listed(empty)}: check the image there."
        yield Flag("mask_empty", "check", empty, sentence)
    apart = tuple(
        name_of(row.label)
        for row in measurements
        if row.volume_ml > 0 and not row.centroid_in_mask and row.label != label_of("C1")
    )
    if apart:
        sentence = f"The mask of {_listed(apart)} does not hold its centroid: check both."
        yield Flag("mask_centroid", "check", apart, sentence)


def _volume_flags(measurements: Sequence[Measurement]) -> Iterator[Flag]:
    ratios = {
        row.label: row.volume_ml / REFERENCE_VOLUME_ML[row.label]
        for row in measurements
        if row.volume_ml > 0 and not row.touches_border
    }
    scale = float(np.median(list(ratios.values()))) if len(ratios) > 2 else None
    odd: dict[str, list[int]] = {"small": [], "large": []}
    for label, ratio in ratios.items():
        usual = _VOLUME_RATIO[0] <= ratio <= _VOLUME_RATIO[1]
        against = ratio / (scale or 1.0)
        even = _VOLUME_AGAINST_OTHERS[0] <= against <= _VOLUME_AGAINST_OTHERS[1]
        if not usual or (scale is not None and not even):
            odd["small" if (against if usual else ratio) < 1.0 else "large"].append(label)
    for size, found in odd.items():
        if found:
            names = tuple(name_of(label) for label in found)
            sentence = f"The mask of {_listed(names)} is {size} for the level: check its outline."
            yield Flag("volume", "check", names, sentence)


def _image_flags(result: Result, measurements: Sequence[Measurement]) -> Iterator[Flag]:
    if result.image.intensities == "unknown":
        sentence = "The values do not look like HU: check how the scan was stored."
        yield Flag("not_hounsfield", "check", (), sentence)
    cut = tuple(name_of(row.label) for row in measurements if row.cut_off)
    if cut:
        sentence = f"The image ends within {_listed(cut)}: its volume is partial."
        yield Flag("cut_off", "note", cut, sentence)
    metal = tuple(name_of(row.label) for row in measurements if row.metal_ml > _METAL_ML)
    if metal:
        sentence = f"Metal near {_listed(metal)}: check the masks; density is not to be trusted."
        yield Flag("metal", "check", metal, sentence)


def _bone_flags(measurements: Sequence[Measurement]) -> Iterator[Flag]:
    density = [
        row.trabecular_hu
        for row in measurements
        if row.label in _DENSITY_LEVELS and row.trabecular_hu is not None
    ]
    if density and np.mean(density) < _LOW_TRABECULAR_HU:
        names = tuple(name_of(row.label) for row in measurements if row.label in _DENSITY_LEVELS)
        sentence = (
            f"Low trabecular density at {_listed(names)} ({np.mean(density):.0f} HU, not "
            "calibrated): consider a bone density measurement."
        )
        yield Flag("low_density", "note", names, sentence)
    for row, measurement in enumerate(measurements):
        around = [measurements[n] for n in (row - 1, row + 1) if 0 <= n < len(measurements)]
        grade = genant_grade(measurement, around)
        if grade:
            name = name_of(measurement.label)
            sentence = (
                f"{name} has lost height like a fracture of grade {grade}: check in the sagittal "
                "view; a hint, not a diagnosis."
            )
            yield Flag("height_loss", "note", (name,), sentence)


def _listed(names: Sequence[str]) -> str:
    """``"T1"``, ``"T1 and T2"``, ``"T1, T2 and T3"``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
