"""Reading MetaImage and NRRD scans through SimpleITK, whose world is LPS as ours is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vertseg.errors import InputError
from vertseg.formats import files_of, split_suffix
from vertseg.grid import Size, is_invertible
from vertseg.image import Image, assemble_image
from vertseg.itk_geometry import ItkGeometry
from vertseg.memory import check_memory
from vertseg.nifti_geometry import check_grid
from vertseg.nifti_header import StoredHeader, limited_size

_READERS = {".mha": "MetaImageIO", ".mhd": "MetaImageIO", ".nrrd": "NrrdImageIO"}
_NUMBERS = frozenset(
    f"{bits} {kind} integer"
    for bits in ("8-bit", "16-bit", "32-bit", "64-bit")
    for kind in ("signed", "unsigned")
) | {"32-bit float", "64-bit float"}
_LARGEST_DEFLATE_RATIO = 1040
_CHUNK_VOXELS = 2 << 20
_LEAST_BYTES = 4  # of a voxel, while the library and the image both hold it
_COPY_REMEDY = "Copy or convert the file again."


def read_itk_image(path: str | os.PathLike[str]) -> Image:
    """Read a ``.mha``, ``.mhd`` or ``.nrrd`` volume; values are treated as in `read_image`.

    Raises:
        InputError: not of this format, truncated, damaged, several frames, colour or complex,
            empty or constant, or without usable geometry.
    """
    where = str(path)
    reader, size = _open(path, where)
    held = sum(os.path.getsize(file) for file in files_of(path))
    if size[0] * size[1] * size[2] > held * _LARGEST_DEFLATE_RATIO:
        what = f"the file is truncated: {held} bytes for {_times(size)} voxels"
        raise InputError(what, where, remedy=_COPY_REMEDY)
    geometry = ItkGeometry(
        _three(reader.GetOrigin()), _three(reader.GetSpacing()), _direction(reader)
    )
    if not is_invertible(geometry.affine_lps()):
        raise InputError("the header has no usable geometry", where, "three directions in space")
    grid = geometry.grid(size)
    warnings = check_grid(grid, where)
    if split_suffix(where)[1] == ".nrrd" and "NRRD_space" not in reader.GetMetaDataKeys():
        warnings += ("the header names no space: LPS is assumed, left and right may be swapped",)
    check_memory(size[0] * size[1] * size[2] * _LEAST_BYTES, where)
    try:
        volume = reader.Execute()
    except RuntimeError as error:
        what = f"the voxels cannot be read: {_reason(error)}"
        raise InputError(what, where, remedy=_COPY_REMEDY) from error
    header = StoredHeader.from_geometry(size, grid.affine_ras)
    dtype, chunks = _chunks(volume)
    image = assemble_image(chunks, dtype, (1.0, 0.0), grid, header, warnings, where)
    return replace(image, itk=geometry)


def _open(path: str | os.PathLike[str], where: str) -> tuple[Any, Size]:
    """A reader that has read the header, set to read one volume, and the volume's size."""
    import SimpleITK as sitk  # late: it takes a while, and NIfTI does without

    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError("is not a file", where, "a MetaImage or NRRD volume")
        reader = sitk.ImageFileReader()
        reader.SetImageIO(_READERS[split_suffix(where)[1]])
        reader.SetFileName(where)
        reader.ReadImageInformation()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where) from error
    except RuntimeError as error:
        what = f"the header cannot be read: {_reason(error)}"
        raise InputError(what, where, "a MetaImage or NRRD volume", _COPY_REMEDY) from error
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())
    if kind not in _NUMBERS or reader.GetNumberOfComponents() != 1:
        remedy = "Give the CT itself."
        raise InputError(f"has voxels of the type {kind}", where, "one CT value a voxel", remedy)
    size = _checked_size(tuple(reader.GetSize()), where)
    if reader.GetDimension() > 3:
        reader.SetExtractSize([*size, *[0] * (reader.GetDimension() - 3)])
    return reader, size


def _checked_size(shape: tuple[int, ...], where: str) -> Size:
    text = _times(shape)
    if len(shape) < 3 or min(shape) < 1:
        raise InputError(f"has the size {text}", where, "a 3-D volume")
    if any(n != 1 for n in shape[3:]):
        remedy = "Split the file and give the frame to be segmented."
        raise InputError(f"has several frames ({text})", where, "one volume", remedy)
    return limited_size((shape[0], shape[1], shape[2]), text, where)


def _direction(reader: Any) -> tuple[float, ...]:
    """(9,) the spatial part of the direction, row-major."""
    dimension = reader.GetDimension()
    matrix = np.reshape(reader.GetDirection(), (dimension, dimension))[:3, :3]
    return tuple(float(value) for value in matrix.ravel())


def _chunks(volume: Any) -> tuple[np.dtype[Any], Iterator[npt.NDArray[Any]]]:
    import SimpleITK as sitk

    flat = sitk.GetArrayViewFromImage(volume).reshape(-1)  # ITK's first index is the fastest, too
    starts = range(0, flat.size, _CHUNK_VOXELS)
    return flat.dtype, (flat[start : start + _CHUNK_VOXELS] for start in starts)


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))


def _times(values: tuple[int, ...]) -> str:
    return "x".join(map(str, values))


def _reason(error: RuntimeError) -> str:
    """The last line of ITK's message, which says most; the others name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("sitk::ERROR:").strip().rstrip(".") if lines else "unknown"
