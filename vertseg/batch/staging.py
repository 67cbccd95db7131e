"""Outputs of one case, written aside and then put in place together, so that a kill mixes nothing.

The files lie in a hidden folder beside the report until all are whole; the new report is written
last, with the hash of each. Then the earlier report is moved into the folder, earlier outputs are
removed, the new ones are renamed into place, and at last the new report. So what can be seen is at
any moment of one run, and what a killed run has left can be completed by the next one.
"""

from __future__ import annotations

import os
import secrets
import shutil
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vertseg.errors import OutputError
from vertseg.report.claims import claimed_files, read_record, sealed
from vertseg.report.files import write_report
from vertseg.system.atomic import remedy_for
from vertseg.system.fingerprint import sha256_of

_REPORT, _EARLIER = "report.json", "earlier.json"
_ENDING = ".staged"


class Staging:
    """A hidden folder beside a report, for all outputs that the report names.

    Attributes:
        folder: the hidden folder.

    Args:
        report: path of the report when it is in place.
        outputs: paths of all outputs that the case may have; no other file is ever removed.
        folder: one that a killed run has left; None for a new one.
    """

    def __init__(self, report: Path, outputs: Collection[Path], folder: Path | None = None) -> None:
        self._final = report
        self._outputs = frozenset(outputs)
        name = f"{_prefix(report)}{secrets.token_hex(4)}{_ENDING}"
        self.folder = report.with_name(name) if folder is None else folder
        self._finals: dict[Path, Path] = {}

    @classmethod
    def left_behind(cls, report: Path, outputs: Collection[Path]) -> list[Staging]:
        """Folders that killed runs have left for a case; no run may be at it."""
        try:
            names = sorted(os.listdir(report.parent))
        except OSError:
            return []
        own = [n for n in names if n.startswith(_prefix(report)) and n.endswith(_ENDING)]
        return [cls(report, outputs, report.parent / name) for name in own]

    @property
    def is_complete(self) -> bool:
        """Whether the outputs in it are all there is to put in place, and whole."""
        return self._record() is not None

    @property
    def records(self) -> list[dict[str, Any]]:
        """Reports in it: of the outputs to be put in place, and of those to be replaced."""
        found = (self._record(), read_record(self.folder / _EARLIER))
        return [record for record in found if record is not None]

    @property
    def outputs(self) -> list[Path]:
        """Where the outputs in a complete folder belong."""
        return self._files(self._record() or {})

    @property
    def sha256(self) -> str:
        """Of the scan that they were made from."""
        told = (self._record() or {}).get("input")
        return str(told.get("sha256", "")) if isinstance(told, dict) else ""

    def path(self, final: Path) -> Path:
        """Where to write the output that belongs to `final`."""
        self._finals[self._staged(final)] = final
        return self._staged(final)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Have errors of the block name the file that was to be written, not the one aside."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refusal(error, self._final) from error
        try:
            yield
        except OutputError as error:
            final = self._finals.get(Path(error.where), Path(error.where))
            raise OutputError(error.what, str(final), error.expected, error.remedy) from error

    def hash_of(self, final: Path) -> str:
        """SHA-256 of an output that was written; raises OutputError."""
        try:
            return sha256_of(self._staged(final))
        except OSError as error:
            raise _refusal(error, final) from error

    def complete(self, report: Mapping[str, Any]) -> None:
        """Write the report, which names all outputs and their hashes; raises OutputError."""
        unknown = set(self._finals) - {self._staged(path) for path in self._outputs}
        if unknown - {self.folder / _REPORT}:
            names = ", ".join(sorted(path.name for path in unknown))
            raise RuntimeError(f"all_outputs lacks {names}, which would be lost")
        self._finals[self.folder / _REPORT] = self._final
        with self.writing():
            write_report(self.folder / _REPORT, sealed(report))

    def put_in_place(self) -> None:
        """Replace the earlier report and its outputs; also ends what a killed run has begun.

        Raises:
            OutputError: the folder cannot be written to. Calling it again continues.
        """
        record = self._record()
        if record is None:
            raise RuntimeError("put_in_place comes after complete")
        try:
            self._replace(record)
        except OSError as error:
            raise _refusal(error, self._final) from error
        self.discard()

    def discard(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _record(self) -> dict[str, Any] | None:
        return read_record(self.folder / _REPORT)

    def _replace(self, record: Mapping[str, Any]) -> None:
        earlier, wanted = self.folder / _EARLIER, self._files(record)
        with suppress(FileNotFoundError):
            os.replace(self._final, earlier)
        for path in self._files(read_record(earlier) or {}):
            if path not in wanted or self._staged(path).is_file():
                path.unlink(missing_ok=True)
        for path in wanted:
            if self._staged(path).is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(self._staged(path), path)
        os.replace(self.folder / _REPORT, self._final)

    def _files(self, record: Mapping[str, Any]) -> list[Path]:
        """Outputs of the case that a report names."""
        named = (self._final.parent / name for name in claimed_files(record))
        return [path for path in named if path in self._outputs]

    def _staged(self, final: Path) -> Path:
        return self.folder / final.name


def _prefix(report: Path) -> str:
    return f".{zlib.crc32(os.fsencode(report.name)):08x}-"


def _refusal(error: OSError, path: Path) -> OutputError:
    what = f"cannot be written: {error.strerror or error}"
    return OutputError(what, str(path), remedy=remedy_for(error))
