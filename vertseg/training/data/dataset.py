"""Data sets in VerSe or BIDS files: which files make a case, and reading them.

One data set may lie in several folders (splits, releases, masks apart from the scans): files whose
names say that they are of one scan come together, and of two files of one kind the first counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from vertseg.errors import InputError, NoInputError
from vertseg.geometry.grid import Grid
from vertseg.io.annotations import CaseFiles, read_mask, read_points, sorted_files
from vertseg.io.image import Image
from vertseg.io.read import read_image

_SPLIT = re.compile(r"_split-([A-Za-z0-9]+)")


@dataclass(frozen=True)
class DataCase:
    """The files of one scan.

    Attributes:
        name: without ``sub-`` and endings, such as ``verse004`` or ``gl003_dir-ax``.
        files: scan, mask and centroids, as far as there are any.
        ignored: further files of the same kinds.
    """

    name: str
    files: CaseFiles
    ignored: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class CaseData:
    """What the files of a case hold.

    Attributes:
        name: of the case.
        image: the scan.
        mask: uint8 (i, j, k), labels of vertebrae, on `mask_grid`.
        mask_grid: where the mask lies.
        points_lps_mm: label -> (3,) centroid; None without a centroid file.
    """

    name: str
    image: Image | None = None
    mask: np.ndarray | None = field(default=None, repr=False)
    mask_grid: Grid | None = None
    points_lps_mm: dict[int, np.ndarray] | None = None

    @property
    def grid(self) -> Grid:
        """Grid of the scan, or of the mask where there is no scan."""
        grid = self.image.grid if self.image is not None else self.mask_grid
        if grid is None:
            raise ValueError(f"{self.name}: neither a scan nor a mask was read")
        return grid


def scan_key(name: str) -> str:
    """What VerSe'19 and VerSe'20 have in common in the name of a scan.

    ``verse004`` and ``sub-verse004`` are one scan, so are ``verse253`` and
    ``sub-verse401_split-verse253``.
    """
    split = _SPLIT.search(name)
    return (split.group(1) if split else name.removeprefix("sub-")).lower()


def find_data_cases(folders: Sequence[Path], only: str | None = None) -> list[DataCase]:
    """All cases below some folders that have a mask or centroids, by name.

    Args:
        folders: looked through in this order.
        only: keep the cases whose name fits this shell pattern.

    Raises:
        NoInputError: a folder does not exist, or there is no case.
    """
    found: dict[str, DataCase] = {}
    for folder in folders:
        for name, kind, path in sorted_files(folder):
            key = scan_key(name)
            case = found.get(key) or DataCase(name.removeprefix("sub-"), CaseFiles(name))
            if getattr(case.files, kind) is None:
                files = replace(case.files, **{kind: path})  # type: ignore[arg-type]
                found[key] = replace(case, files=files)
            else:
                found[key] = replace(case, ignored=(*case.ignored, path))
    cases = [case for case in found.values() if case.files.mask or case.files.points]
    cases = [case for case in cases if only is None or fnmatch(case.name, only)]
    if not cases:
        what = "holds no centroid file and no mask"
        what += f" of a case whose name matches {only!r}" if only is not None else ""
        remedy = "Give folders with scans and *_ctd.json, *_seg.nii.gz or *_msk.nii.gz in them."
        raise NoInputError(what, ", ".join(map(str, folders)), remedy=remedy)
    return sorted(cases, key=lambda case: case.name)


def read_case(case: DataCase) -> CaseData:
    """Read a case; nothing is compared yet (see `vertseg.training.data.checks`).

    Raises:
        InputError: a file cannot be read, or there are only points.
    """
    files = case.files
    if files.scan is None and files.mask is None:
        remedy = "Put the scan or its mask into one of the folders."
        raise InputError("has neither scan nor mask beside it", str(files.points), "", remedy)
    image = read_image(files.scan) if files.scan else None
    mask, mask_grid = read_mask(files.mask) if files.mask else (None, None)
    data = CaseData(case.name, image, mask, mask_grid)
    if files.points is None:
        return data
    return replace(data, points_lps_mm=read_points(files.points, data.grid))
