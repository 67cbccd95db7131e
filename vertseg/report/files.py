"""Reports as files: written, read and collected."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vertseg.io.case import report_places
from vertseg.report.schema import Report
from vertseg.report.validity import is_report
from vertseg.system.atomic import write_text


def write_report(path: str | os.PathLike[str], report: Mapping[str, Any]) -> None:
    """Write a report as JSON with one line for each list of numbers; raises OutputError."""
    text = json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False)
    # Strings in JSON hold no line breaks, so only lists of plain values can match.
    flat = re.sub(r"\[\n\s*([^\[\]{}]*?)\s*\n\s*\]", _on_one_line, text)
    write_text(path, flat + "\n")


def _on_one_line(found: re.Match[str]) -> str:
    return "[" + re.sub(r"\n\s*", " ", found[1]) + "]"


def read_report(path: str | os.PathLike[str]) -> Report | None:
    """A report as written by this program, or None if there is none."""
    try:
        if not Path(path).is_file():  # a pipe would never end
            return None
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return report if is_report(report) else None


def collect_reports(output: str | os.PathLike[str]) -> Iterator[tuple[Path, Report]]:
    """All reports in a folder and below it, each with its folder relative to the first.

    A report that does not lie where that of its scan belongs is ignored: somebody has moved or
    copied it there with its outputs, for example to keep them.
    """
    root = Path(output)
    for path in sorted(root.rglob("*_report.json")):
        report = read_report(path)
        place = path.relative_to(root)
        if report is not None and place in report_places(report["case"]):
            yield place.parent, report
