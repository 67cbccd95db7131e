"""Tables of a validation as text, Markdown and CSV: by kind of case, margin and stage."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vertseg.evaluate.scores import Average, VertebraScore, average
from vertseg.evaluate.tables import as_csv, as_markdown, as_text, markdown_table
from vertseg.system.atomic import write_text
from vertseg.system.spreadsheet import as_cell
from vertseg.training.validate.stage_scores import CaseScores, SpineScore

MARGINS = (0.0, 2.0, 4.0, 8.0, 16.0)
"""Margins in nats from which on the share of shifted cases is given."""


def by_mark(scores: Sequence[VertebraScore], marks: Mapping[str, Sequence[str]]) -> str:
    """Identification by what a case shows and by what is hard about it; `marks` by subject."""
    every = sorted({mark for own in marks.values() for mark in own})
    rows = [(mark, [s for s in scores if mark in marks[_subject(s.case)]]) for mark in every]
    rows.append(("nothing hard", [s for s in scores if len(marks[_subject(s.case)]) == 1]))
    return markdown_table(
        ("mark", "cases", "identified %"), (_marked(name, own) for name, own in rows if own)
    )


def by_margin(scores: Sequence[VertebraScore], margins: Mapping[str, float]) -> str:
    """Of the cases from each margin on, how many are shifted: mostly misnamed, though found."""
    cases = {s.case for s in scores if s.annotated}
    shifted = {case for case in cases if is_shifted([s for s in scores if s.case == case])}
    rows = []
    for threshold in MARGINS:
        sure = {case for case in cases if margins.get(case, -np.inf) >= threshold}
        rows.append((f">= {threshold:g}", str(len(sure)), str(len(sure & shifted))))
    return markdown_table(("margin, nats", "cases", "of them shifted"), rows)


def by_case(scores: Sequence[VertebraScore]) -> str:
    """How many vertebrae of each scan are identified, and how many are predicted otherwise."""
    rows = []
    for case in sorted({s.case for s in scores}):
        own = [s for s in scores if s.case == case]
        annotated, right = sum(s.annotated for s in own), sum(s.identified for s in own)
        others = sum(s.predicted and not s.identified for s in own)
        distances = _mean(s.distance_mm for s in own)
        rows.append((case, str(annotated), str(right), str(others), distances))
    head = ("scan", "annotated", "identified", "predicted otherwise", "distance mm")
    return markdown_table(head, rows)


def is_shifted(scores: Iterable[VertebraScore]) -> bool:
    """Whether at least half of what was predicted bears a wrong name."""
    right = [s.identified for s in scores if s.predicted]
    return bool(right) and float(np.mean(right)) <= 0.5


def worst_cases(scores: Sequence[VertebraScore], count: int) -> list[str]:
    """Names of the cases with the lowest mean Dice, the worst first."""
    dice: dict[str, list[float]] = {}
    for score in scores:
        if not np.isnan(score.dice):
            dice.setdefault(score.case, []).append(score.dice)
    return sorted(dice, key=lambda case: float(np.mean(dice[case])))[:count]


def _marked(name: str, own: Sequence[VertebraScore]) -> tuple[str, str, str]:
    hits = [s.identified for s in own if s.annotated]
    cases = len({s.case for s in own})
    return name, str(cases), f"{100 * np.mean(hits):.1f}" if hits else "-"


def _mean(values: Iterable[float]) -> str:
    defined = [value for value in values if not np.isnan(value)]
    return f"{np.mean(defined):.1f}" if defined else "-"


def _subject(case: str) -> str:
    return case.split("_")[0]


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
    return as_cell(value)
