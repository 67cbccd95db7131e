"""The table at the end of a run: a row for every case, and what failed."""

from __future__ import annotations

from collections.abc import Sequence

from vertseg.errors import printable
from vertseg.report.schema import Report
from vertseg.report.words import (
    LeftOut,
    count_flags,
    failure_in_words,
    left_out_in_words,
    levels_in_words,
)

_HEADS = ("scan", "status", "vertebrae", "levels", "check", "notes", "seconds")
_NUMBERS = frozenset(("vertebrae", "check", "notes", "seconds"))
_LONGEST_NAME = 60


def format_table(reports: Sequence[Report], left_out: Sequence[LeftOut] = ()) -> str:
    """A row for every case, then the reason and the remedy of every failure.

    Args:
        reports: in the order in which they are to be listed.
        left_out: files of the input that are not scans.
    """
    rows = [_row(report) for report in reports]
    widths = [max(map(len, column)) for column in zip(_HEADS, *rows, strict=True)]
    lines = [_line(_HEADS, widths), "  ".join("-" * width for width in widths)]
    lines += [_line(row, widths) for row in rows]
    failed = [report for report in reports if report["status"] == "failed"]
    if failed:
        lines += ["", f"{len(failed)} of {len(reports)} scans failed:"]
        lines += [f"  {printable(report['case'])}: {failure_in_words(report)}" for report in failed]
    if left_out:
        lines += ["", *left_out_in_words(left_out)]
    return "\n".join(lines)


def _row(report: Report) -> tuple[str, ...]:
    name = printable(report["case"])
    if len(name) > _LONGEST_NAME:
        name = f"…{name[1 - _LONGEST_NAME :]}"
    if report["status"] == "failed":
        return (name, "failed", "", "", "", "", "")
    checks, notes = count_flags(report)
    return (
        name,
        report["status"],
        str(len(report["vertebrae"])),
        levels_in_words(report),
        str(checks),
        str(notes),
        f"{report['seconds'].get('total', 0):.1f}",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = [
        cell.rjust(width) if head in _NUMBERS else cell.ljust(width)
        for cell, width, head in zip(cells, widths, _HEADS, strict=True)
    ]
    return "  ".join(aligned).rstrip()
