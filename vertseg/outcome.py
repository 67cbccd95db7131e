"""What became of a run, and the files that tell of all its cases together."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from vertseg.case import Case
from vertseg.errors import InputError, VertsegError
from vertseg.gallery import write_gallery
from vertseg.inputs import Discovery
from vertseg.locks import locked
from vertseg.options import Options
from vertseg.report import Report, RunInfo, build_failure, collect_reports
from vertseg.summary import write_summary
from vertseg.writing import discard_partials

_LOGGER = logging.getLogger(__name__)

SUMMARY, GALLERY = "summary.csv", "index.html"
_OVERVIEW_LOCK = ".overview.lock"


@dataclass
class Outcome:
    """What became of the cases of a run.

    Attributes:
        written: reports of cases done now.
        resumed: reports of cases that were complete before.
        failures: reports of cases that failed, with the error.
        stopped: exit code if a signal, or one of its processes, ended the run, else 0.
    """

    written: list[Report] = field(default_factory=list)
    resumed: list[Report] = field(default_factory=list)
    failures: list[tuple[Report, VertsegError]] = field(default_factory=list)
    stopped: int = 0

    @property
    def exit_code(self) -> int:
        """0 all written; 2 some failed; 3 nothing could be read; 128 + n stopped by signal n."""
        if self.stopped:
            return self.stopped
        if not self.failures:
            return 0
        unreadable = all(isinstance(error, InputError) for _, error in self.failures)
        return 3 if unreadable and not (self.written or self.resumed) else 2

    @property
    def reports(self) -> list[Report]:
        """All of them, by case."""
        failed = [report for report, _ in self.failures]
        return sorted([*self.written, *self.resumed, *failed], key=lambda report: report["case"])


def note_refused(found: Discovery, options: Options, run: RunInfo, outcome: Outcome) -> None:
    """Enter the scans that cannot be run because of their name as failures."""
    for refused in found.refused:
        _LOGGER.error("FAILED %s", refused)
        root = options.input if options.input.is_dir() else options.input.parent
        case = Case.from_path(Path(refused.where), root)
        outcome.failures.append((build_failure(case, refused, run), refused))


def write_overview(output: Path, outcome: Outcome) -> None:
    """Summary and gallery of everything in the output folder, earlier runs included."""
    with locked(output / _OVERVIEW_LOCK) as state:
        if state == "left":
            discard_partials(output / SUMMARY)
            discard_partials(output / GALLERY)
        reports = {report["case"]: (folder, report) for folder, report in collect_reports(output)}
        for report, _ in outcome.failures:
            folder = Path(report["case"]).parent
            reports.setdefault(report["case"], (folder, report))
        ordered = [reports[name] for name in sorted(reports)]
        write_summary(output / SUMMARY, [report for _, report in ordered])
        write_gallery(output / GALLERY, ordered)
