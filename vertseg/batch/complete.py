"""Whether a case is done already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vertseg.batch.outputs import wanted_outputs
from vertseg.errors import InputError
from vertseg.io.case import Case, folded
from vertseg.report.claims import is_safe_name
from vertseg.report.files import read_report
from vertseg.report.run_info import DICOM, OutputOptions, RunInfo
from vertseg.report.schema import Report
from vertseg.stages import SEGMENT_ONLY
from vertseg.system.fingerprint import are_same_files, is_same_file

_ADDITIONS = ("heatmaps", *DICOM, "markups", "mask_1mm", "parts", "meshes")


def reason_to_run(case: Case, output: Path, run: RunInfo) -> str:
    """Why a case must be done (again), in words; empty if its outputs are complete.

    Outputs appear whole or not at all, and the report is written last; so a report and the files
    it names are enough. Files that somebody has edited since are left alone, and so is a numbering
    that a person has changed, whatever the options, until that is replaced with --no-resume. The
    cheapest checks come first: the content of the scan is read only where size or time do not tell.

    Args:
        case: the scan and the names of its outputs.
        output: the output folder.
        run: what would be done now.
    """
    report = read_report(output / case.report)
    if report is None:
        return "it has no report"
    if report["status"] == "failed":
        return "it failed before"
    if folded(report["case"]) != folded(case.name):
        return f"its report describes {report['case']}"
    return (
        ("" if report.get("changed_by_person") else _made_otherwise(report, run, case))
        or _incomplete(report, output, case, run)
        or ("" if _same_centroids(case, report) else "other centroids are given")
        or ("" if is_same_scan(case, report) else "the scan has changed")
    )


def is_same_scan(case: Case, report: Report) -> bool | None:
    """Whether a report describes exactly this content; None if the scan cannot be read."""
    try:
        return are_same_files(case.files, report.get("input"))
    except (OSError, InputError):
        return None


def _same_centroids(case: Case, report: Report) -> bool:
    recorded = report.get("given_centroids")
    if case.given_centroids is None:
        return recorded is None
    return is_same_file(case.given_centroids, recorded)


def _made_otherwise(report: Report, run: RunInfo, case: Case) -> str:
    software = report.get("software")
    if not isinstance(software, dict) or software.get("vertseg") != run.version:
        return "it was made by another version"
    if report.get("weights") != run.weights:
        return "it was made with other weights"
    if not _covers(report.get("options"), run.options, case):
        return "it was made with other options"
    return ""


def _covers(recorded: Any, asked: OutputOptions, case: Case) -> bool:
    """Whether the outputs include all that is asked for; further ones do no harm."""
    stages = recorded.get("stages") if isinstance(recorded, dict) else None
    if not isinstance(stages, list) or not all(isinstance(stage, str) for stage in stages):
        return False
    wanted = asked.as_dict()
    if not case.slices:
        wanted |= dict.fromkeys(DICOM, False)
    for name in _ADDITIONS:
        if not wanted[name]:
            wanted[name] = recorded.get(name)
    if set(_stages_run(wanted, case)) <= set(_stages_run(recorded, case)):
        wanted["stages"] = recorded["stages"]
    return recorded == wanted


def _stages_run(options: dict[str, Any], case: Case) -> list[Any]:
    """A scan with given centroids is only segmented, whatever the others are asked for."""
    return list(SEGMENT_ONLY) if case.given_centroids is not None else options["stages"]


def _incomplete(report: Report, output: Path, case: Case, run: RunInfo) -> str:
    outputs = report.get("outputs", {}).values()
    wanted = [output / path for path in wanted_outputs(case, run.options)]
    wanted += [(output / case.report).parent / name for name in outputs if is_safe_name(name)]
    missing = [path for path in wanted if not path.is_file()]
    return f"{missing[0].name} is missing" if missing else ""
