"""Tables of what a reader says of vertebrae, beside what ``summary.csv`` measures in them.

A table has one row per vertebra (columns case, vertebra, value), or one per scan with a column per
level, such as ``L1_fx-g`` in the annotation of VerSe'19 (Löffler et al., Radiol Artif Intell 2020).
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from vertseg.errors import InputError, NoInputError
from vertseg.labels import is_vertebra, label_of

SUMMARY = "summary.csv"

Key = tuple[str, int]
"""What a case is known by, and the label of a vertebra; 0 for the whole scan."""

_CASE = ("case", "verse_id", "subject", "subject_id", "participant_id", "patient", "scan")
_LEVEL = ("vertebra", "level", "label", "name")
_WIDE = re.compile(r"([ctl]\d{1,2})(?:[_ -]?(.*))?", re.IGNORECASE)


def read_table(path: Path, columns: tuple[str, ...]) -> dict[Key, float]:
    """The values of a reader's table; cells without a number are left out.

    Args:
        path: CSV, separated by commas, semicolons or tabs.
        columns: names that the value's column may have, and the ends of such a level's column.

    Raises:
        InputError: it cannot be read, or has no such columns.
    """
    rows = _rows(path)
    names = {name.strip().lower(): name for name in rows[0]}
    case = next((names[name] for name in _CASE if name in names), None)
    value = next((names[name] for name in columns if name in names), None)
    level = next((names[name] for name in _LEVEL if name in names), None)
    wide = dict(_wide_columns(rows[0], columns))
    if case is None or (value is None and not wide):
        expected = f"a column {_CASE[0]}, and {columns[0]} with {_LEVEL[0]}, or L1_{columns[0]}"
        raise InputError("has no such columns", str(path), expected, "Name the columns so.")
    found: dict[Key, float] = {}
    for row in rows:
        key = case_key(row[case] or "")
        if value is not None:
            _enter(found, (key, _label(row[level], path) if level else 0), row[value])
        for column, label in wide.items():
            _enter(found, (key, label), row[column])
    return found


def read_measured(path: Path, column: str) -> dict[Key, float | None]:
    """A column of a run's summary; None where it could not be measured.

    Args:
        path: ``summary.csv``, or the folder that holds it.
        column: its name.

    Raises:
        NoInputError: there is no summary.
        InputError: it cannot be read.
    """
    file = path / SUMMARY if path.is_dir() else path
    if not file.is_file():
        remedy = "Give the output folder of a run."
        raise NoInputError(f"holds no {SUMMARY}", str(path), remedy=remedy)
    rows = _rows(file)
    if not {"case", "label", column} <= rows[0].keys():
        raise InputError(f"has no column {column}", str(file), "a summary of this program")
    return {(case_key(row["case"]), int(row["label"])): _number(row[column]) for row in rows}


def case_key(name: str) -> str:
    """What a case is known by: ``004`` of ``deep/sub-verse004_ct.nii.gz`` and of ``verse004``.

    >>> case_key("rawdata/sub-verse004/sub-verse004_ct.nii.gz"), case_key("4"), case_key("p1.mha")
    ('4', '4', 'p1')
    """
    stem = re.sub(r"(_ct)?\.(nii|nii\.gz|mha|mhd|nrrd)$", "", name.strip().split("/")[-1].lower())
    stem = stem.removeprefix("sub-")
    number = re.fullmatch(r"(?:verse)?0*(\d+)(?:\.0)?", stem)
    return number[1] if number else stem


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", str(path), "a CSV file") from error
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    rows = list(csv.DictReader(text.splitlines(), delimiter=separator))
    if not rows:
        raise InputError("has no rows", str(path), "a CSV file with a heading")
    return rows


def _wide_columns(row: Mapping[str, str], columns: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for name in row:
        found = _WIDE.fullmatch((name or "").strip())
        if found and (found[2] or columns[0]).lower() in columns:
            label = _known(found[1])
            if label:
                yield name, label


def _enter(found: dict[Key, float], key: Key, text: str | None) -> None:
    number = _number(text)
    if number is not None:
        found[key] = number


def _number(text: str | None) -> float | None:
    try:
        number = float((text or "").strip().replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _label(text: str | None, path: Path) -> int:
    label = _known((text or "").strip())
    if not label:
        expected = "names such as L1, or VerSe labels"
        raise InputError(f"{text!r} is not a vertebra", str(path), expected, "Correct the table.")
    return label


def _known(text: str) -> int:
    """The label of a name or of a number; 0 for anything else."""
    try:
        label = int(float(text)) if re.fullmatch(r"\d+(\.0)?", text) else label_of(text)
    except KeyError:
        return 0
    return label if is_vertebra(label) else 0
