"""Tables of masks: by region, slice thickness and metal, and at each level."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from vertseg.evaluate.tables import markdown_table
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, name_of
from vertseg.training.validate.mask_scores import MaskScore

SLICES = (
    ("slices <= 1.5 mm", 0.0, 1.5),
    ("slices of 3 mm (1.5 to 4)", 1.5, 4.0),
    ("slices of 5 mm (above 4)", 4.0, math.inf),
)
"""Name of each class of slices; above which spacing in mm it begins, and its largest one."""

LEAST_METAL_MM3 = 50.0
"""Of what counts as an implant in a vertebra; a few bright voxels are noise or a calcification."""

_HEAD = ("masks", "dice", "hausdorff mm", "hausdorff95 mm", "volume error %")
_REGIONS = ("cervical", "thoracic", "lumbar")

Kind = tuple[str, Callable[[MaskScore], bool]]


def mask_tables(rows: Sequence[MaskScore]) -> str:
    """All tables in Markdown: by kind of scan, by level, and metal that masks leave out."""
    tables = [by_kind(rows), by_level(rows)]
    if any(_has_implant(row) for row in rows):
        tables.append(at_metal(rows))
    return "\n\n".join(tables)


def by_kind(rows: Sequence[MaskScore]) -> str:
    """Means in each region, of each class of slices, and with and without metal."""
    kinds: list[Kind] = [("all", lambda row: True)]
    kinds += [(region, _in_region(region)) for region in _REGIONS]
    for name, above, most in SLICES:
        kinds.append((name, _in_slices(above, most)))
        kinds += [(f"{name}, {region}", _in_slices(above, most, region)) for region in _REGIONS]
    kinds.append(("metal inside", _has_implant))
    chosen = ((name, [row for row in rows if is_one(row)]) for name, is_one in kinds)
    return markdown_table(("", *_HEAD), (_means(name, own) for name, own in chosen if own))


def by_level(rows: Sequence[MaskScore]) -> str:
    """Means at each level, from the head downwards."""
    levels = ((label, _at(rows, label)) for label in ORDER_CRANIAL_TO_CAUDAL)
    return markdown_table(
        ("level", *_HEAD), (_means(name_of(label), own) for label, own in levels if own)
    )


def at_metal(rows: Sequence[MaskScore]) -> str:
    """Metal within true vertebrae, and how much of it their masks leave out."""
    lines = []
    for region in (*_REGIONS, "all"):
        own = [r for r in rows if _has_implant(r) and region in (r.vertebra.region, "all")]
        if own:
            metal, missed = sum(r.metal_mm3 for r in own), sum(r.missed_mm3 for r in own)
            holes = f"{sum(r.hole_mm3 for r in own):.0f}"
            worst = max(own, key=lambda row: row.missed_mm3)
            where = f"{worst.missed_mm3:.0f} ({worst.vertebra.case}, {worst.vertebra.name})"
            share = f"{100.0 * missed / metal:.1f}"
            cells = (str(len(own)), f"{metal:.0f}", f"{missed:.0f}", share, holes, where)
            lines.append((region, *cells))
    head = ("vertebrae", "metal mm3", "missed mm3", "missed %", "in holes mm3", "most missed mm3")
    return markdown_table(("implants", *head), lines)


def _has_implant(row: MaskScore) -> bool:
    return row.metal_mm3 >= LEAST_METAL_MM3


def _in_region(region: str) -> Callable[[MaskScore], bool]:
    return lambda row: row.vertebra.region == region


def _in_slices(above: float, most: float, region: str = "") -> Callable[[MaskScore], bool]:
    # The spacing of a file is rarely a round number.
    return lambda row: (
        above < round(row.slice_mm, 2) <= most and region in ("", row.vertebra.region)
    )


def _at(rows: Sequence[MaskScore], label: int) -> list[MaskScore]:
    return [row for row in rows if row.vertebra.label == label]


def _means(name: str, own: Sequence[MaskScore]) -> tuple[str, ...]:
    scores = [row.vertebra for row in own]
    return (
        name,
        str(len(own)),
        f"{np.mean([score.dice for score in scores]):.3f}",
        _mean(score.hausdorff_mm for score in scores),
        _mean(score.hausdorff95_mm for score in scores),
        _mean(100.0 * score.volume_error for score in scores),
    )


def _mean(values: Iterable[float]) -> str:
    """Of the values that are defined, such as distances to masks that there are."""
    defined = [value for value in values if not np.isnan(value)]
    return f"{np.mean(defined):.2f}" if defined else "-"
