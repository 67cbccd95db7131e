"""Cutting out the part of a scan that holds some levels, with its mask."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from vertseg.batch.relabel import find_report, find_scan, labels_in
from vertseg.batch.scan import read_scan
from vertseg.errors import ConfigurationError
from vertseg.geometry.boxes import Box, label_boxes
from vertseg.geometry.grid import Grid, LabelArray
from vertseg.io.image import Image
from vertseg.io.mask import read_labels, write_mask
from vertseg.io.packing import gzip_writer
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, name_of
from vertseg.system.atomic import atomic_writer

CROPS = "crops"
"""Folder for what is cut out, in the output folder."""


def crop(
    output: Path, case_name: str, first: int, last: int, margin_mm: float, scans: Path | None
) -> tuple[Path, Path]:
    """Write the box around some levels of a scan, and its mask, as NIfTI.

    Voxels are those of the scan, not resampled; their place in the world stays.

    Args:
        output: folder with the results.
        case_name: name of the scan in its report, or its last part.
        first: label of the uppermost level.
        last: label of the lowest level.
        margin_mm: around their masks.
        scans: folder of the scans; None for where the results were made from.

    Returns:
        Paths of scan and mask.

    Raises:
        ConfigurationError: no such case, or none of the levels is in its mask.
        InputError: scan or mask cannot be read.
        OutputError: a file cannot be written.
    """
    report = find_report(output, case_name)
    wanted = _between(first, last, labels_in(report), case_name)
    case = find_scan(report, output, scans)
    image = read_scan(case, force=True).image
    labels = read_labels(output / case.mask, image)
    boxes = [box for label, box in label_boxes(labels).items() if label in wanted]
    if not boxes:
        what = "there is no mask of these levels"
        raise ConfigurationError(what, f"--case {case_name}", remedy="Give others with --levels.")
    box = _around(boxes, image.grid, margin_mm)
    name = f"{case.stem}_{name_of(wanted[0])}-{name_of(wanted[-1])}"
    folder = output / CROPS / case.folder
    return _write(image, labels, box, folder / name)


def _between(first: int, last: int, present: list[int], case: str) -> list[int]:
    order = ORDER_CRANIAL_TO_CAUDAL
    low, high = order.index(first), order.index(last)
    wanted = [label for label in present if low <= order.index(label) <= high]
    if not wanted:
        what = f"has none of {name_of(first)} to {name_of(last)}"
        expected = ", ".join(map(name_of, present))
        raise ConfigurationError(what, f"--case {case}", expected)
    return wanted


def _around(boxes: list[Box], grid: Grid, margin_mm: float) -> Box:
    i, j, k = (
        slice(
            max(min(box[axis].start for box in boxes) - round(margin_mm / step), 0),
            min(max(box[axis].stop for box in boxes) + round(margin_mm / step), size),
        )
        for axis, (step, size) in enumerate(zip(grid.spacing, grid.size, strict=True))
    )
    return i, j, k


def _write(image: Image, labels: LabelArray, box: Box, path: Path) -> tuple[Path, Path]:
    affine = image.grid.crop(box).affine_ras
    values = np.asarray(image.array[box])
    volume = nibabel.Nifti1Image(values, affine)
    volume.set_sform(affine, code=1)
    volume.header.set_xyzt_units("mm")
    scan = path.with_name(f"{path.name}.nii.gz")
    with atomic_writer(scan) as stream, gzip_writer(stream) as packed:
        packed.write(volume.to_bytes())
    mask = path.with_name(f"{path.name}_seg.nii.gz")
    write_mask(mask, np.asfortranarray(labels[box]), Image.from_array(values, affine))
    return scan, mask
