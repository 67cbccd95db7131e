"""Which affine of a NIfTI header to believe, and what to tell the user about it.

The sform is used where it is valid, then the qform, then the voxel sizes alone, as nibabel does; so
masks and points agree with what other programs show. A sheared affine (gantry tilt, rounding) is
used as it is, since grids are exact for any invertible affine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel import quaternions

from vertseg.errors import InputError
from vertseg.geometry.grid import FloatArray, Grid, Size, is_invertible
from vertseg.io.limits import check_plausible, note_shear, sizes_in_words

_LARGEST_DEFINED_CODE = 5
_DISAGREEMENT_MM = 0.1
_SPACING_DISAGREEMENT = 0.01
_LONGEST_QUATERNION = 1e6
_MM_PER_UNIT = {1: 1e3, 3: 1e-3}  # NIfTI codes of metre and micrometre
_PLAUSIBLE_SPACING_MM = (0.05, 20.0)


@np.errstate(invalid="ignore", over="ignore")  # a header may hold any bits, signalling NaN too
def choose_grid(fields: Any, size: Size, where: str) -> tuple[Grid, tuple[str, ...]]:
    """The grid of a volume, in millimetres, and warnings about what was repaired or doubtful.

    Args:
        fields: nibabel NIfTI header.
        size: voxels along i, j, k.
        where: file name for messages.

    Raises:
        InputError: no usable affine, or one that no scanner makes.
    """
    warnings: list[str] = []
    sform = _usable(_sform(fields), int(fields["sform_code"]), "sform", warnings)
    qform = _usable(_qform(fields, warnings), int(fields["qform_code"]), "qform", warnings)
    affine = sform if sform is not None else qform
    if affine is None:
        affine = _affine_from_voxel_sizes(fields, size, where)
        warnings.append(
            "the header has no usable sform or qform: orientation LAS is assumed, left and right "
            "may be swapped"
        )
    if sform is not None and qform is not None:
        _compare_forms(sform, qform, size, warnings)
    _compare_spacing(affine, fields, warnings)
    affine = _to_millimetres(affine, fields, warnings)
    check_plausible(affine, size, where)
    note_shear(affine, warnings)
    return Grid.from_affine_ras(size, affine), tuple(warnings)


def _sform(fields: Any) -> FloatArray:
    rows = [fields["srow_x"], fields["srow_y"], fields["srow_z"], [0, 0, 0, 1]]
    return np.array([np.asarray(row, dtype=np.float64) for row in rows])


def _qform(fields: Any, warnings: list[str]) -> FloatArray:
    """Affine of the quaternion; a quaternion a little too long to be one is shortened."""
    vector = np.array([fields[f"quatern_{axis}"] for axis in "bcd"], dtype=np.float64)
    spacing = np.abs(np.asarray(fields["pixdim"][1:4], dtype=np.float64))
    if not np.isfinite([*vector, *spacing]).all() or np.abs(vector).max() > _LONGEST_QUATERNION:
        return np.full((4, 4), np.nan)
    length = float(np.linalg.norm(vector))
    if length > 1.0:
        if length > 1.001 and fields["qform_code"] > 0:
            warnings.append(f"the qform's quaternion has length {length:.3f}: normalised")
        vector /= length
    real = np.sqrt(max(0.0, 1.0 - float(vector @ vector)))
    if fields["pixdim"][0] == -1:
        spacing[2] = -spacing[2]
    affine = np.eye(4)
    to_matrix: Any = quaternions.quat2mat
    affine[:3, :3] = to_matrix([real, *vector]) * spacing
    affine[:3, 3] = [fields[f"qoffset_{axis}"] for axis in "xyz"]
    return affine


def _usable(affine: FloatArray, code: int, name: str, warnings: list[str]) -> FloatArray | None:
    if not 1 <= code <= _LARGEST_DEFINED_CODE:
        return None
    if is_invertible(affine):
        return affine
    warnings.append(f"the {name} is singular or not finite: ignored")
    return None


def _affine_from_voxel_sizes(fields: Any, size: Size, where: str) -> FloatArray:
    """NIfTI's "method 1" as nibabel reads it: x towards Left, origin in the middle."""
    spacing = np.abs(np.asarray(fields["pixdim"][1:4], dtype=np.float64))
    affine = np.diag([-spacing[0], spacing[1], spacing[2], 1.0])
    if not is_invertible(affine):
        remedy = "Convert the scan again from its DICOM series."
        raise InputError("the header has no usable geometry", where, "a qform or sform", remedy)
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(size) - 1.0) / 2.0)
    return affine


def _compare_forms(sform: FloatArray, qform: FloatArray, size: Size, warnings: list[str]) -> None:
    corners = [Grid.from_affine_ras(size, form).corners_lps_mm() for form in (sform, qform)]
    gap_mm = float(np.linalg.norm(corners[0] - corners[1], axis=1).max())
    if gap_mm > _DISAGREEMENT_MM:
        warnings.append(f"sform and qform disagree by up to {gap_mm:.1f} mm: the sform is used")


def _compare_spacing(affine: FloatArray, fields: Any, warnings: list[str]) -> None:
    used = np.linalg.norm(affine[:3, :3], axis=0)
    stated = np.abs(np.asarray(fields["pixdim"][1:4], dtype=np.float64))
    if not np.allclose(used, stated, rtol=_SPACING_DISAGREEMENT, atol=0.0):
        warnings.append(
            f"the voxel sizes {sizes_in_words(stated)} mm do not fit the affine, "
            f"which says {sizes_in_words(used)} mm: the affine is used"
        )


def _to_millimetres(affine: FloatArray, fields: Any, warnings: list[str]) -> FloatArray:
    """Scale metres and micrometres, where the result is a likely voxel size."""
    factor = _MM_PER_UNIT.get(int(fields["xyzt_units"]) & 7, 1.0)
    spacing = factor * np.linalg.norm(affine[:3, :3], axis=0)
    low, high = _PLAUSIBLE_SPACING_MM
    if factor == 1.0 or spacing.min() < low or spacing.max() > high:
        return affine
    warnings.append(f"the header's unit is not mm: coordinates are multiplied by {factor:g}")
    return np.diag([factor, factor, factor, 1.0]) @ affine
