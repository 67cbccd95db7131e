"""One summary and one gallery of what all shards of a run have done."""

from __future__ import annotations

import logging

from vertseg.case import Case
from vertseg.errors import OutputError, VertsegError
from vertseg.inputs import find_cases
from vertseg.options import Options
from vertseg.outcome import Outcome, note_refused, write_overview
from vertseg.report import Report, RunInfo, build_failure, read_report
from vertseg.shard import SHARD_SUMMARIES
from vertseg.version import VERSION

_LOGGER = logging.getLogger(__name__)


def merge_shards(options: Options) -> Outcome:
    """Write summary and gallery from the reports of all scans; nothing is run.

    Scans without a report are failures: no shard has come to them. If there is none, the summaries
    of the shards are removed, as all their rows are in the new one.

    Args:
        options: those of the shards.

    Raises:
        NoInputError: there is no scan.
        OutputError: the summary or the gallery cannot be written.
    """
    found = find_cases(options.input, options.only)
    outcome = Outcome()
    run = RunInfo(VERSION, {}, options.recorded(), {})
    note_refused(found, options, run, outcome)
    missing = 0
    for case in found.cases:
        report = read_report(options.output / case.report)
        if report is None:
            missing += 1
            error = _not_done(case)
            outcome.failures.append((build_failure(case, error, run), error))
        elif report["status"] == "failed":
            outcome.failures.append((report, _error_of(report)))
        else:
            outcome.resumed.append(report)
    write_overview(options.output, outcome)
    _LOGGER.info("%d of %d scans have a report.", len(found.cases) - missing, len(found.cases))
    if not missing:
        _remove_shard_summaries(options)
    return outcome


def _not_done(case: Case) -> VertsegError:
    remedy = "Run its shard again; what is done already is left out."
    return VertsegError("has not been done", str(case.where), "a report", remedy)


def _error_of(report: Report) -> VertsegError:
    error = report.get("error") or {}
    parts = (str(error.get(name, "")) for name in ("what", "where", "expected", "remedy"))
    return VertsegError(*parts)


def _remove_shard_summaries(options: Options) -> None:
    for path in options.output.glob(SHARD_SUMMARIES):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            what = f"cannot be removed: {error.strerror or error}"
            raise OutputError(what, str(path), remedy="Check its permissions.") from error
