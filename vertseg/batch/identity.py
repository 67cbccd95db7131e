"""Refuses scans that would overwrite each other's results, or an input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vertseg.batch.outputs import all_outputs
from vertseg.errors import ConfigurationError, InputError
from vertseg.io.case import Case, folded
from vertseg.report.claims import is_safe_name

_RESERVED = ("summary.csv", "index.html", "dataset_description.json")


def refuse_clashes(cases: Sequence[Case]) -> tuple[list[Case], list[InputError]]:
    """Refuse all scans that have the name or an output name of another.

    Names that differ in case alone, or in the Unicode form of a letter, are one name: some file
    systems know no difference, and results are copied from one to another.
    """
    users: dict[str, set[int]] = {}
    for number, case in enumerate(cases):
        for name in _names(case):
            users.setdefault(name, set()).add(number)
    rivals: dict[int, set[int]] = {}
    for numbers in users.values():
        for number in numbers if len(numbers) > 1 else ():
            rivals.setdefault(number, set()).update(numbers - {number})
    taken = {folded(name) for name in _RESERVED}
    refused = {}
    for number, case in enumerate(cases):
        if number in rivals:
            others = ", ".join(cases[other].name for other in sorted(rivals[number]))
            refused[number] = _refusal(case, f"would write the same files as {others}")
        elif taken.intersection(_names(case)) or not all(map(_is_inside, all_outputs(case))):
            refused[number] = _refusal(case, "has a name that its outputs cannot have")
    kept = [case for number, case in enumerate(cases) if number not in refused]
    return kept, list(refused.values())


def _names(case: Case) -> set[str]:
    return {f"scan {folded(case.name)}", *(folded(path.as_posix()) for path in all_outputs(case))}


def _is_inside(output: Path) -> bool:
    return is_safe_name(output.as_posix().replace("\\", "/"))


def _refusal(case: Case, what: str) -> InputError:
    remedy = "Rename one of them, or keep only one."
    return InputError(what, str(case.where), "one output name per scan", remedy)


def check_apart(cases: Iterable[Case], output: Path) -> None:
    """Raise ConfigurationError if an output would take the place of an input.

    Folders are compared by what they are, not by their paths: one can be mounted at two places.
    """
    cases = list(cases)
    inputs: dict[tuple[int, int], set[str]] = {}
    for file, identity in _with_folders(path for case in cases for path in _files(case)):
        inputs.setdefault(identity, set()).add(folded(file.name))
    for file, identity in _with_folders(output / p for case in cases for p in all_outputs(case)):
        if folded(file.name) in inputs.get(identity, ()):
            what = "would overwrite a file of the input"
            remedy = "Give an output folder that is not the input folder."
            raise ConfigurationError(what, str(file), remedy=remedy)


def _files(case: Case) -> Sequence[Path]:
    try:
        return case.files
    except InputError:  # is reported when it is read
        return (case.path,)


def _with_folders(paths: Iterable[Path]) -> Iterator[tuple[Path, tuple[int, int]]]:
    """Paths whose folder exists, with its identity."""
    known: dict[Path, tuple[int, int] | None] = {}
    for path in paths:
        folder = path.parent
        if folder not in known:
            try:
                state = os.stat(folder)
                known[folder] = (state.st_dev, state.st_ino)
            except OSError:
                known[folder] = None
        identity = known[folder]
        if identity is not None:
            yield path, identity
