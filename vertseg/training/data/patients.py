"""The patients of a data set's scans, and folds that keep every patient together."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from vertseg.errors import ConfigurationError

PARTICIPANTS = "participants.tsv"
"""BIDS table of a data set; its column ``patient``, where there is one, says who is the same."""

_SCAN_COLUMNS = ("participant_id", "scan", "subject", "name")
_PATIENT_COLUMNS = ("patient", "patient_id")
_ENTITIES = re.compile(r"_(?:split|dir|ses|run|acq|ce|rec)-[A-Za-z0-9]+|_CT[-_][A-Za-z]+$")
_SPLIT = re.compile(r"_split-([A-Za-z0-9]+)")

Alias = tuple[str, ...]
"""Names of one patient."""


def read_participants(path: Path) -> list[Alias]:
    """Pairs (scan or subject, patient) of a table with a header, tab or comma between columns.

    A table that names no patients, like most BIDS tables, returns none.

    Raises:
        ConfigurationError: it cannot be read or has no column for the scan.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot be read: {error}", str(path)) from error
    rows = list(csv.DictReader(lines, delimiter="\t" if lines and "\t" in lines[0] else ","))
    columns = rows[0].keys() if rows else ()
    scan = next((name for name in _SCAN_COLUMNS if name in columns), None)
    patient = next((name for name in _PATIENT_COLUMNS if name in columns), None)
    if rows and scan is None:
        expected = f"a column {' or '.join(_SCAN_COLUMNS)}"
        raise ConfigurationError("names no scans", str(path), expected)
    if scan is None or patient is None:
        return []
    return [(row[scan], row[patient]) for row in rows if row[scan] and row[patient]]


def subject_of(name: str) -> str:
    """The subject in the name of a case: ``verse401`` of ``verse401_split-verse253``."""
    return _ENTITIES.sub("", name.removeprefix("sub-")).lower()


def patients_of(names: Sequence[str], aliases: Sequence[Alias] = ()) -> dict[str, str]:
    """Case -> patient, named after one of the patient's subjects.

    Cases of one subject are of one patient. So are a VerSe'19 scan and the VerSe'20 subject that
    it was filed under (``sub-verse401_split-verse253``), and names that `aliases` join.

    Args:
        names: of cases.
        aliases: names (of cases, subjects or patients) that stand for one patient.
    """
    joined: dict[str, str] = {}

    def root(name: str) -> str:
        while joined.get(name, name) != name:
            name = joined[name]
        return name

    def join(members: Sequence[str]) -> None:
        first, *others = [root(member) for member in members]
        for other in others:
            joined[root(other)] = root(first)

    for name in names:
        split = _SPLIT.search(name)
        join([subject_of(name), name.removeprefix("sub-").lower()])
        if split:
            join([subject_of(name), split.group(1).lower()])
    for alias in aliases:
        join([name.strip().removeprefix("sub-").lower() for name in alias])
    return {name: root(subject_of(name)) for name in names}


def assign_folds(patients: Mapping[str, str], count: int) -> dict[str, int]:
    """Case -> fold 0 ... `count` - 1; the same cases give the same folds.

    Patients are dealt out, those with most cases first, each to the fold with fewest cases.

    Args:
        patients: case -> patient.
        count: number of folds.

    Raises:
        ConfigurationError: there is less than one fold.
    """
    if count < 1:
        raise ConfigurationError(f"{count} folds are not possible", "--folds", "1 or more")
    cases: dict[str, list[str]] = defaultdict(list)
    for case, patient in patients.items():
        cases[patient].append(case)
    loads = [0] * count
    folds: dict[str, int] = {}
    for patient in sorted(cases, key=lambda p: (-len(cases[p]), p)):
        fold = loads.index(min(loads))
        loads[fold] += len(cases[patient])
        folds |= dict.fromkeys(cases[patient], fold)
    return folds
