"""What earlier runs have left of a case, and whether it may be replaced."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vertseg.batch.outputs import all_outputs
from vertseg.errors import OutputError
from vertseg.io.case import Case
from vertseg.report.claims import Ownership, claimed_files, read_record
from vertseg.report.files import read_report
from vertseg.report.schema import Report

_REMEDY = "Move it away, give another output folder, or let it be replaced with --overwrite."


class Earlier:
    """Report and outputs of a case that lie in the output folder.

    Args:
        case: the scan and the names of its outputs.
        output: the output folder.
        records: further reports that name outputs of the case.
    """

    def __init__(self, case: Case, output: Path, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self._case = case
        self._path = output / case.report
        self._files = [output / name for name in all_outputs(case)]
        self.report = read_report(self._path)
        own = read_record(self._path)
        self._records = [*records, *([own] if own is not None else [])]
        self._whose = Ownership(self._path, self._records)

    @property
    def results(self) -> Report | None:
        """The report, if it describes outputs."""
        failed = self.report is not None and self.report["status"] == "failed"
        return None if failed else self.report

    def is_of(self, sha256: str) -> bool:
        """Whether the results are those of a scan with this content."""
        return self.results is not None and _input(self.results).get("sha256") == sha256

    def check(self, written: Iterable[Path], sha256: str) -> None:
        """Raise OutputError if a file would be lost that is not this case's own, or was edited.

        Args:
            written: paths of the outputs that are to be written.
            sha256: of the content of the scan; outputs of another content are to be removed.
        """
        self._check_scan(sha256)
        for path in {*written, *self._to_be_removed(sha256), self._path}:
            state = self._whose.state(path)
            if state == "foreign":
                raise _kept("was not written by this program and is kept", path)
            if state == "edited":
                raise _kept("was changed since this program wrote it and is kept", path)

    def _check_scan(self, sha256: str) -> None:
        """Refuse to replace results of a scan that only has the same name."""
        results = self.results
        if results is None or self.is_of(sha256):
            return
        if results["case"] != self._case.name:
            what = f"there are the results of another scan, {results['case']}, which are kept"
            raise _kept(what, self._path)
        if _input(results).get("place") != place_of(self._case):
            what = "there are the results of a scan of the same name from elsewhere, which are kept"
            raise _kept(what, self._path)

    def _to_be_removed(self, sha256: str) -> list[Path]:
        if self.results is None or self.is_of(sha256):
            return []
        named = {self._path.parent / name for r in self._records for name in claimed_files(r)}
        return [path for path in self._files if path in named]


def place_of(case: Case) -> str:
    """A key that distinguishes folders of scans, even when mounted at one path; it names none.

    A scan that was replaced by a newer one is still in its place; one of the same name that lies
    in another folder is not.
    """
    folder = case.path if case.slices else case.path.parent
    try:
        state, system = os.stat(folder), os.statvfs(folder)
    except OSError:
        return ""
    told = (os.path.realpath(folder), state.st_ino, system.f_fsid)
    return hashlib.sha256(repr(told).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _input(report: Report) -> Mapping[str, Any]:
    value: Any = report.get("input")  # a report may have been edited
    return value if isinstance(value, dict) else {}


def _kept(what: str, path: Path) -> OutputError:
    return OutputError(what, str(path), remedy=_REMEDY)
