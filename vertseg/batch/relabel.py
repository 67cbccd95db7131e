"""Other level names for finished results: all outputs of a case change together, or none does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from vertseg.batch.case_job import CaseJob
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.outcome import Outcome, write_overview
from vertseg.batch.outputs import asked_outputs
from vertseg.batch.scan import Scan
from vertseg.errors import ConfigurationError, InputError, NoInputError, OutputError, VertsegError
from vertseg.geometry.boxes import empty_labels
from vertseg.geometry.grid import LabelArray
from vertseg.io.case import Case
from vertseg.io.mask import read_labels, read_labels_and_grid
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of, name_of
from vertseg.report.files import collect_reports
from vertseg.report.run_info import OutputOptions, RunInfo
from vertseg.report.schema import ChangeRecord, Report
from vertseg.sequence.rename import assigned
from vertseg.stages import Stage
from vertseg.stages.fine import FineMask
from vertseg.stages.result import Result, Vertebra

KEPT = ".before"
"""Ending of the outputs as the program made them."""

Change = Callable[[Report], dict[int, int]]
"""From a report to old label -> new label of each of its vertebrae."""


@dataclass(frozen=True)
class Request:
    """What is to be changed.

    Attributes:
        output: folder with the results.
        case: name of the scan in the report, or its last part.
        change: the new labels.
        words: the change as the report records it, such as ``"--shift -1"``.
        scans: folder of the scans; None for where the results were made from.
        by: who makes the change; may be empty.
    """

    output: Path
    case: str
    change: Change
    words: str
    scans: Path | None = None
    by: str = ""


def relabel(request: Request) -> Report:
    """Give the vertebrae of a case other names, in every output, the summary and the index.

    Measurements and flags are made again, as both depend on the level. The outputs as the
    program made them are kept beside the new ones, with the ending ``.before``.

    Raises:
        ConfigurationError: no such case, or a change that is not possible.
        InputError: scan or mask cannot be read, or have changed.
        OutputError: a file cannot be written; then all are as they were.
    """
    report = find_report(request.output, request.case)
    change = request.change(report)
    case, options = find_scan(report, request.output, request.scans), _options_of(report, request)
    run = _run_of(report, options)
    job = CaseJob(case, options)
    if job.claim(run, wait=True) != "mine":
        what, remedy = "another run is processing it", "Wait until it has finished."
        raise OutputError(what, str(case.where), remedy=remedy)
    try:
        changed = _do(job, run, report, change, request)
    finally:
        job.release()
    write_overview(options, Outcome())
    return changed


def find_report(output: Path, name: str) -> Report:
    """The report of a case by the name in it, or by the end of that name.

    Raises:
        ConfigurationError: there is none, several, or one without vertebrae.
    """
    reports = {report["case"]: report for _, report in collect_reports(output)}
    fitting = [case for case in reports if case == name] or [
        case for case in reports if f"/{case}".endswith(f"/{name}") or _stem(case) == _stem(name)
    ]
    if len(fitting) != 1:
        what = f"{len(fitting)} results have this name" if fitting else "has no result there"
        remedy = f"Give the name as in summary.csv, such as {min(fitting or reports or ['X'])}."
        raise ConfigurationError(what, f"--case {name}", f"one in {output}", remedy)
    report = reports[fitting[0]]
    if not report["vertebrae"]:
        raise ConfigurationError("has no vertebrae", f"--case {name}", remedy="Run it again.")
    return report


def labels_in(report: Report) -> list[int]:
    """Labels of the vertebrae of a report, from the head downwards."""
    return [row["label"] for row in report["vertebrae"]]


def rival_of(report: Report) -> dict[int, int]:
    """The labels of the other numbering that a report names, for the same vertebrae.

    Raises:
        ConfigurationError: the report names none, or one without some of the vertebrae.
    """
    chain = report.get("sequence")
    pairs = chain.get("rival_labels", []) if chain else []
    known = {pair["label"]: pair["rival_label"] for pair in pairs}
    new = [known.get(label) for label in labels_in(report)]
    remedy = "Give --shift, or --from and --as."
    if not known:
        raise ConfigurationError("the report names no other numbering", "--rival", remedy=remedy)
    absent = [
        name_of(label) for label, other in zip(labels_in(report), new, strict=True) if not other
    ]
    if absent:
        what = f"the other numbering leaves out {', '.join(absent)}"
        raise ConfigurationError(what, "--rival", remedy=remedy)
    return assigned(labels_in(report), [other for other in new if other], "--rival")


def _stem(case: str) -> str:
    return Case.from_path(Path(Path(case).name), Path()).stem


def _do(
    job: CaseJob, run: RunInfo, report: Report, change: Mapping[int, int], request: Request
) -> Report:
    scan = job.read()
    if scan.fingerprint.sha256 != report["input"]["sha256"]:
        remedy = "Run it again with the scan as it is now."
        raise InputError("has changed since it was processed", str(job.case.where), remedy=remedy)
    mask = request.output / job.case.mask
    result = _result(scan, report, change, mask, run.options)
    job.adopt(scan, replace(result, fine=_fine(request.output / job.case.mask_1mm, change)))
    kept = _keep(request.output, job.case, run.options)
    try:
        return job.finish(run, _said(report, change, request))
    except VertsegError:
        for path in kept:  # there is nothing that they were before
            path.unlink(missing_ok=True)
        raise


def find_scan(report: Report, output: Path, scans: Path | None) -> Case:
    """The scan that a report describes.

    Args:
        report: of the case.
        output: folder with the results.
        scans: folder of the scans; None for where the results were made from.

    Raises:
        ConfigurationError: it is not there.
    """
    name = report["case"]
    root = report["input"].get("root")
    if scans is None and isinstance(root, str):
        scans = Path(os.path.normpath(output / root))
    if scans is None or not scans.exists():
        what, remedy = "the folder of the scans is not known", "Give it with --input."
        raise ConfigurationError(what, f"--case {name}", remedy=remedy)
    try:
        found = find_cases(scans, escape(name)).cases
    except NoInputError:
        found = ()
    cases = [case for case in found if case.name == name]
    if len(cases) != 1:
        remedy = "Give the folder that holds it with --input."
        raise ConfigurationError(f"there is no {name}", str(scans), remedy=remedy)
    return cases[0]


def _options_of(report: Report, request: Request) -> Options:
    """The options of the run that is changed; what is replaced is kept elsewhere."""
    known = {field.name for field in fields(OutputOptions)}
    recorded = {name: v for name, v in report["options"].items() if name in known}
    recorded["heatmaps"] = False  # those of the networks stay as they are
    recorded["stages"] = tuple(Stage(name) for name in recorded["stages"])
    root = request.scans or request.output / (report["input"].get("root") or ".")
    return Options(
        input=Path(os.path.normpath(root)),
        output=request.output,
        resume=False,
        overwrite=True,
        force=True,
        **recorded,
    )


def _run_of(report: Report, options: Options) -> RunInfo:
    return RunInfo(
        report["software"]["vertseg"], report["weights"], options, report.get("device", {})
    )


def _result(
    scan: Scan, report: Report, change: Mapping[int, int], mask: Path, options: OutputOptions
) -> Result:
    labels, counts = empty_labels(scan.image.grid), np.zeros(256, int)
    if options.segmentation:
        labels = np.asfortranarray(_table(change)[read_labels(mask, scan.image)])
        counts = np.bincount(labels.ravel(order="K"), minlength=256)
    vertebrae = tuple(_vertebra(row, change[row["label"]], counts) for row in report["vertebrae"])
    new = [vertebra.label for vertebra in vertebrae]
    course = report.get("spine", {}).get("course_lps_mm", [])
    return Result(
        image=scan.image,
        labels=labels,
        vertebrae=vertebrae,
        status="ok",
        warnings=(),  # those of the report name levels as they were
        seconds={},
        margin=float("inf"),
        rival="",
        level_shift_possible=False,
        gaps=_gaps(new),
        left_out=_left_out(report, change),
        stages=options.stages,
        spine_lps_mm=tuple((x, y, z) for x, y, z in course),
        changed=_sentence(change),
    )


def _fine(path: Path, change: Mapping[int, int]) -> FineMask | None:
    """The mask at 1 mm with the new labels, if there is one."""
    if not path.is_file():
        return None
    labels, grid = read_labels_and_grid(path)
    return FineMask(np.asfortranarray(_table(change)[labels]), grid)


def _table(change: Mapping[int, int]) -> LabelArray:
    """(256,) old label -> new label."""
    table = np.arange(256, dtype=np.uint8)
    table[list(change)] = list(change.values())
    return table


def _vertebra(row: Mapping[str, Any], label: int, counts: Any) -> Vertebra:
    x, y, z = row["centroid_lps_mm"]
    return Vertebra(label, (x, y, z), row["peak"], voxels=int(counts[label]))


_USUAL_AND_L6 = [label for label in ORDER_CRANIAL_TO_CAUDAL if name_of(label) != "T13"]


def _left_out(report: Report, change: Mapping[int, int]) -> tuple[int, ...]:
    """Levels that were left out at the ends, moved as far as the vertebra beside them."""
    order = _USUAL_AND_L6
    places = {order.index(a): order.index(b) for a, b in change.items() if {a, b} <= {*order}}
    if not places:
        return ()
    names = [name for f in report["flags"] if f["code"] == "left_out" for name in f["vertebrae"]]
    moved = []
    for place in (order.index(label_of(name)) for name in names):
        beside = min(places, key=lambda other: abs(other - place))
        moved.append(place + places[beside] - beside)
    return tuple(order[place] for place in moved if 0 <= place < len(order))


def _gaps(labels: Sequence[int]) -> tuple[int, ...]:
    """Usual levels that the chain leaves out."""
    ends = [_USUAL_AND_L6.index(n) for n in labels if n in _USUAL_AND_L6]
    between = _USUAL_AND_L6[min(ends) : max(ends)] if ends else []
    return tuple(label for label in between if label not in labels)


def _sentence(change: Mapping[int, int]) -> str:
    old, new = next((a, b) for a, b in change.items() if a != b)
    count = sum(a != b for a, b in change.items())
    others = f" and {count - 1} more" if count > 1 else ""
    return f"A person changed the numbering: {name_of(old)} was made {name_of(new)}{others}."


def _said(report: Report, change: Mapping[int, int], request: Request) -> dict[str, Any]:
    """Entries of the new report that describe the change, and what it keeps of the old one."""
    step: ChangeRecord = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": request.by,
        "change": request.words,
        "from": [name_of(label) for label in change],
        "to": [name_of(label) for label in change.values()],
    }
    said: dict[str, Any] = {"changed_by_person": [*report.get("changed_by_person", []), step]}
    if "given_centroids" in report:
        said["given_centroids"] = report["given_centroids"]
    return said


def _keep(output: Path, case: Case, options: OutputOptions) -> list[Path]:
    """Keep the outputs that are replaced as they are now, unless an earlier change has kept them.

    Returns:
        The files that were made.
    """
    kept: list[Path] = []
    for name in (case.report, *asked_outputs(case, options)):
        path, target = output / name, (output / name).with_name(name.name + KEPT)
        if not path.is_file() or target.exists():
            continue
        try:
            _copy(path, target)
        except OSError as error:
            for made in kept:
                made.unlink(missing_ok=True)
            what = f"cannot be written: {error.strerror or error}"
            raise OutputError(what, str(target), remedy="Make the folder writable.") from error
        kept.append(target)
    return kept


def _copy(path: Path, target: Path) -> None:
    """A second name for the same content where that is possible: outputs are never written over."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)
