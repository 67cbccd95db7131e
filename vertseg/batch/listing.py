"""What a run would do, scan by scan, without loading a network or writing a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from vertseg.batch.complete import reason_to_run
from vertseg.batch.find import Discovery
from vertseg.batch.options import Options
from vertseg.errors import InputError, printable
from vertseg.io.case import Case
from vertseg.io.dicom_read import check_series
from vertseg.io.read import check_header
from vertseg.report.run_info import RunInfo
from vertseg.stages.weights import load_weights
from vertseg.version import VERSION

_TO_DO, _COMPLETE, _UNUSABLE, _LEFT_OUT = "to do", "complete", "unusable", "left out"


@dataclass(frozen=True)
class Line:
    """What a run would do with one scan or file.

    Attributes:
        state: ``"to do"``, ``"complete"``, ``"unusable"`` or ``"left out"``.
        name: of the scan, or path of the file.
        reason: why, in words; empty for a scan that is done for the first time.
    """

    state: str
    name: str
    reason: str = ""


def list_cases(found: Discovery, options: Options) -> Iterator[Line]:
    """Every scan that was found, and every file that was left out.

    Scans are judged by their headers, so that one whose values are damaged is "to do".

    Args:
        found: what the inputs hold.
        options: of the run.

    Raises:
        ConfigurationError: the weights cannot be used.
    """
    manifest = load_weights(options.weights).manifest
    hashes = {stage: entry["sha256"] for stage, entry in manifest["files"].items()}
    run = RunInfo(VERSION, {"preset": manifest["preset"], "sha256": hashes}, options, {})
    for case in found.cases:
        yield _line(case, options, run)
    for refused in found.refused:
        yield Line(_UNUSABLE, refused.where, _words(refused))
    for file in found.skipped:
        yield Line(_LEFT_OUT, str(file.path), file.reason)


def _line(case: Case, options: Options, run: RunInfo) -> Line:
    reason = reason_to_run(case, options.output, run)
    if options.resume and not reason:
        return Line(_COMPLETE, case.name)
    try:
        if case.series is not None:
            check_series(case.series, str(case.where))
        else:
            check_header(case.path)
    except InputError as error:
        return Line(_UNUSABLE, case.name, _words(error))
    has_report = (options.output / case.report).is_file()
    return Line(_TO_DO, case.name, reason if has_report else "")


def _words(error: InputError) -> str:
    expected = f" (expected {error.expected})" if error.expected else ""
    return f"{error.what}{expected}. {error.remedy}".strip()


def as_table(lines: list[Line]) -> str:
    """The lines, and their number by state."""
    rows = [
        f"{line.state:<9} {printable(line.name)}"
        + f": {printable(line.reason)}" * bool(line.reason)
        for line in lines
    ]
    counts = Counter(line.state for line in lines)
    states = (_TO_DO, _COMPLETE, _UNUSABLE, _LEFT_OUT)
    total = ", ".join(f"{counts[state]} {state}" for state in states)
    return "\n".join([*rows, "", f"{total}. Nothing was run."])


def exit_code(lines: list[Line]) -> int:
    """As a run would end: 0, 2 if some scans are unusable, 3 if all are."""
    states = {line.state for line in lines}
    if _UNUSABLE not in states:
        return 0
    return 2 if states & {_TO_DO, _COMPLETE} else 3
