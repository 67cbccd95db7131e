"""Whether a case is done already."""

from __future__ import annotations

from pathlib import Path

from vertseg.case import Case
from vertseg.fingerprint import are_same_files, is_same_file
from vertseg.outputs import wanted_outputs
from vertseg.report import Report, RunInfo, read_report

INPUT_CHANGED = "the scan has changed"


def reason_to_run(case: Case, output: Path, run: RunInfo) -> str:
    """Why a case must be done (again), in words; empty if its outputs are complete.

    Outputs appear whole or not at all, and the report is written last; so a report and the files
    it names are enough. Files that somebody has edited since are left alone.

    Args:
        case: the scan and the names of its outputs.
        output: the output folder.
        run: what would be done now.
    """
    report = read_report(output / case.report)
    if report is None:
        return "it has no report"
    if report.get("status") == "failed":
        return "it failed before"
    if not are_same_files(case.files, report.get("input")):
        return INPUT_CHANGED
    if not _same_centroids(case, report):
        return "other centroids are given"
    others = [name for name in report.get("outputs", {}).values() if name]
    wanted = [output / path for path in wanted_outputs(case, run.options)]
    wanted += [(output / case.report).parent / name for name in others]
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        return f"{missing[0].name} is missing"
    return _changed(report, run)


def _same_centroids(case: Case, report: Report) -> bool:
    recorded = report.get("given_centroids")
    if case.given_centroids is None:
        return recorded is None
    return is_same_file(case.given_centroids, recorded)


def _changed(report: Report, run: RunInfo) -> str:
    software = report.get("software")
    if not isinstance(software, dict) or software.get("vertseg") != run.version:
        return "it was made by another version"
    if report.get("weights") != run.weights:
        return "it was made with other weights"
    if report.get("options") != run.options:
        return "it was made with other options"
    return ""
