"""Tables 1 and 2 of the paper (Payer et al., VISAPP 2020): text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vertseg.evaluate.scores import REGIONS, VertebraScore
from vertseg.evaluate.tables import markdown_table
from vertseg.system.atomic import write_text
from vertseg.training.validate.stage_scores import CaseScores

Rows = list[list[str]]

TABLE_1 = ("region", "PE mm", "ID %", "identified", "Dice", "Hausdorff mm")
TABLE_2 = ("set", "scans", "ID %", "PE mm", "Dice", "Hausdorff mm")

PUBLISHED_1 = ("all, as published", "5.71 +- 6.28", "89.79", "", "0.94 +- 0.11", "6.53 +- 13.49")
PUBLISHED_2 = (
    ("test 1, as published", "40", "95.65", "4.27", "0.909", "6.35"),
    ("test 2, as published", "40", "94.25", "4.80", "0.898", "7.34"),
)


def table_1(scores: Sequence[CaseScores]) -> Rows:
    """Each stage fed with the truth: by region, mean +- SD over vertebrae; then the spine stage."""
    vertebrae = [row for case in scores for row in case.vertebrae]
    rows = [list(TABLE_1)]
    for region in REGIONS:
        own = [row for row in vertebrae if region in ("all", row.region)]
        annotated = [row for row in own if row.annotated]
        if not annotated:
            continue
        hits = sum(row.identified for row in annotated)
        rows.append(
            [
                region,
                _mean_and_sd([row.distance_mm for row in annotated], 2),
                f"{100 * hits / len(annotated):.2f}",
                f"{hits} of {len(annotated)}",
                _mean_and_sd([row.dice for row in own], 2),
                _mean_and_sd([row.hausdorff_mm for row in own], 2),
            ]
        )
    rows.append([*PUBLISHED_1])
    spine = _mean_and_sd([case.spine.distance_mm for case in scores], 2)
    absent = sum(np.isnan(case.spine.distance_mm) for case in scores)
    rows.append(["spine in x, y", spine, "", f"{len(scores) - absent} of {len(scores)}", "", ""])
    return [*rows, ["spine, as published", "4.13", "", "", "", ""]]


def table_2(sets: Mapping[str, Sequence[VertebraScore]]) -> Rows:
    """The whole chain on test sets: means over vertebrae."""
    rows = [list(TABLE_2)]
    for name, scores in sets.items():
        annotated = [row for row in scores if row.annotated]
        rate = 100 * np.mean([row.identified for row in annotated]) if annotated else np.nan
        measures = (
            _mean([row.distance_mm for row in annotated], 2),
            _mean([row.dice for row in scores], 3),
            _mean([row.hausdorff_mm for row in scores], 2),
        )
        rows.append([name, str(len({row.case for row in scores})), f"{rate:.2f}", *measures])
    return rows + [[*row] for row in PUBLISHED_2]


def _mean(values: Sequence[float], digits: int) -> str:
    known = [value for value in values if not np.isnan(value)]
    return f"{np.mean(known):.{digits}f}" if known else "-"


def _mean_and_sd(values: Sequence[float], digits: int) -> str:
    known = [value for value in values if not np.isnan(value)]
    return f"{np.mean(known):.{digits}f} +- {np.std(known):.{digits}f}" if known else "-"


def as_text(rows: Rows) -> str:
    """For the terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def as_csv(rows: Rows) -> str:
    """For programs."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def write_table(folder: Path, name: str, rows: Rows) -> str:
    """Writes a table as text, Markdown and CSV, and returns the text; raises OutputError."""
    text = as_text(rows)
    write_text(folder / f"{name}.txt", text + "\n")
    write_text(folder / f"{name}.md", markdown_table(rows[0], rows[1:]) + "\n")
    write_text(folder / f"{name}.csv", as_csv(rows))
    return text
