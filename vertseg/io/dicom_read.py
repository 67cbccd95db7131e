"""Reading a DICOM CT series into a volume.

Slices are sorted along their normal, and their positions give the third axis, so that a series from
a tilted gantry lies where it was scanned. Positions that are not even are refused: a volume cannot
hold them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vertseg.errors import InputError
from vertseg.geometry.grid import FloatArray, Grid, is_invertible
from vertseg.io.dicom_header import SliceHeader, read_slice_header
from vertseg.io.dicom_series import find_series
from vertseg.io.image import Image, assemble_image
from vertseg.io.limits import LARGEST_VOLUME_VOXELS, check_grid
from vertseg.io.nifti_header import StoredHeader
from vertseg.system.child import IsolationError, isolated

_FEWEST_SLICES = 3
_SAME_MM = 0.01
_NOTED_UNEVENNESS, _LARGEST_UNEVENNESS = 0.02, 0.1  # of the usual distance of slices
_CONVERT_REMEDY = "Convert the series to NIfTI with a tool that knows it, such as dcm2niix."
_EXPORT_REMEDY = "Export the whole series again."


def read_dicom_series(files: Sequence[Path], where: str) -> Image:
    """Read the slices of one series; values are treated as in `vertseg.io.read.read_image`.

    Args:
        files: the slices, in any order.
        where: name of the series for messages.

    Raises:
        InputError: not CT, fewer than three slices, slices that are missing, doubled or of
            different kinds, damaged or without a position.
    """
    headers = [_read_header(path, where) for path in files]
    _check_kind(headers, where)
    _check_alike(headers, where)
    normal = headers[0].normal_lps
    headers = sorted(headers, key=lambda header: float(header.position_lps_mm @ normal))
    warnings = _check_positions(headers, where)
    grid = _grid(headers, where)
    warnings += check_grid(grid, where)
    header = StoredHeader.from_geometry(grid.size, grid.affine_ras)
    dtype = np.dtype(np.int32 if all(h.whole for h in headers) else np.float64)
    chunks = _chunks(headers, where)
    return assemble_image(chunks, dtype, (1.0, 0.0), grid, header, warnings, where)


def read_dicom_folder(folder: str | os.PathLike[str]) -> Image:
    """Read the one DICOM series of a folder, see `read_dicom_series`.

    Raises:
        InputError: the folder holds no series, or several.
    """
    found, _ = find_series(Path(folder).iterdir())
    if len(found) != 1:
        names = ", ".join(series.name for series in found)
        what = f"holds {len(found)} DICOM series" + f": {names}" * bool(found)
        remedy = "Keep each series in a folder of its own."
        raise InputError(what, str(folder), "one series", remedy)
    return read_dicom_series(found[0].files, str(folder))


def _read_header(path: Path, where: str) -> SliceHeader:
    header = read_slice_header(path)
    if header is None:
        raise InputError(f"the slice {path.name} cannot be read", where, remedy=_EXPORT_REMEDY)
    return header


def _check_kind(headers: Sequence[SliceHeader], where: str) -> None:
    first, count = headers[0], len(headers)
    other = next((h.modality for h in headers if h.modality != "CT"), None)
    if other is not None:
        what = f"is of the modality {other or 'unknown'}"
        raise InputError(what, where, "CT", "Remove the series, or leave it out with --only.")
    if any(header.size[2] > 1 for header in headers):
        raise InputError("has many slices in one file", where, "a file a slice", _CONVERT_REMEDY)
    if any(header.colour for header in headers):
        raise InputError("is in colour", where, "one CT value a voxel", "Give the CT itself.")
    if count < _FEWEST_SLICES:
        what = f"has only {count} slice{'s' * (count > 1)}"
        raise InputError(what, where, f"at least {_FEWEST_SLICES}", _EXPORT_REMEDY)
    if not all(header.has_position for header in headers):
        what = "has slices without a position in space"
        remedy = "Export the series without removing its geometry."
        raise InputError(what, where, "ImagePositionPatient and ImageOrientationPatient", remedy)
    if first.size[0] * first.size[1] * count > LARGEST_VOLUME_VOXELS:
        limit = f"at most {LARGEST_VOLUME_VOXELS / 1e9:g} thousand million voxels"
        raise InputError("is too large", where, limit, "Export fewer or smaller slices.")


def _check_alike(headers: Sequence[SliceHeader], where: str) -> None:
    first = headers[0]
    if not is_invertible(first.affine_lps):
        raise InputError("has no usable geometry", where, remedy=_EXPORT_REMEDY)
    for header in headers:
        axes, others = header.affine_lps[:3, :3], first.affine_lps[:3, :3]
        if header.size != first.size or not np.allclose(axes, others, rtol=0, atol=1e-3):
            what = f"{header.path.name} and {first.path.name} differ in size or direction"
            remedy = "Keep slices of one kind in the folder."
            raise InputError(what, where, "slices of one volume", remedy)


def _check_positions(headers: Sequence[SliceHeader], where: str) -> tuple[str, ...]:
    """Refuse doubled, missing and misplaced slices; warn of small differences."""
    points = np.array([header.position_lps_mm for header in headers])
    steps = np.diff(points @ headers[0].normal_lps)
    usual = float(np.median(steps))
    if steps.min() < _SAME_MM:
        double = headers[int(steps.argmin())].path.name
        what = f"has two slices at the place of {double}"
        remedy = "Keep one time or one kind of reconstruction in the folder."
        raise InputError(what, where, "one slice at each place", remedy)
    unevenness = float(np.abs(steps / usual - 1.0).max())
    if unevenness > _LARGEST_UNEVENNESS:
        worst = int(np.abs(steps - usual).argmax())
        between = f"{headers[worst].path.name} and {headers[worst + 1].path.name}"
        what = f"{between} are {steps[worst]:.2f} mm apart, others {usual:.2f} mm"
        raise InputError(what, where, "slices at even distances", _EXPORT_REMEDY)
    away = np.linalg.norm(points - _evenly(points), axis=1).max()
    if away > usual / 2:
        what = f"has slices up to {away:.1f} mm away from a straight, even row"
        raise InputError(what, where, "slices of one volume", _EXPORT_REMEDY)
    if unevenness > _NOTED_UNEVENNESS:
        return (f"distances of slices differ by up to {unevenness:.0%}: taken as even",)
    return ()


def _evenly(points: FloatArray) -> FloatArray:
    """(n, 3) points at even distances from the first to the last."""
    return np.linspace(points[0], points[-1], len(points))


def _grid(headers: Sequence[SliceHeader], where: str) -> Grid:
    first, last, count = headers[0], headers[-1], len(headers)
    affine = first.affine_lps.copy()
    affine[:3, 2] = (last.position_lps_mm - first.position_lps_mm) / (count - 1)
    if not is_invertible(affine):
        raise InputError("has no usable geometry", where, remedy=_EXPORT_REMEDY)
    return Grid((first.size[0], first.size[1], count), affine)


def _chunks(headers: Sequence[SliceHeader], where: str) -> Iterator[npt.NDArray[Any]]:
    """The values of each slice in HU, flat; every slice has its own rescale slope."""
    for header in headers:
        try:
            (values,) = isolated(_values, str(header.path))
        except (RuntimeError, IsolationError) as error:
            what = f"the slice {header.path.name} cannot be read"
            raise InputError(what, where, remedy=_EXPORT_REMEDY) from error
        if values.shape != (header.size[1], header.size[0]):
            raise InputError(f"the slice {header.path.name} has changed", where)
        yield values.reshape(-1)


def _values(path: str) -> Iterator[npt.NDArray[Any]]:
    """(rows, columns); done in a process of its own, see `vertseg.system.child`."""
    import SimpleITK as sitk

    values = sitk.GetArrayFromImage(sitk.ReadImage(path, imageIO="GDCMImageIO"))
    yield values.reshape(values.shape[-2:]) if len(values) == 1 else values
