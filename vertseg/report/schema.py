"""Whether something read from a file is a report: it may be edited, or another program's."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertseg.io.case import report_places
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.system.atomic import write_text

if TYPE_CHECKING:
    pass

SCHEMA = "vertseg-report-1"

_STATUS = ("ok", "no_spine", "failed")
_NUMBERS = (
    *("peak", "margin_nats", "volume_ml", "trabecular_hu"),
    *("anterior_height_mm", "middle_height_mm", "posterior_height_mm"),
)


def is_report(value: Any) -> bool:
    """Whether `value` has the schema, and all that the summary and the gallery show of a report."""
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        return False
    try:
        return (
            isinstance(value["case"], str)
            and value["status"] in _STATUS
            and isinstance(value["seconds"], dict)
            and _is_number(value["seconds"].get("total", 0))
            and all(isinstance(name, str | None) for name in value.get("outputs", {}).values())
            and isinstance(value.get("acquisition", {}), dict)
            and all(_is_vertebra(row) for row in value["vertebrae"])
            and all(_is_flag(flag) for flag in value["flags"])
            and all(_is_angle(angle) for angle in value.get("angles", []))
            and _is_error(value.get("error"))
        )
    except (KeyError, TypeError, AttributeError):
        return False


def _is_vertebra(row: dict[str, Any]) -> bool:
    centroid = row["centroid_lps_mm"]
    return (
        row["label"] in ORDER_CRANIAL_TO_CAUDAL
        and isinstance(row["name"], str)
        and all(row[name] is None or _is_number(row[name]) for name in _NUMBERS)
        and len(centroid) == 3
        and all(map(_is_number, centroid))
    )


def _is_flag(flag: dict[str, Any]) -> bool:
    texts = (flag["code"], flag["severity"], flag["sentence"], *flag["vertebrae"])
    return all(isinstance(text, str) for text in texts)


def _is_angle(angle: dict[str, Any]) -> bool:
    texts = (angle["name"], angle["upper"], angle["lower"])
    return all(isinstance(text, str) for text in texts) and _is_number(angle["degrees"])


def _is_error(error: Any) -> bool:
    names = ("what", "expected", "remedy")
    return error is None or all(isinstance(error[name], str) for name in names)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


Report = dict[str, Any]


def write_report(path: str | os.PathLike[str], report: Report) -> None:
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
        report = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return report if is_report(report) else None


def collect_reports(output: str | os.PathLike[str]) -> Iterator[tuple[Path, Report]]:
    """All reports in a folder and below it, each with its folder relative to the first.

    A report that does not lie where that of its scan belongs is passed over: somebody has moved or
    copied it there with its outputs, say to keep them.
    """
    root = Path(output)
    for path in sorted(root.rglob("*_report.json")):
        report = read_report(path)
        place = path.relative_to(root)
        if report is not None and place in report_places(report["case"]):
            yield place.parent, report
