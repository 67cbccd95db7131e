"""Label masks, in the format of their scan."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError

from vertseg.errors import InputError
from vertseg.geometry.grid import Grid, LabelArray
from vertseg.io.formats import ITK_SUFFIXES, split_suffix
from vertseg.io.image import Image
from vertseg.io.stored import StoredForm
from vertseg.system.atomic import PathLike, atomic_writer


def write_mask(path: PathLike, labels: LabelArray, image: Image) -> None:
    """Write a label mask on exactly the image's grid, packed and of type uint8.

    It takes its geometry from what the image's own file holds (see `StoredForm.write_mask`), so it
    lies where the scan lies in any program. The same labels give the same bytes, on the same kind
    of processor.

    Args:
        path: where to; ``.mha`` or ``.nrrd``, anything else becomes ``.nii.gz``.
        labels: uint8, the image's shape.
        image: the image that was segmented.

    Raises:
        ValueError: shape or type of `labels` is wrong.
        OutputError: the file cannot be written.
    """
    if labels.shape != image.grid.size or labels.dtype != np.uint8:
        expected = f"uint8 {image.grid.size}"
        raise ValueError(f"labels must be {expected}, got {labels.dtype} {labels.shape}")
    with atomic_writer(path) as stream:
        image.stored.write_mask(stream, labels, split_suffix(str(path))[1])


def write_labels(path: PathLike, labels: LabelArray, grid: Grid) -> None:
    """Write a label mask (i, j, k) that lies on a grid of its own, as `write_mask` does.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_writer(path) as stream:
        StoredForm.of_grid(grid).write_mask(stream, labels, split_suffix(str(path))[1])


def read_labels(path: Path, image: Image) -> LabelArray:
    """The labels of a mask that lies on an image's grid, uint8 (i, j, k) of the image's shape.

    Args:
        path: ``.nii.gz``, ``.mha`` or ``.nrrd``.
        image: the image that was segmented.

    Raises:
        InputError: it cannot be read, has another shape, or holds values that are not labels.
    """
    labels, grid = read_labels_and_grid(path)
    if grid.size != image.grid.size:
        remedy = "Check whether the mask belongs to this scan."
        raise InputError(f"has the size {grid.size}", str(path), f"{image.grid.size}", remedy)
    return labels


def read_labels_and_grid(path: Path) -> tuple[LabelArray, Grid]:
    """The labels of a mask, uint8 (i, j, k), and where they lie.

    Args:
        path: ``.nii.gz``, ``.mha`` or ``.nrrd``.

    Raises:
        InputError: it cannot be read, or holds values that are not labels.
    """
    suffix, where = split_suffix(path.name)[1], str(path)
    try:
        stored, grid = _read_itk(path) if suffix in ITK_SUFFIXES else _read_nifti(path)
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, ImageFileError) as error:
        raise InputError(f"cannot be read: {error}", where) from error
    labels = np.asfortranarray(np.rint(stored), np.uint8)
    if labels.ndim != 3 or not np.array_equal(labels, stored):
        raise InputError("holds values that are not labels", where, "whole numbers, 0 to 255")
    return labels, grid


def _read_nifti(path: Path) -> tuple[npt.NDArray[Any], Grid]:
    volume = nibabel.load(path)
    return np.asanyarray(volume.dataobj), Grid.from_affine_ras(volume.shape[:3], volume.affine)


def _read_itk(path: Path) -> tuple[npt.NDArray[Any], Grid]:
    import SimpleITK

    SimpleITK.ProcessObject.GlobalWarningDisplayOff()  # it writes past every log
    volume = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(volume.GetDirection(), (3, 3)) * volume.GetSpacing()
    affine[:3, 3] = volume.GetOrigin()
    array = np.asarray(SimpleITK.GetArrayFromImage(volume)).transpose()
    return array, Grid(volume.GetSize(), affine)
