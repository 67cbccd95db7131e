"""What is done with one case: read, segment, measure, draw, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vertseg.centroids import Centroid
from vertseg.curvature import spine_angles
from vertseg.errors import InputError, OutputError
from vertseg.fingerprint import Fingerprint
from vertseg.flags import quality_flags
from vertseg.image import Image, read_image
from vertseg.inputs import Case
from vertseg.measure import measure_vertebrae
from vertseg.options import Options
from vertseg.preview import write_preview
from vertseg.report import Report, RunInfo, build_report, write_report
from vertseg.writing import write_centroids, write_mask

if TYPE_CHECKING:
    from vertseg.pipeline import Result, Segmenter

OnProgress = Callable[[str, int, int], None]


def process_case(
    case: Case, options: Options, segmenter: Segmenter, run: RunInfo, on_progress: OnProgress
) -> Report:
    """Do one case and write its outputs, the report last: with it the case is complete.

    Args:
        case: the scan.
        options: of the run.
        segmenter: loaded.
        run: as recorded in the report.
        on_progress: called with stage, steps done and steps in all.

    Raises:
        InputError: the scan cannot be used.
        OutputError: an output cannot be written.
    """
    seconds: dict[str, float] = {}
    on_progress("read", 0, 1)
    with _timed(seconds, "read"):
        fingerprint = Fingerprint.of(case.path)
        image = _read(case, options, fingerprint)
    result = segmenter(image, on_progress)
    seconds |= result.seconds
    on_progress("measure", 0, 1)
    with _timed(seconds, "measure"):
        measurements = measure_vertebrae(image, result.labels, result.vertebrae)
        angles = spine_angles(measurements)
        flags = quality_flags(result, measurements)
    on_progress("write", 0, 1)
    with _timed(seconds, "write"):
        _write(case, options, result)
    report = build_report(case, fingerprint, run, result, measurements, angles, flags, seconds)
    with _timed(seconds, "preview"):
        write_preview(options.output / case.preview, image, result.labels, report)
    report["seconds"] = {stage: round(value, 2) for stage, value in seconds.items()}
    report["seconds"]["total"] = round(sum(seconds.values()), 2)
    write_report(options.output / case.report, report)
    return report


def remove_outputs(case: Case, output: Path, all_of_them: bool) -> None:
    """Remove the report of an earlier run, and with `all_of_them` its other outputs too.

    Without its report a case is not complete, so that outputs of two runs can never be taken for
    those of one.

    Raises:
        OutputError: they cannot be removed.
    """
    others = (case.mask, case.centroids, case.preview) if all_of_them else ()
    for name in (case.report, *others):
        try:
            (output / name).unlink(missing_ok=True)
        except OSError as error:
            what = f"cannot be replaced: {error.strerror or error}"
            raise OutputError(what, str(output / name), remedy="Check its permissions.") from error


def _read(case: Case, options: Options, fingerprint: Fingerprint) -> Image:
    image = read_image(case.path)
    if not fingerprint.still_fits(case.path):
        remedy = "Run again when it is written."
        raise InputError("changed while it was read", str(case.path), remedy=remedy)
    if image.intensities == "unknown" and not options.force:
        what = next((text for text in image.warnings if "Hounsfield" in text), "is no CT")
        remedy = "Store the scan in HU, or take it as it is with --force."
        raise InputError(what.split(":")[0], str(case.path), "CT in Hounsfield units", remedy)
    return image


def _write(case: Case, options: Options, result: Result) -> None:
    centroids = [
        Centroid(vertebra.label, vertebra.centroid_lps_mm, vertebra.peak)
        for vertebra in result.vertebrae
    ]
    fmt = options.centroid_format
    write_mask(options.output / case.mask, result.labels, result.image)
    write_centroids(options.output / case.centroids, centroids, result.image, fmt)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
