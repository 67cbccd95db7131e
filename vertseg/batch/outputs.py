"""The files of one case: which are wanted, and writing them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vertseg.batch.extras import all_extra_outputs, extra_outputs
from vertseg.batch.optional import optional
from vertseg.io.case import Case
from vertseg.io.centroids import write_centroids
from vertseg.io.dicom_seg import write_dicom_seg
from vertseg.io.heatmap import write_heatmap
from vertseg.io.mask import write_mask
from vertseg.report.run_info import OutputOptions
from vertseg.stages import FIND, SPINE_ONLY

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


def asked_outputs(case: Case, options: OutputOptions) -> tuple[Path, ...]:
    """Those, and the files that a case also has where something was found."""
    dicom = (case.dicom_seg,) if options.dicom_seg and case.slices else ()
    heatmaps = _heatmaps(case) if options.heatmaps else ()
    extra = extra_outputs(case, options)
    return (*wanted_outputs(case, options), *dicom, *heatmaps, *extra)


def all_outputs(case: Case) -> tuple[Path, ...]:
    """Every file that a case may have, relative to the output folder, the report first."""
    main = (case.report, case.mask, case.dicom_seg, case.centroids, case.preview)
    return (*main, *_heatmaps(case), *all_extra_outputs(case))


def _heatmaps(case: Case) -> tuple[Path, ...]:
    return tuple(case.heatmap(stage) for stage in FIND)


def write_outputs(
    case: Case,
    options: OutputOptions,
    result: Result,
    place: Callable[[Path], Path],
    failed: dict[str, str],
) -> dict[str, Path]:
    """Write what was found; the report and the preview describe it and are written later.

    Args:
        case: the scan and the names of its outputs.
        options: of the run.
        result: what was found.
        place: where to write the output that has this path relative to the output folder.
        failed: gets the optional outputs that could not be written, and why.

    Returns:
        Kind of output -> path relative to the output folder.

    Raises:
        OutputError: a file cannot be written.
    """
    written: dict[str, Path] = {}
    if result.segmented:
        write_mask(place(case.mask), result.labels, result.image)
        written["mask"] = case.mask
        if options.dicom_seg and case.series and result.labels.any():
            with optional("dicom_seg", failed):
                write_dicom_seg(place(case.dicom_seg), result.labels, case.series.sources)
                written["dicom_seg"] = case.dicom_seg
    if result.has_centroids:
        fmt = options.centroid_format
        write_centroids(place(case.centroids), result.vertebrae, result.image, fmt)
        written["centroids"] = case.centroids
    for heatmap in result.heatmaps:
        path, kind = case.heatmap(heatmap.stage), f"{heatmap.stage}_heatmap"
        with optional(kind, failed):
            write_heatmap(place(path), heatmap)
            written[kind] = path
    return written
