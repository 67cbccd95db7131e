"""Scores of the stages as tables: text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from vertseg.evaluation import Average, average
from vertseg.score_tables import as_csv, as_markdown, as_text
from vertseg.training.stage_scores import CaseScores, SpineScore
from vertseg.writing import write_text

_AVERAGE = ("region", "measure", "count", "undefined", "mean", "sd", "scan_mean", "scan_sd")


def tables(scores: Sequence[CaseScores]) -> dict[str, str]:
    """File name -> text: the table as text and Markdown, single vertebrae and spines as CSV."""
    rows = [row for case in scores for row in case.vertebrae]
    averages = average(rows)
    words = spine_in_words([case.spine for case in scores])
    return {
        "scores.txt": f"{as_text(averages, rows)}\n\n{words}\n",
        "scores.md": f"{as_markdown(averages, rows)}\n\n{words}\n",
        "scores.csv": _averages_csv(averages),
        "vertebrae.csv": f"{as_csv(averages, rows)}\n",
        "spines.csv": _spine_csv([case.spine for case in scores]),
    }


def write_tables(scores: Sequence[CaseScores], folder: Path) -> None:
    """Write all `tables` to a folder; raises OutputError."""
    for name, text in tables(scores).items():
        write_text(folder / name, text)


def spine_in_words(scores: Sequence[SpineScore]) -> str:
    """Such as ``"Spine stage: 4.13 +- 2.00 mm from the centre in 80 scans."``."""
    distances = np.array([score.distance_mm for score in scores])
    found = distances[~np.isnan(distances)]
    if not len(found):
        return f"Spine stage: no spine found in {len(distances)} scans."
    text = f"Spine stage: {found.mean():.2f} +- {found.std():.2f} mm from the centre"
    absent = len(distances) - len(found)
    return f"{text} in {len(found)} scans" + (f", none found in {absent}." if absent else ".")


def _averages_csv(averages: Sequence[Average]) -> str:
    return _csv(_AVERAGE, ([getattr(row, name) for name in _AVERAGE] for row in averages))


def _spine_csv(scores: Sequence[SpineScore]) -> str:
    return _csv(("case", "distance_mm"), ([score.case, score.distance_mm] for score in scores))


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4f}"
    return value
