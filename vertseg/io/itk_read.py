"""Reading MetaImage and NRRD scans through SimpleITK, whose world is LPS as ours is.

SimpleITK itself works in a process of its own, see `vertseg.system.child`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vertseg.errors import InputError
from vertseg.geometry.grid import Size, is_invertible
from vertseg.io.formats import files_of, split_suffix
from vertseg.io.image import Image, assemble_image
from vertseg.io.itk_geometry import ItkGeometry
from vertseg.io.limits import COPY_REMEDY, check_grid, limited_size
from vertseg.io.stored import StoredForm
from vertseg.system.child import IsolationError, isolated
from vertseg.system.memory import check_memory

_READERS = {".mha": "MetaImageIO", ".mhd": "MetaImageIO", ".nrrd": "NrrdImageIO"}
_TYPES = {
    f"{8 * size}-bit {kind} integer": f"{kind[0].replace('s', 'i')}{size}"
    for size in (1, 2, 4, 8)
    for kind in ("signed", "unsigned")
} | {"32-bit float": "f4", "64-bit float": "f8"}
_LARGEST_DEFLATE_RATIO = 1040
_CHUNK_VOXELS = 2 << 20
_LEAST_BYTES = 4  # of a voxel, while the library and the image both hold it
_SECONDS = 600  # for a large volume that has to be unpacked


def read_itk_image(path: str | os.PathLike[str]) -> Image:
    """Read a ``.mha``, ``.mhd`` or ``.nrrd`` volume; values are treated as in `read_image`.

    Raises:
        InputError: not of this format, truncated, damaged, several frames, colour or complex,
            empty or constant, or without usable geometry.
    """
    where = str(path)
    stored, size = check_itk_header(path)
    if not is_invertible(stored.geometry.affine_lps()):
        raise InputError("the header has no usable geometry", where, "three directions in space")
    grid = stored.geometry.grid(size)
    warnings = check_grid(grid, where)
    if split_suffix(where)[1] == ".nrrd" and not stored.names_space:
        warnings += ("the header names no space: LPS is assumed, left and right may be swapped",)
    check_memory(size[0] * size[1] * size[2] * _LEAST_BYTES, where)
    form = StoredForm.of_itk(stored.geometry, grid)
    dtype, chunks = np.dtype(_TYPES[stored.kind]), _chunks(where, len(stored.size))
    return assemble_image(chunks, dtype, (1.0, 0.0), grid, form, warnings, where)


@dataclass(frozen=True)
class _Stored:
    """What the header of a file says, unchecked.

    Attributes:
        size: voxels along each axis, however many there are.
        kind: SimpleITK's name of the voxels' type.
        components: values per voxel.
        geometry: of the first three axes.
        names_space: whether a NRRD header says what its axes mean.
    """

    size: tuple[int, ...]
    kind: str
    components: int
    geometry: ItkGeometry
    names_space: bool


def check_itk_header(path: str | os.PathLike[str]) -> tuple[_Stored, Size]:
    """What the header of a file says, if it may be that of a scan; raises InputError."""
    where = str(path)
    files = files_of(path)  # first: the library would follow a header wherever it points
    stored = _information(where)
    size = _checked_size(stored.size, where)
    if stored.components != 1:
        what = f"has {stored.components} values per voxel, as in colour images or several frames"
        remedy = "Give the CT itself, one frame of it."
        raise InputError(what, where, "one CT value per voxel", remedy)
    if stored.kind not in _TYPES:
        what = f"has voxels of the type {stored.kind}"
        raise InputError(what, where, "one CT value per voxel", "Give the CT itself.")
    held = sum(os.path.getsize(file) for file in files)
    if size[0] * size[1] * size[2] > held * _LARGEST_DEFLATE_RATIO:
        what = f"the file is truncated: {held} bytes for {_times(size)} voxels"
        raise InputError(what, where, remedy=COPY_REMEDY)
    return stored, size


def _information(where: str) -> _Stored:
    try:
        (stored,) = isolated(_read_information, where)
    except (OSError, RuntimeError, IsolationError) as error:
        what = f"the header cannot be read: {_reason(error)}"
        raise InputError(what, where, "a MetaImage or NRRD volume", COPY_REMEDY) from error
    if len(stored.size) < 3:
        raise InputError(f"has the size {_times(stored.size)}", where, "a 3-D volume")
    return stored


def _read_information(where: str) -> Iterator[_Stored]:
    import SimpleITK as sitk  # late: only the other process needs it

    reader = _reader(where)
    dimension = reader.GetDimension()
    matrix = np.zeros((3, 3))
    near = min(dimension, 3)
    matrix[:near, :near] = np.reshape(reader.GetDirection(), (dimension, dimension))[:near, :near]
    geometry = ItkGeometry(
        _three(reader.GetOrigin()),
        _three(reader.GetSpacing()),
        tuple(float(value) for value in matrix.ravel()),
    )
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())
    kind = kind.removeprefix("vector of ")  # a NRRD sequence of one frame
    has_space = "NRRD_space" in reader.GetMetaDataKeys()
    components = reader.GetNumberOfComponents()
    yield _Stored(tuple(reader.GetSize()), kind, components, geometry, has_space)


def _reader(where: str) -> Any:
    """A reader that has read the header."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO(_READERS[split_suffix(where)[1]])
    reader.SetFileName(where)
    reader.ReadImageInformation()
    return reader


def _checked_size(shape: tuple[int, ...], where: str) -> Size:
    text = _times(shape)
    if min(shape) < 1:
        raise InputError(f"has the size {text}", where, "a 3-D volume")
    if any(n != 1 for n in shape[3:]):
        remedy = "Split the file and give the frame to segment."
        raise InputError(f"has several frames ({text})", where, "one volume", remedy)
    return limited_size((shape[0], shape[1], shape[2]), text, where)


def stored_values(path: str | os.PathLike[str]) -> Iterator[npt.NDArray[Any]]:
    """The values as stored, in chunks (n,), without a look at what they are; InputError."""
    where = str(path)
    files_of(path)  # first: the library would follow a header wherever it points
    yield from _chunks(where, len(_information(where).size))


def _chunks(where: str, dimension: int) -> Iterator[npt.NDArray[Any]]:
    """The values, flat, first index fastest."""
    try:
        yield from isolated(_read_values, where, dimension, seconds=_SECONDS)
    except (RuntimeError, IsolationError) as error:
        what = f"the voxels cannot be read: {_reason(error)}"
        raise InputError(what, where, remedy=COPY_REMEDY) from error


def _read_values(where: str, dimension: int) -> Iterator[npt.NDArray[Any]]:
    import SimpleITK as sitk

    reader = _reader(where)
    if dimension > 3:
        reader.SetExtractSize([*reader.GetSize()[:3], *[0] * (dimension - 3)])
    volume = reader.Execute()
    flat = sitk.GetArrayViewFromImage(volume).reshape(-1)  # ITK's first index is the fastest, too
    for start in range(0, flat.size, _CHUNK_VOXELS):
        yield flat[start : start + _CHUNK_VOXELS]


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    x, y, z = (*values, 1.0)[:3]
    return float(x), float(y), float(z)


def _times(values: tuple[int, ...]) -> str:
    return "x".join(map(str, values))


def _reason(error: Exception) -> str:
    """The last line of ITK's message, which says most; the others name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("sitk::ERROR:").strip().rstrip(".") if lines else "unknown"
