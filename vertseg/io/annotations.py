"""Reference masks and centroids under the file names of VerSe and BIDS."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from vertseg.errors import InputError, NoInputError
from vertseg.geometry.grid import FloatArray, Grid, LabelArray
from vertseg.io.centroids import read_centroids
from vertseg.io.nifti_affine import choose_grid
from vertseg.labels import is_vertebra

_ENDINGS = {
    "mask": re.compile(r"(?:_seg-vert_msk|_seg|_msk)\.nii(?:\.gz)?$", re.IGNORECASE),
    "centroids": re.compile(r"(?:_seg-subreg_ctd|_seg-vb_ctd|_iso-ctd|_ctd)\.json$", re.IGNORECASE),
    "markups": re.compile(r"(?:_seg-subreg_ctd|_ctd)\.mrk\.json$", re.IGNORECASE),
    "scan": re.compile(r"(?:_ct)?\.nii(?:\.gz)?$", re.IGNORECASE),
}
_OTHER_MASKS = re.compile(
    r"_(?:desc|res)-[^_]+_(?:seg|msk|seg-vert_msk)\.nii(?:\.gz)?$", re.IGNORECASE
)
"""Masks beside that of the vertebrae: of their parts, or with other voxels."""
_ISO = re.compile(r"_iso-ctd\.json$", re.IGNORECASE)


@dataclass(frozen=True)
class CaseFiles:
    """Files of one case on one side.

    Attributes:
        name: what the case is known by.
        mask: label mask.
        centroids: centroid file.
        scan: the CT itself, whose grid the centroid file counts in.
        markups: centroids for 3D Slicer.
    """

    name: str
    mask: Path | None = None
    centroids: Path | None = None
    scan: Path | None = None
    markups: Path | None = None

    @property
    def points(self) -> Path | None:
        """The file with the centroids: the centroid file, else the markups."""
        return self.centroids or self.markups


def find_case_files(root: Path) -> dict[str, CaseFiles]:
    """All cases below a folder that have a mask or centroids, by name; or the case of one file.

    Raises:
        NoInputError: there is none.
        InputError: two files of one kind have the same name in different folders.
    """
    found: dict[str, CaseFiles] = {}
    for name, kind, path in sorted_files(root):
        files = found.get(name, CaseFiles(name))
        if getattr(files, kind) is not None:
            if kind == "scan":
                continue
            raise InputError(
                f"has the same name as {getattr(files, kind)}",
                str(path),
                remedy="Evaluate one folder of results at a time.",
            )
        found[name] = replace(files, **{kind: path})  # type: ignore[arg-type]
    cases = {name: files for name, files in found.items() if files.mask or files.points}
    if not cases:
        remedy = "Give a folder with *_ctd.json, *_seg.nii.gz or *_msk.nii.gz in it."
        raise NoInputError("holds no centroid file and no mask", str(root), remedy=remedy)
    return cases


def sorted_files(root: Path) -> Iterator[tuple[str, str, Path]]:
    """Name of the case, kind (a field of `CaseFiles`) and path of every file of one.

    Raises:
        NoInputError: the folder or file does not exist.
    """
    for path in _files(root):
        if _OTHER_MASKS.search(path.name):
            continue
        for kind, ending in _ENDINGS.items():
            if ending.search(path.name):
                yield ending.sub("", path.name), kind, path
                break


def _files(root: Path) -> Iterator[Path]:
    """The file itself, or all files below a folder that are not hidden, sorted."""
    if not root.exists():
        raise NoInputError("does not exist", str(root), remedy="Check the path.")
    if root.is_file():
        yield root
        return
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(files) if not name.startswith("."))


def read_points(path: Path, grid: Grid) -> dict[int, FloatArray]:
    """Centroids of vertebrae, label -> (3,) LPS mm, of a file that belongs to a scan on `grid`.

    Raises:
        InputError: it is not a centroid file.
    """
    if _ISO.search(path.name):
        steps = np.asarray(grid.spacing)
        size = np.maximum(np.rint((np.array(grid.size) - 1) * steps).astype(int) + 1, 1)
        affine = grid.affine_lps.copy()
        affine[:3, :3] /= steps
        grid = Grid((int(size[0]), int(size[1]), int(size[2])), affine)
    centroids, _ = read_centroids(path, grid)
    return {c.label: np.array(c.point_lps_mm) for c in centroids if is_vertebra(c.label)}


def read_mask(path: Path) -> tuple[LabelArray, Grid]:
    """Labels of the vertebrae, uint8 (i, j, k), and the grid of a mask.

    Raises:
        InputError: it cannot be read.
    """
    volume, grid = open_mask(path)
    try:
        labels = np.asanyarray(volume.dataobj).reshape(grid.size)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(f"cannot be read: {error}", str(path)) from error
    whole = np.rint(labels).astype(np.uint8)
    whole[~np.isin(whole, [label for label in range(256) if is_vertebra(label)])] = 0
    return whole, grid


def open_mask(path: Path) -> tuple[nibabel.Nifti1Image, Grid]:
    """Open a label mask without reading its voxels, and its grid.

    Raises:
        InputError: it cannot be read or has several frames.
    """
    try:
        volume = nibabel.load(path)
        size = volume.shape[:3]
        if len(size) != 3 or any(count != 1 for count in volume.shape[3:]):
            raise InputError(f"has the shape {volume.shape}", str(path), "three dimensions")
        return volume, choose_grid(volume.header, size, str(path))[0]
    except (OSError, EOFError, ImageFileError) as error:
        raise InputError(f"cannot be read: {error}", str(path)) from error
