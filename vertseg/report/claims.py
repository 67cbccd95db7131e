"""What reports say of files: which ones a run has written, and whether they are as it left them.

A report records the hash of every output and, over all of its own content, of itself. So a later
run knows which files it may replace: those that are named in a report and have not been changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeGuard

from vertseg.report.schema import SCHEMA
from vertseg.system.fingerprint import sha256_of

State = Literal["absent", "ours", "edited", "foreign"]
"""``ours``: written by this program and not changed since; ``edited``: changed since; ``foreign``:
no report names it."""

_SEAL = "sha256"


def sealed(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report with a hash of its own content, which tells whether it was edited later."""
    return {**report, _SEAL: _own_hash(report)}


def _own_hash(report: Mapping[str, Any]) -> str:
    content = {name: value for name, value in report.items() if name != _SEAL}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def is_as_written(report: Mapping[str, Any]) -> bool:
    """Whether a report is as it was written; one of version 0.1 cannot tell, and counts as such."""
    try:
        return _SEAL not in report or report[_SEAL] == _own_hash(report)
    except (TypeError, ValueError, RecursionError):
        return False


def read_record(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """A report of this program, however damaged; None for any other file, or none."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        record = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and record.get("schema") == SCHEMA else None


def claimed_files(record: Mapping[str, Any]) -> dict[str, str | None]:
    """Files that a report names, relative to its folder, with their hashes.

    The hash is None where the report is of version 0.1, which recorded none.
    """
    outputs, hashes = record.get("outputs"), record.get("output_sha256")
    outputs = outputs if isinstance(outputs, dict) else {}
    claimed: dict[str, str | None] = {}
    for kind, name in outputs.items():
        if is_safe_name(name):
            known = hashes.get(kind, "") if isinstance(hashes, dict) else None
            claimed[name] = known if isinstance(known, str) or known is None else ""
    earlier = record.get("earlier_outputs")
    for entry in earlier.values() if isinstance(earlier, dict) else ():
        if isinstance(entry, dict) and is_safe_name(entry.get("file")):
            known = entry.get("sha256")
            claimed.setdefault(entry["file"], known if isinstance(known, str) else None)
    return claimed


def is_safe_name(name: Any) -> TypeGuard[str]:
    """Whether a name that was read from a file is a path within the folder that it is meant for."""
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


class Ownership:
    """Which files of a case this program wrote, and whether they are unchanged.

    Args:
        report: where the report of the case belongs.
        records: reports of this program that name files of the case, the one in place included.
    """

    def __init__(self, report: Path, records: Iterable[Mapping[str, Any]]) -> None:
        self._report = report
        self._records = list(records)
        self._hashes: dict[Path, set[str | None]] = {}
        for record in self._records:
            for name, known in claimed_files(record).items():
                self._hashes.setdefault(report.parent / name, set()).add(known)

    def state(self, path: Path) -> State:
        """Whether a file is ours, edited, foreign or absent."""
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            return "absent"
        if path == self._report:
            return self._state_of_report()
        known = self._hashes.get(path)
        if known is None or not stat.S_ISREG(mode):
            return "foreign"
        return "ours" if None in known or _hash_of(path) in known else "edited"

    def _state_of_report(self) -> State:
        record = read_record(self._report)
        if record is None:
            return "foreign"
        return "ours" if is_as_written(record) else "edited"


def _hash_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError:
        return "unreadable"
