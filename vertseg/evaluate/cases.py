"""Finding which prediction belongs to which reference, and reading both.

A case is known by the name of its files without their endings: ``verse004_seg.nii.gz`` and
``verse004_ctd.json`` (VerSe'19), ``sub-A_seg-vert_msk.nii.gz`` and ``sub-A_seg-subreg_ctd.json``
(VerSe'20, BIDS), ``A_iso-ctd.json`` (VerSe'20 as first released: its points count voxels of 1 mm).
The folders in between do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vertseg.errors import InputError
from vertseg.geometry.grid import FloatArray, Grid, LabelArray
from vertseg.io.annotations import CaseFiles, open_mask, read_mask, read_points


@dataclass(frozen=True, eq=False)
class Annotation:
    """What one side says of a case.

    Attributes:
        points_lps_mm: label -> centroid; None where there is no centroid file.
        mask: (i, j, k) labels, background 0, vertebrae only; None where there is no mask.
        grid: of the mask; None without one.
    """

    points_lps_mm: dict[int, FloatArray] | None = None
    mask: LabelArray | None = field(default=None, repr=False)
    grid: Grid | None = None


def read_pair(reference: CaseFiles, prediction: CaseFiles) -> tuple[Annotation, Annotation]:
    """Read both sides of a case.

    Centroid files count voxels of the scan, whose grid is that of the mask beside them; where there
    is none, the other side's files give it.

    Raises:
        InputError: a file cannot be read, or the grid of the scan is unknown.
    """
    return _read(reference, prediction), _read(prediction, reference)


def _read(files: CaseFiles, other: CaseFiles) -> Annotation:
    mask, grid = read_mask(files.mask) if files.mask else (None, None)
    points = None
    if files.points:
        beside = (files.scan, other.mask, other.scan)
        if grid is None:
            grid_file = next((path for path in beside if path is not None), None)
            if grid_file is None:
                remedy = "Put the scan or its mask beside it."
                where = str(files.points)
                raise InputError("the grid of its scan is unknown", where, remedy=remedy)
            scan_grid = open_mask(grid_file)[1]
        else:
            scan_grid = grid
        points = read_points(files.points, scan_grid)
    return Annotation(points, mask, grid)
