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
from vertseg.geometry.grid import LabelArray
from vertseg.io.formats import ITK_SUFFIXES, split_suffix
from vertseg.io.image import Image
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


def read_labels(path: Path, image: Image) -> LabelArray:
    """The labels of a mask that lies on an image's grid, uint8 (i, j, k) of the image's shape.

    Args:
        path: ``.nii.gz``, ``.mha`` or ``.nrrd``.
        image: the image that was segmented.

    Raises:
        InputError: it cannot be read, has another shape, or holds what is no label.
    """
    suffix, where = split_suffix(path.name)[1], str(path)
    try:
        stored = _read_itk(path) if suffix in ITK_SUFFIXES else _read_nifti(path)
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, ImageFileError) as error:
        raise InputError(f"cannot be read: {error}", where) from error
    if stored.shape != image.grid.size:
        remedy = "Check whether the mask belongs to this scan."
        raise InputError(f"has the size {stored.shape}", where, f"{image.grid.size}", remedy)
    labels = np.asfortranarray(np.rint(stored), np.uint8)
    if not np.array_equal(labels, stored):
        raise InputError("holds values that are no labels", where, "whole numbers, 0 to 255")
    return labels


def _read_nifti(path: Path) -> npt.NDArray[Any]:
    return np.asanyarray(nibabel.load(path).dataobj)


def _read_itk(path: Path) -> npt.NDArray[Any]:
    import SimpleITK

    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    return np.asarray(array).transpose()
