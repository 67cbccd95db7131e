"""The summary of a batch: one tidy table with one row per vertebra, made from the reports."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vertseg.io.scan_facts import FACTS
from vertseg.measure.parts import PARTS
from vertseg.report.schema import Report
from vertseg.system.spreadsheet import as_cell

_PER_VERTEBRA = (
    *("label", "name", "region", "x_lps_mm", "y_lps_mm", "z_lps_mm"),
    *("axial_slice", "box_first", "box_last", "peak", "margin_nats"),
    *("voxels", "volume_ml", "trabecular_hu", "trabecular_sd_hu", "touches_border"),
    *("body_width_mm", "body_depth_mm"),
    *("anterior_height_mm", "middle_height_mm", "posterior_height_mm"),
    *("anterior_ratio", "middle_ratio", "genant_grade_hint"),
    *("upper_plate_sagittal_deg", "upper_plate_coronal_deg"),
    *("lower_plate_sagittal_deg", "lower_plate_coronal_deg"),
)
COLUMNS = ("case", "status", *_PER_VERTEBRA, "flags", *FACTS)
"""Columns of ``summary.csv``; empty where a value could not be measured."""
_PART_QUANTITIES = ("volume_ml", "mean_hu")
PART_COLUMNS = tuple(
    f"{name}_{quantity}"
    for name in (*(part.name for part in PARTS), "cortical", "trabecular")
    for quantity in _PART_QUANTITIES
)
"""Further columns, where the parts of vertebrae were asked for."""


def summary_rows(reports: Iterable[Report]) -> Iterator[dict[str, Any]]:
    """A row for each vertebra of each case; cases without a vertebra have none."""
    for report in reports:
        for vertebra in report["vertebrae"]:
            x, y, z = vertebra["centroid_lps_mm"]
            codes = [f["code"] for f in report["flags"] if vertebra["name"] in f["vertebrae"]]
            values: dict[str, Any] = {**vertebra, "x_lps_mm": x, "y_lps_mm": y, "z_lps_mm": z}
            for corner in ("box_first", "box_last"):
                values[corner] = " ".join(map(str, values.get(corner) or ()))
            yield {
                "case": report["case"],
                "status": report["status"],
                **{name: values.get(name) for name in _PER_VERTEBRA},
                "flags": " ".join(codes),
                **{name: report.get("acquisition", {}).get(name) for name in FACTS},
                **_parts(vertebra.get("parts") or {}),
            }


def _parts(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"{name}_{quantity}": row.get(quantity)
        for name, row in parts.items()
        for quantity in _PART_QUANTITIES
    }


def summary_text(reports: Iterable[Report]) -> str:
    """The table as CSV, in which no text is a formula."""
    text, rows = io.StringIO(newline=""), list(summary_rows(reports))
    further = PART_COLUMNS if any(not row.keys() <= set(COLUMNS) for row in rows) else ()
    writer = csv.DictWriter(text, (*COLUMNS, *further), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: as_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()
