"""Quality flags: what in a result deserves a second look, and what to look for.

A flag is a sentence for a person. Thresholds are wide, so that a flag is rare in a good result;
they were chosen to exceed the spread of 2,110 real spine courses (`vertseg.sequence.offsets`)
and of manual masks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vertseg.geometry.grid import Grid
from vertseg.io.scan_facts import ScanFacts
from vertseg.labels import label_of, name_of
from vertseg.measure.end_flags import end_flags
from vertseg.measure.flag import Flag, listed
from vertseg.measure.genant import genant_grade
from vertseg.measure.level_flags import course_flags, direction_flags, level_flags, peak_flags
from vertseg.measure.vertebra import Measurement
from vertseg.stages.reference_volumes import REFERENCE_VOLUME_ML

if TYPE_CHECKING:
    from vertseg.stages.result import Result, Vertebra

_LARGEST_OFFSET_MM = 10.0
_VOLUME_RATIO = (0.4, 2.4)
_VOLUME_AGAINST_OTHERS = (0.5, 1.8)
_LOW_TRABECULAR_HU = 100.0
_DENSITY_LEVELS = tuple(label_of(name) for name in ("T12", "L1", "L2"))
_METAL_ML = 0.2
_THICKEST_MM = 6.0  # of slices in training
_SHORTEST_MM = 25.0  # from head to feet: one vertebra of the neck, no lumbar one


def quality_flags(result: Result, measurements: Sequence[Measurement]) -> tuple[Flag, ...]:
    """All flags of a result, those that concern the levels first.

    Args:
        result: what the pipeline found.
        measurements: of its vertebrae, in the same order.
    """
    if result.status == "no_spine":
        return (_no_spine(result.image.grid), *_image_flags(result, ()))
    if not result.vertebrae:
        return tuple(_image_flags(result, ()))
    return (
        *((Flag("changed_by_person", "note", (), result.changed),) if result.changed else ()),
        *level_flags(result),
        *end_flags(result),
        *direction_flags(result),
        *course_flags(result.vertebrae),
        *peak_flags(result.vertebrae),
        *(_mask_flags(result.vertebrae, measurements) if result.segmented else ()),
        *_volume_flags(measurements),
        *_image_flags(result, measurements),
        *bone_flags(measurements, result.image.facts),
    )


def _no_spine(grid: Grid) -> Flag:
    sentence = "No spine was found: check that the scan shows one and that its values are HU."
    height_mm = float(np.ptp(grid.corners_lps_mm(0.5)[:, 2]))
    if height_mm < _SHORTEST_MM:
        sentence = (
            f"No spine was found: the scan reaches only {height_mm:.0f} mm from head to feet, too "
            "little to show a vertebra: check whether there is a longer series."
        )
    return Flag("no_spine", "check", (), sentence)


def _mask_flags(
    vertebrae: Sequence[Vertebra], measurements: Sequence[Measurement]
) -> Iterator[Flag]:
    empty = tuple(name_of(row.label) for row in measurements if row.volume_ml == 0)
    if empty:
        sentence = f"No mask for {listed(empty)}: check the image there."
        yield Flag("mask_empty", "check", empty, sentence)
    apart = tuple(
        vertebra.name
        for vertebra, row in zip(vertebrae, measurements, strict=True)
        if row.volume_ml > 0 and row.label != label_of("C1") and _disagree(vertebra, row)
    )
    if apart:
        sentence = f"Mask and centroid of {listed(apart)} do not agree: check both."
        yield Flag("mask_centroid", "check", apart, sentence)


def _disagree(vertebra: Vertebra, row: Measurement) -> bool:
    """Whether the centroid lies outside of the mask, or far from the middle of its body."""
    if not row.centroid_in_mask:
        return True
    if row.body is None or row.cut_off:
        return False
    offset = row.body.frame.from_lps(vertebra.point_lps_mm)
    return float(np.linalg.norm(offset)) > _LARGEST_OFFSET_MM


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
            plural = ("s", "are") if len(found) > 1 else ("", "is")
            what = f"The mask{plural[0]} of {listed(names)} {plural[1]} {size} for the level"
            sentence = f"{what}: check the outline."
            yield Flag("volume", "check", names, sentence)


def _image_flags(result: Result, measurements: Sequence[Measurement]) -> Iterator[Flag]:
    if result.image.intensities == "unknown":
        doubt = result.image.doubt or "values do not look like Hounsfield units"
        sentence = f"The {doubt}: check how the scan was stored, and do not trust the results."
        yield Flag("not_hounsfield", "check", (), sentence)
    coarsest_mm = max(result.image.grid.spacing)
    if coarsest_mm > _THICKEST_MM:
        sentence = (
            f"Slices are {coarsest_mm:.3g} mm apart, more than the {_THICKEST_MM:g} mm at most of "
            "training: count, masks and volumes are rough; check the count in the picture."
        )
        yield Flag("thick_slices", "note", (), sentence)
    if result.image.intensities == "windowed":
        low, high = (f"{value:g}" for value in (result.image.array.min(), result.image.array.max()))
        sentence = (
            f"The values are limited to {low} to {high} HU, so density is not reported: check the "
            "masks, and use the scan before it was limited."
        )
        yield Flag("windowed", "check", (), sentence)
    yield from _cut_flags(measurements)
    left_out = tuple(name_of(label) for label in result.left_out)
    if left_out:
        sentence = (
            f"{listed(left_out)} left out, as the scan ends within the body: check whether a whole "
            "vertebra is missing there."
        )
        yield Flag("left_out", "note", left_out, sentence)
    metal = tuple(name_of(row.label) for row in measurements if row.metal_ml > _METAL_ML)
    if metal:
        sentence = f"Metal near {listed(metal)}: check the masks; do not trust the density."
        yield Flag("metal", "check", metal, sentence)


def _cut_flags(measurements: Sequence[Measurement]) -> Iterator[Flag]:
    cut = tuple(name_of(row.label) for row in measurements if row.cut_off)
    if cut:
        sentence = (
            f"The scan ends within {listed(cut)}: check before you use volume or density, which "
            "are those of a part."
        )
        yield Flag("cut_off", "note", cut, sentence)
    touching = (row for row in measurements if row.touches_border and not row.cut_off)
    names = tuple(name_of(row.label) for row in touching)
    if names:
        what = f"{listed(names)} touch{'' if len(names) > 1 else 'es'} the border of the scan"
        sentence = (
            f"{what} with processes or a rim of the body: check before you use the volume, which "
            "may be that of a part."
        )
        yield Flag("touches_border", "note", names, sentence)


def bone_flags(measurements: Sequence[Measurement], facts: ScanFacts) -> Iterator[Flag]:
    """Vertebrae of low density, and such that have lost height.

    Args:
        measurements: of the vertebrae, from the head downwards.
        facts: how the scan was made, on which density depends.
    """
    density = [
        row.trabecular_hu
        for row in measurements
        if row.label in _DENSITY_LEVELS and row.trabecular_hu is not None
    ]
    if density and np.mean(density) < _LOW_TRABECULAR_HU:
        names = tuple(name_of(row.label) for row in measurements if row.label in _DENSITY_LEVELS)
        sentence = (
            f"Low trabecular density at {listed(names)} ({np.mean(density):.0f} HU "
            f"{_made_how(facts)}, not calibrated): check the images, and whether bone density "
            "should be measured."
        )
        yield Flag("low_density", "note", names, sentence)
    for row, measurement in enumerate(measurements):
        around = [measurements[n] for n in (row - 1, row + 1) if 0 <= n < len(measurements)]
        grade = genant_grade(measurement, around)
        if grade:
            name = name_of(measurement.label)
            sentence = (
                f"{name} has lost height as in a fracture of grade {grade}: check in the sagittal "
                "view; a hint, not a diagnosis."
            )
            yield Flag("height_loss", "note", (name,), sentence)


def _made_how(facts: ScanFacts) -> str:
    """What density depends on besides bone: ``"at 100 kVp, with contrast medium"``."""
    voltage = "at unknown tube voltage" if facts.kvp is None else f"at {facts.kvp:g} kVp"
    if facts.contrast is None:
        return f"{voltage}, contrast medium unknown"
    phase = f" in the {facts.phase} phase" if facts.contrast and facts.phase else ""
    return f"{voltage}, {'with' if facts.contrast else 'without'} contrast medium{phase}"
