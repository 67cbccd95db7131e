"""Measurements of a result, and flags that say what to check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vertseg.measure.angles import Angle, spine_angles
from vertseg.measure.flag import Flag
from vertseg.measure.flags import quality_flags
from vertseg.measure.part_maps import PartMaps, map_parts
from vertseg.measure.rows import VertebraRow, vertebra_rows
from vertseg.measure.vertebra import Measurement, measure_vertebrae

if TYPE_CHECKING:
    from vertseg.stages.result import Result


@dataclass(frozen=True, eq=False)
class Analysis:
    """What was measured in a result; for research, not a medical device.

    Attributes:
        measurements: of the vertebrae, from the head downwards.
        angles: of the regions of the spine.
        flags: what to check.
        rows: plain numbers of each vertebra, as in the report and in ``summary.csv``.
        part_maps: of the parts of the vertebrae, where they were asked for.
    """

    measurements: tuple[Measurement, ...]
    angles: tuple[Angle, ...]
    flags: tuple[Flag, ...]
    rows: list[VertebraRow]
    part_maps: PartMaps | None = None


def analyse(result: Result, parts: bool = False) -> Analysis:
    """Measure the vertebrae and the spine of a result, and flag what to check.

    Definitions are in ``vertseg/MEASUREMENTS.md``.

    Args:
        result: what the pipeline found.
        parts: divide the vertebrae into their parts, too.
    """
    measurements = measure_vertebrae(result.image, result.labels, result.vertebrae)
    maps = None
    if parts and result.segmented:
        maps = map_parts(result.image, result.labels, result.vertebrae, measurements)
    return Analysis(
        measurements,
        spine_angles(measurements),
        quality_flags(result, measurements),
        _rows(result, measurements, maps),
        maps,
    )


def _rows(
    result: Result, measurements: tuple[Measurement, ...], maps: PartMaps | None
) -> list[VertebraRow]:
    rows = vertebra_rows(result.image.grid, result.vertebrae, measurements, result.segmented)
    if maps is None:
        return rows
    return [{**row, "parts": maps.rows.get(row["label"])} for row in rows]
