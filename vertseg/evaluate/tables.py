"""Scores as tables: text, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence

from vertseg.evaluate.scores import MEASURES, REGIONS, Average, VertebraScore
from vertseg.system.spreadsheet import as_cell

_PERCENT = frozenset(measure.name for measure in MEASURES if measure.unit == "%")


def as_text(averages: Sequence[Average], scores: Sequence[VertebraScore]) -> str:
    """A table for the terminal: regions down, measures across."""
    rows = _table(averages)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([line.rstrip() for line in lines] + ["", _in_words(averages, scores)])


def as_markdown(averages: Sequence[Average], scores: Sequence[VertebraScore]) -> str:
    """The same table in Markdown."""
    head, *rows = [[cell.replace("|", "/") for cell in row] for row in _table(averages)]
    return f"{markdown_table(head, rows)}\n\n{_in_words(averages, scores)}"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_csv(averages: Sequence[Average], scores: Sequence[VertebraScore]) -> str:
    """One row per vertebra."""
    stream = io.StringIO()
    names = [field.name for field in dataclasses.fields(VertebraScore)]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([names[0], "name", *names[1:]])
    for score in scores:
        row = [_cell(getattr(score, name)) for name in names]
        writer.writerow([row[0], score.name, *row[1:]])
    return stream.getvalue().rstrip("\n")


def as_json(averages: Sequence[Average], scores: Sequence[VertebraScore]) -> str:
    """Averages and single vertebrae; undefined values are null."""
    payload = {
        "averages": [_plain(dataclasses.asdict(entry)) for entry in averages],
        "vertebrae": [_plain({**dataclasses.asdict(s), "name": s.name}) for s in scores],
    }
    return json.dumps(payload, indent=1, allow_nan=False)


FORMATS: dict[str, Callable[[Sequence[Average], Sequence[VertebraScore]], str]] = {
    "text": as_text,
    "csv": as_csv,
    "markdown": as_markdown,
    "json": as_json,
}


def beside(
    averages: Sequence[Average],
    other: Sequence[Average],
    prediction: object,
    compared: object,
) -> str:
    """The averages of two sets of results of the same scans, one below the other, in Markdown.

    Args:
        averages: of the first results.
        other: of the second.
        prediction: name of the first, such as its folder.
        compared: name of the second.
    """
    names = {"a": prediction, "b": compared}
    head, rows = ["region", ""], []
    for name, entries in zip(names, (averages, other), strict=True):
        first, *own = _table(entries)
        head = [first[0], "", *first[1:]]
        rows += [[row[0], name, *(cell.replace("|", "/") for cell in row[1:])] for row in own]
    rows.sort(key=lambda row: REGIONS.index(row[0]))
    table = markdown_table(head, rows)
    legend = "; ".join(f"{name}: {folder}" for name, folder in names.items())
    return f"{table}\n\n{legend}. Averages over vertebrae / over scans."


def _table(averages: Sequence[Average]) -> list[list[str]]:
    units = {measure.name: f"{measure.name} {measure.unit}".strip() for measure in MEASURES}
    by_key = {(entry.region, entry.measure): entry for entry in averages}
    regions = [region for region in REGIONS if (region, MEASURES[0].name) in by_key]
    rows = [["region", "vertebrae", *units.values()]]
    for region in regions:
        entries = [by_key[region, name] for name in units]
        count = max(
            entry.count + entry.undefined for entry in entries if entry.measure != "precision"
        )
        rows.append([region, str(count), *map(_mean_cell, entries)])
    return rows


def _mean_cell(entry: Average) -> str:
    """``mean +- sd | mean +- sd``, with the number of undefined values."""
    if not entry.count:
        return f"- ({entry.undefined} undefined)" if entry.undefined else "-"
    digits = 3 if entry.measure == "dice" else 1 if entry.measure in _PERCENT else 2
    text = (
        f"{entry.mean:.{digits}f} +- {entry.sd:.{digits}f}"
        f" | {entry.scan_mean:.{digits}f} +- {entry.scan_sd:.{digits}f}"
    )
    return f"{text} ({entry.undefined} undefined)" if entry.undefined else text


def _in_words(averages: Sequence[Average], scores: Sequence[VertebraScore]) -> str:
    """One sentence with the counts."""
    annotated = [score for score in scores if score.annotated]
    hits = sum(score.identified for score in annotated)
    missing = sum(not score.predicted for score in annotated)
    extra = sum(score.predicted and not score.annotated for score in scores)
    scans = len({score.case for score in scores})
    return (
        f"{hits} of {len(annotated)} annotated vertebrae identified in {scans} scans; "
        f"{missing} missing, {extra} predicted that are not annotated. "
        "Averages over vertebrae | over scans."
    )


def _cell(value: object) -> object:
    """A value for CSV: empty where undefined, 0 or 1 for yes and no."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4f}"
    return as_cell(value)


def _plain(record: dict[str, object]) -> dict[str, object]:
    """NaN as None, for JSON."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in record.items()
    }
