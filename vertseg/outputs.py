"""The files of one case: which are wanted, writing them, and taking away those of earlier runs."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertseg.case import Case
from vertseg.centroids import Centroid
from vertseg.dicom_seg import write_dicom_seg
from vertseg.errors import OutputError
from vertseg.heatmap import write_heatmap
from vertseg.options import Options
from vertseg.stages import STAGES
from vertseg.writing import write_centroids, write_mask

if TYPE_CHECKING:
    from vertseg.result import Result


def wanted_outputs(case: Case, options: Mapping[str, Any]) -> tuple[Path, ...]:
    """Files that a complete case has, whatever was found, relative to the output folder.

    Args:
        case: the scan.
        options: as recorded in a report, see `Options.recorded`.
    """
    stages = options.get("stages", STAGES)
    masks = (case.mask,) if STAGES[2] in stages else ()
    centroids = (case.centroids,) if set(stages) & set(STAGES[1:]) else ()
    return (*masks, *centroids, case.preview)


def write_outputs(case: Case, options: Options, result: Result) -> dict[str, Path]:
    """Write what was found; the report and the preview tell of it and are written later.

    Returns:
        Kind of output -> path relative to the output folder.

    Raises:
        InputError: a DICOM Segmentation was asked for, but the series lacks what it needs.
        OutputError: a file cannot be written.
    """
    written: dict[str, Path] = {}
    folder = options.output
    if result.segmented:
        write_mask(folder / case.mask, result.labels, result.image)
        written["mask"] = case.mask
        if options.dicom_seg and case.slices and result.labels.any():
            write_dicom_seg(folder / case.dicom_seg, result.labels, case.slices)
            written["dicom_seg"] = case.dicom_seg
    if set(result.stages) & set(STAGES[1:]):
        found = [Centroid(v.label, v.centroid_lps_mm, v.peak) for v in result.vertebrae]
        fmt = options.centroid_format
        write_centroids(folder / case.centroids, found, result.image, fmt)
        written["centroids"] = case.centroids
    for heatmap in result.heatmaps:
        path = case.heatmap(heatmap.stage)
        write_heatmap(folder / path, heatmap)
        written[f"{heatmap.stage}_heatmap"] = path
    return written


def all_outputs(case: Case) -> tuple[Path, ...]:
    """Every file that a case may have, relative to the output folder, the report first."""
    heatmaps = (case.heatmap(stage) for stage in STAGES[:2])
    masks = (case.mask, case.dicom_seg)
    return (case.report, *masks, case.centroids, case.preview, *heatmaps)


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
