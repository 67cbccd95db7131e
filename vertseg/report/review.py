"""What a reviewer marked in the gallery, as it saves it, and what to do about the wrong ones."""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from vertseg.errors import ConfigurationError
from vertseg.report.schema import Report

MARKS = ("right", "wrong", "unsure")
_COLUMNS = ("case", "mark", "word", "time")
_LARGEST_FILE_BYTES = 64 << 20


@dataclass(frozen=True)
class Mark:
    """What a reviewer said of a case.

    Attributes:
        mark: one of `MARKS`; empty where there is only a word.
        word: a remark; may be empty.
        time: when, as text; may be empty.
    """

    mark: str
    word: str = ""
    time: str = ""


def read_review(path: Path) -> dict[str, Mark]:
    """Marks by case, of a file that the gallery has saved; the last one of a case counts.

    Raises:
        ConfigurationError: it cannot be read, or is not such a file.
    """
    where, remedy = f"--review {path}", "Give a CSV file that index.html has saved."
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise ConfigurationError("is too large", where, "marks of scans", remedy)
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise ConfigurationError(what, where, remedy=remedy) from error
    except (ValueError, csv.Error) as error:
        raise ConfigurationError("is not a CSV file", where, remedy=remedy) from error
    marks = {}
    for number, row in enumerate(rows, start=2):
        case, mark = row.get("case"), row.get("mark")
        if not case or mark not in (*MARKS, ""):
            expected = f"the columns {', '.join(_COLUMNS)} with marks {', '.join(MARKS)}"
            raise ConfigurationError(f"line {number} names no mark", where, expected, remedy)
        word = re.sub(r"^'(?=[=+@\t-])", "", row.get("word") or "")  # against spreadsheets
        marks[case] = Mark(mark, word, row.get("time") or "")
    return marks


def what_to_do(
    reports: Mapping[str, Report], marks: Mapping[str, Mark], scans: Path, output: Path
) -> Iterator[str]:
    """Lines that list the cases marked wrong, each with the commands that repair or redo it.

    Args:
        reports: case -> report.
        marks: case -> mark; those of cases that are not there are named at the end.
        scans: input folder.
        output: output folder.
    """
    wrong = [case for case, mark in marks.items() if mark.mark == "wrong" and case in reports]
    counts = ", ".join(f"{sum(m.mark == name for m in marks.values())} {name}" for name in MARKS)
    yield f"Review: {counts}, of {len(reports)} scans."
    for case in sorted(wrong):
        word = f": {marks[case].word}" if marks[case].word else ""
        yield f"  {case} is wrong{word}"
        if reports[case]["vertebrae"]:
            repair = ("vertseg", "relabel", str(output), "--case", case, "--shift", "1")
            yield f"    levels off by one (or -1, or --rival): {shlex.join(repair)}"
        redo = ("vertseg", "--input", str(scans), "--output", str(output), "--only", escape(case))
        yield f"    centroids corrected: {shlex.join((*redo, '--centroids', 'CORRECTED'))}"
    absent = sorted(case for case in marks if case not in reports)
    if absent:
        yield f"  {len(absent)} marked scans are not among these, such as {absent[0]}."
