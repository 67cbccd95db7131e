"""The outcome of a run, or of all its shards, and the files that summarise all cases."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from vertseg.batch.find import Discovery, find_cases
from vertseg.batch.options import Options, common_root
from vertseg.batch.shards import SHARD_SUMMARIES, Shard
from vertseg.errors import InputError, OutputError, VertsegError
from vertseg.io.case import Case, report_places
from vertseg.report.build import build_failure, error_as_dict
from vertseg.report.files import collect_reports, read_report
from vertseg.report.gallery import gallery_page
from vertseg.report.host_paths import without_host_paths
from vertseg.report.overview import GALLERY, SUMMARY, check_replaceable, write_page
from vertseg.report.review import Mark, read_review, what_to_do
from vertseg.report.run_info import RunInfo
from vertseg.report.schema import Report
from vertseg.report.summary import summary_text
from vertseg.report.words import LeftOut, left_out_in_words
from vertseg.system.atomic import discard_partials, write_text
from vertseg.system.locks import locked
from vertseg.system.log import say
from vertseg.version import VERSION

_LOGGER = logging.getLogger(__name__)

_OVERVIEW_LOCK = ".overview.lock"


@dataclass
class Outcome:
    """The outcome of the cases of a run.

    Attributes:
        written: reports of cases done now.
        resumed: reports of cases that were complete before.
        failures: reports of cases that failed, with the error.
        left_out: files of the input that are not scans, and why.
        stopped: exit code if a signal, or one of its processes, ended the run, else 0.
    """

    written: list[Report] = field(default_factory=list)
    resumed: list[Report] = field(default_factory=list)
    failures: list[tuple[Report, VertsegError]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    stopped: int = 0

    @property
    def exit_code(self) -> int:
        """0 all written; 2 scans or outputs failed; 3 nothing read; 128 + n stopped by signal n."""
        if self.stopped:
            return self.stopped
        if not self.failures:
            lacking = any(r.get("failed_outputs") for r in (*self.written, *self.resumed))
            return 2 if lacking else 0
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
        case = Case.from_path(Path(refused.where), common_root(options.inputs))
        report = without_host_paths(build_failure(case, refused, run), options.folders)
        outcome.failures.append((report, refused))


def note_left_out(found: Discovery, options: Options, outcome: Outcome) -> None:
    """Enter the files that are not scans, and log them."""
    root = options.input if options.input.is_dir() else options.input.parent
    files = [(file.path.relative_to(root).as_posix(), file.reason) for file in found.skipped]
    outcome.left_out += files
    for line in left_out_in_words(files):
        _LOGGER.info("%s.", line)
    for name, reason in files:
        _LOGGER.debug("left out: %s (%s)", name, reason)


def note_vanished(options: Options, outcome: Outcome) -> None:
    """Make failures of the cases whose outputs are gone at the end of the run that wrote them."""
    for report in list(outcome.written):
        places = [options.output / place for place in report_places(report["case"])]
        if not any(_is_whole(place, report) for place in places):
            what = "its outputs were written, but are no longer there"
            remedy = "Check the output folder and its file system, then run again."
            error = OutputError(what, str(options.output), remedy=remedy)
            outcome.written.remove(report)
            told = {"status": "failed", "error": error_as_dict(error), "outputs": {}}
            found: dict[str, list[object]] = {"vertebrae": [], "flags": [], "angles": []}
            failed = cast(Report, {**report, **told, **found})
            outcome.failures.append((without_host_paths(failed, options.folders), error))
            _LOGGER.error("FAILED %s: %s", report["case"], error)


def _is_whole(place: Path, report: Report) -> bool:
    """Whether a report lies there, and all outputs that it names."""
    names = [place.name, *filter(None, report["outputs"].values())]
    # Not Path.is_file, which raises where a name that was only guessed is too long.
    return all(os.path.isfile(place.parent / name) for name in names)


def write_tables(options: Options, outcome: Outcome) -> None:
    """Summary and gallery of all scans; of a shard its summary alone."""
    if options.shard is None:
        write_overview(options, outcome)
    else:
        _write_shard_summary(options, options.shard, outcome)


def write_overview(
    options: Options, outcome: Outcome, marks: Mapping[str, Mark] | None = None
) -> None:
    """Summary and gallery of everything in the output folder, earlier runs included."""
    output = options.output
    with locked(output / _OVERVIEW_LOCK) as state:
        if state == "left":
            discard_partials(output / SUMMARY)
            discard_partials(output / GALLERY)
        if not options.overwrite:
            check_replaceable(output)
        reports = {report["case"]: (folder, report) for folder, report in collect_reports(output)}
        for report, _ in outcome.failures:  # whose report may be that of an earlier run, kept
            reports[report["case"]] = (Path(report["case"]).parent, report)
        ordered = [reports[name] for name in sorted(reports)]
        table = summary_text(report for _, report in ordered)
        page = gallery_page(output, ordered, marks, outcome.left_out)
        write_page(output / GALLERY, page, table)
        write_text(output / SUMMARY, table)


def _write_shard_summary(options: Options, shard: Shard, outcome: Outcome) -> None:
    """Summary of what one shard has done."""
    if not options.overwrite:
        check_replaceable(options.output, shard.summary)
    write_text(options.output / shard.summary, summary_text(outcome.reports))


def merge_shards(options: Options) -> Outcome:
    """Write summary and gallery from the reports of all scans; nothing is run.

    Scans without a report are failures: no shard has run them. If there is none, the summaries
    of the shards are removed, as all their rows are in the new one.

    Args:
        options: those of the shards.

    Raises:
        NoInputError: there is no scan.
        ConfigurationError: the file of a review cannot be read.
        OutputError: the summary or the gallery cannot be written, or must be kept.
    """
    marks = read_review(options.review) if options.review is not None else {}
    if not options.overwrite:
        check_replaceable(options.output)
    found = find_cases(options.inputs, options.only, options.output)
    outcome = Outcome()
    note_left_out(found, options, outcome)
    run = RunInfo(VERSION, {}, options, {})
    note_refused(found, options, run, outcome)
    missing = 0
    for case in found.cases:
        report = read_report(options.output / case.report)
        if report is None:
            missing += 1
            error = _not_done(case)
            report = without_host_paths(build_failure(case, error, run), options.folders)
            outcome.failures.append((report, error))
        elif report["status"] == "failed":
            outcome.failures.append((report, error_of(report)))
        else:
            outcome.resumed.append(report)
    write_overview(options, outcome, marks)
    if options.review is not None:
        reports = {report["case"]: report for report in outcome.reports}
        say("\n".join(what_to_do(reports, marks, options.input, options.output)))
    _LOGGER.info("%d of %d scans have a report.", len(found.cases) - missing, len(found.cases))
    if not missing:
        _remove_shard_summaries(options)
    return outcome


def _not_done(case: Case) -> VertsegError:
    remedy = "Run its shard again; finished scans are skipped."
    return VertsegError("has not been processed", str(case.where), "a report", remedy)


def error_of(report: Report) -> VertsegError:
    """The error that the report of a failure describes."""
    error = report.get("error")
    if error is None:
        return VertsegError("")
    where = str(error.get("where", ""))  # a report may have been edited
    return VertsegError(error["what"], where, error["expected"], error["remedy"])


def _remove_shard_summaries(options: Options) -> None:
    for path in options.output.glob(SHARD_SUMMARIES):
        try:
            check_replaceable(options.output, path.name)
            path.unlink(missing_ok=True)
        except OutputError as error:
            _LOGGER.warning("%s", error)
        except OSError as error:
            what = f"cannot be removed: {error.strerror or error}"
            raise OutputError(what, str(path), remedy="Check its permissions.") from error
