"""The files of one case: which are wanted, whether they are there, writing and removing them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from vertseg.batch.extras import all_extra_outputs
from vertseg.batch.optional import optional
from vertseg.batch.options import Options
from vertseg.errors import OutputError
from vertseg.io.case import Case
from vertseg.io.centroids import write_centroids
from vertseg.io.dicom_seg import write_dicom_seg
from vertseg.io.heatmap import write_heatmap
from vertseg.io.mask import write_mask
from vertseg.report.run_info import OutputOptions, RunInfo
from vertseg.report.schema import Report, read_report
from vertseg.stages import FIND, SPINE_ONLY
from vertseg.system.fingerprint import are_same_files, is_same_file

if TYPE_CHECKING:
    from vertseg.stages.result import Result


def wanted_outputs(case: Case, options: OutputOptions) -> tuple[Path, ...]:
    """Files that a complete case has, whatever was found, relative to the output folder.

    Args:
        case: the scan.
        options: of the run.
    """
    masks = (case.mask,) if options.segmentation else ()
    centroids = (case.centroids,) if options.stages != SPINE_ONLY else ()
    return (*masks, *centroids, case.preview)


def write_outputs(
    case: Case, options: Options, result: Result, failed: dict[str, str]
) -> dict[str, Path]:
    """Write what was found; the report and the preview tell of it and are written later.

    Args:
        case: the scan and the names of its outputs.
        options: of the run.
        result: what was found.
        failed: is told which outputs that were asked for besides could not be written, and why.

    Returns:
        Kind of output -> path relative to the output folder.

    Raises:
        OutputError: a file cannot be written.
    """
    written: dict[str, Path] = {}
    folder = options.output
    if result.segmented:
        write_mask(folder / case.mask, result.labels, result.image)
        written["mask"] = case.mask
        if options.dicom_seg and case.slices and result.labels.any():
            with optional("dicom_seg", failed):
                write_dicom_seg(folder / case.dicom_seg, result.labels, case.slices)
                written["dicom_seg"] = case.dicom_seg
    if result.has_centroids:
        fmt = options.centroid_format
        write_centroids(folder / case.centroids, result.vertebrae, result.image, fmt)
        written["centroids"] = case.centroids
    for heatmap in result.heatmaps:
        path, kind = case.heatmap(heatmap.stage), f"{heatmap.stage}_heatmap"
        with optional(kind, failed):
            write_heatmap(folder / path, heatmap)
            written[kind] = path
    return written


def all_outputs(case: Case) -> tuple[Path, ...]:
    """Every file that a case may have, relative to the output folder, the report first."""
    heatmaps = (case.heatmap(stage) for stage in FIND)
    masks = (case.mask, case.dicom_seg)
    return (case.report, *masks, case.centroids, case.preview, *heatmaps, *all_extra_outputs(case))


def remove_outputs(case: Case, output: Path, keep: tuple[Path, ...] = ()) -> None:
    """Remove the report of an earlier run, and all of its other files but those to `keep`.

    Without its report a case is not complete, so that outputs of two runs can never be taken for
    those of one.

    Raises:
        OutputError: they cannot be removed.
    """
    for name in all_outputs(case):
        if name in keep:
            continue
        try:
            (output / name).unlink(missing_ok=True)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:  # so no such file can be there
                continue
            what = f"cannot be replaced: {error.strerror or error}"
            raise OutputError(what, str(output / name), remedy="Check its permissions.") from error


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
    if report.get("options") != run.options.as_dict():
        return "it was made with other options"
    return ""
