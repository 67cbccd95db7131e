"""What is done with one case: read, segment, measure, draw, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vertseg.batch.given import read_given
from vertseg.batch.options import Options
from vertseg.batch.outputs import write_outputs
from vertseg.errors import InputError
from vertseg.io.case import Case
from vertseg.io.dicom_read import read_dicom_series
from vertseg.io.image import Image
from vertseg.io.read import read_image
from vertseg.measure import analyse
from vertseg.report.build import build_report
from vertseg.report.preview import write_preview
from vertseg.report.run_info import RunInfo
from vertseg.report.schema import Report, write_report
from vertseg.stages import FIND, SPINE_ONLY
from vertseg.system.fingerprint import Fingerprint

if TYPE_CHECKING:
    from vertseg.stages.result import Result
    from vertseg.stages.segmenter import Segmenter

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan that was read.

    Attributes:
        image: what was in it.
        fingerprint: of its files.
        seconds: that it took.
    """

    image: Image
    fingerprint: Fingerprint
    seconds: float


def read_scan(case: Case, force: bool = False) -> Scan:
    """Read the scan of a case.

    Args:
        case: which.
        force: take values that do not look like HU, too.

    Raises:
        InputError: the scan cannot be used.
    """
    seconds: dict[str, float] = {}
    with _timed(seconds, "read"), ThreadPoolExecutor(1, "fingerprint") as pool:
        taken = pool.submit(Fingerprint.of, *case.files)
        try:
            image = _read(case, force)
        finally:  # what the fingerprint finds wrong, such as a file without an end, comes first
            fingerprint = taken.result()
    if not fingerprint.still_fits(*case.files):
        remedy = "Run again when it is written."
        raise InputError("changed while it was read", str(case.where), remedy=remedy)
    return Scan(image, fingerprint, seconds["read"])


def process_case(
    case: Case,
    read: Callable[[Case], Scan],
    options: Options,
    segmenter: Segmenter,
    run: RunInfo,
    on_progress: OnProgress,
) -> Generator[None, None, Report]:
    """Do one case and write its outputs, the report last: with it the case is complete.

    Yields once, when the networks are done with the case: the rest may then be run in another
    thread, while they are at the next one.

    Args:
        case: the scan.
        read: gives the scan.
        options: of the run.
        segmenter: loaded.
        run: as recorded in the report.
        on_progress: called with stage, steps done and steps in all, before the yield.

    Raises:
        InputError: the scan cannot be used.
        OutputError: an output cannot be written.
    """
    on_progress("read", 0, 1)
    scan = read(case)
    image, fingerprint, seconds = scan.image, scan.fingerprint, {"read": scan.seconds}
    result = _run_networks(case, image, options, segmenter, on_progress)
    seconds |= result.seconds
    yield
    with _timed(seconds, "measure"):
        analysis = analyse(result)
    with _timed(seconds, "write"):
        written = write_outputs(case, options, result)
    report = build_report(case, fingerprint, run, result, analysis, written, seconds)
    with _timed(seconds, "preview"):
        write_preview(options.output / case.preview, image, result.labels, report)
    report["seconds"] = {stage: round(value, 2) for stage, value in seconds.items()}
    report["seconds"]["total"] = round(sum(seconds.values()), 2)
    write_report(options.output / case.report, report)
    return report


def _read(case: Case, force: bool) -> Image:
    where = str(case.where)
    image = read_dicom_series(case.slices, where) if case.slices else read_image(case.path)
    if image.intensities == "unknown" and not force:
        what = next((text for text in image.warnings if "Hounsfield" in text), "is no CT")
        remedy = "Store the scan in HU, or take it as it is with --force."
        raise InputError(what.split(":")[0], where, "CT in Hounsfield units", remedy)
    return image


def _run_networks(
    case: Case, image: Image, options: Options, segmenter: Segmenter, on_progress: OnProgress
) -> Result:
    if case.given_centroids is not None:
        return segmenter.segment(image, read_given(case.given_centroids, image), on_progress)
    if options.stages == SPINE_ONLY:
        return segmenter.find_spine(image, on_progress)
    if options.stages == FIND:
        return segmenter.find(image, on_progress)
    return segmenter(image, on_progress)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
