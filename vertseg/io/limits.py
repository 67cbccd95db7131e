"""Limits that every scan must keep, whatever its format: size, spacing, place, axes."""

from __future__ import annotations

import numpy as np

from vertseg.errors import InputError
from vertseg.geometry.grid import FloatArray, Grid, Size

COPY_REMEDY = "Copy or convert the file again."
"""For files that are damaged or cut short."""

LARGEST_VOLUME_VOXELS = 1_500_000_000

_SHEAR = 1e-4  # cosine between two axes; ITK refuses a header at about this size
_SPACING_LIMITS_MM = (0.02, 50.0)
_LARGEST_COORDINATE_MM = 1e6
_LONGEST_MM = 4000.0
_LARGEST_BOX_MM3 = 8e9


def check_grid(grid: Grid, where: str) -> tuple[str, ...]:
    """Warnings about an unusual grid, whatever it was read from.

    Raises:
        InputError: no scanner makes such a grid.
    """
    warnings: list[str] = []
    check_plausible(grid.affine_ras, grid.size, where)
    note_shear(grid.affine_ras, warnings)
    return tuple(warnings)


def check_plausible(affine: FloatArray, size: Size, where: str) -> None:
    """Refuse voxel sizes, places and extents that no scanner makes.

    Args:
        affine: (4, 4), index to mm.
        size: voxels along each axis.
        where: file name for messages.

    Raises:
        InputError: spacing, origin or extent is impossible.
    """
    remedy = "Convert the scan again from its DICOM series."
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = _SPACING_LIMITS_MM
    if spacing.min() < low or spacing.max() > high:
        what = f"has voxels of {sizes_in_words(spacing)} mm"
        raise InputError(what, where, f"sizes of {low} to {high} mm", remedy)
    if np.abs(affine[:3, 3]).max() > _LARGEST_COORDINATE_MM:
        raise InputError("lies more than a kilometre from its origin", where, remedy=remedy)
    corners = Grid.from_affine_ras(size, affine).corners_lps_mm(0.5)
    box_mm = corners.max(axis=0) - corners.min(axis=0)
    # The first network works on all of this box, so a small file must not span a hall.
    if box_mm.max() > _LONGEST_MM or box_mm.prod() > _LARGEST_BOX_MM3:
        what = f"is {' x '.join(f'{mm / 1000:.2g}' for mm in box_mm)} m long"
        raise InputError(what, where, "at most 4 m along an axis and 8 cubic metres", remedy)


def note_shear(affine: FloatArray, warnings: list[str]) -> None:
    """Add a warning where the axes of a (4, 4) `affine` are not perpendicular."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosine = float(np.abs(directions.T @ directions - np.eye(3)).max())
    if cosine > _SHEAR:
        degrees = np.degrees(np.arcsin(min(cosine, 1.0)))
        warnings.append(
            f"the axes are not perpendicular (by {degrees:.2f} degrees): used as they are"
        )


def sizes_in_words(values: FloatArray) -> str:
    """Numbers (n,) as ``0.5 x 0.5 x 1``."""
    return " x ".join(f"{value:.4g}" for value in values)


def limited_size(size: Size, text: str, where: str) -> Size:
    """`size`, in words `text`, unless it is too large for any scan (InputError)."""
    if size[0] * size[1] * size[2] > LARGEST_VOLUME_VOXELS:
        limit = f"at most {LARGEST_VOLUME_VOXELS / 1e9:g} billion voxels"
        raise InputError(f"declares {text} voxels", where, limit, "Crop or resample the scan.")
    return size
