"""Reading a DICOM CT series into a volume.

Slices are sorted along their normal, and their places give the third axis, so that a series from a
tilted gantry lies where it was scanned. Slices that do not lie in an even row are refused: a volume
cannot hold them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from vertseg.errors import InputError
from vertseg.geometry.grid import Grid, is_invertible
from vertseg.io.dicom_damage import Series
from vertseg.io.dicom_pixels import has_whole_numbers, read_planes
from vertseg.io.dicom_places import Row, even_row
from vertseg.io.dicom_series import find_series
from vertseg.io.dicom_slice import Kind, Slice
from vertseg.io.image import Image, assemble_image
from vertseg.io.limits import LARGEST_VOLUME_VOXELS, check_grid
from vertseg.io.scan_facts import ScanFacts
from vertseg.io.stored import StoredForm
from vertseg.system.threads import ahead

_FEWEST_SLICES = 3
_MOST_NAMES = 10
_SAME_DIRECTION = 1e-3
_EXPORT_REMEDY = "Export the whole series again."


def read_series(series: Series, where: str) -> Image:
    """Read one series; values are treated as in `vertseg.io.read.read_image`.

    Args:
        series: as found by `vertseg.io.dicom_series.find_series`.
        where: its name for messages.

    Raises:
        InputError: not CT, fewer than three slices, slices that are damaged, missing, doubled, of
            different kinds or patients, compressed in an unknown way, or without a place.
    """
    slices, grid, warnings = check_series(series, where)
    dtype = np.dtype(np.int16 if has_whole_numbers(slices) else np.float64)
    stored = StoredForm.of_grid(grid)
    with closing(ahead(read_planes(slices, where))) as planes:
        image = assemble_image(planes, dtype, (1.0, 0.0), grid, stored, warnings, where)
    return replace(image, facts=_facts(slices))


def read_dicom(path: str | os.PathLike[str]) -> Image:
    """Read the one DICOM series of a folder, an archive or a file, see `read_series`.

    Raises:
        InputError: there is no series, or there are several.
    """
    place = Path(path)
    files = [path for path in place.iterdir() if not path.is_dir()] if place.is_dir() else [place]
    found, _ = find_series(files)
    if len(found) != 1:
        names = ", ".join(series.name for series in found)
        what = f"holds {len(found)} DICOM series" + f": {names}" * bool(found)
        remedy = "Keep each series in a folder of its own."
        raise InputError(what, str(path), "one series", remedy)
    return read_series(found[0], str(path))


def check_series(series: Series, where: str) -> tuple[list[Slice], Grid, tuple[str, ...]]:
    """The slices in order, their grid and warnings, as far as headers tell.

    Raises:
        InputError: as `read_series`, but for what is wrong with the values.
    """
    _check_whole(series, where)
    kinds = list(dict.fromkeys(one.kind for one in series.slices))
    for check in _CHECKS:
        check(series, kinds, where)
    normal = series.slices[0].kind.axes_lps[:, 2]
    slices = sorted(series.slices, key=lambda one: float(np.dot(one.position or (), normal)))
    row = even_row(slices, where)
    grid = _grid(slices, row, where)
    return slices, grid, row.warnings + check_grid(grid, where)


def _check_whole(series: Series, where: str) -> None:
    if not series.damaged:
        return
    named = [f"{bad.file.name} {bad.reason}" for bad in series.damaged[:_MOST_NAMES]]
    more = len(series.damaged) - len(named)
    listed = "; ".join(named) + (f"; and {more} more" if more else "")
    count = len(series.damaged)
    what = f"{count} of its files cannot be used: {listed}" if count > 1 else listed
    remedy = "Copy the files again from their source, or remove those that are not part of it."
    raise InputError(what, where, "a whole series", remedy)


def _check_modality(series: Series, kinds: Sequence[Kind], where: str) -> None:
    other = next((kind.modality for kind in kinds if kind.modality != "CT"), None)
    if other is not None:
        what = f"is of the modality {other or 'unknown'}"
        raise InputError(what, where, "CT", "Remove the series, or leave it out with --only.")
    if any(kind.storage.samples > 1 for kind in kinds):
        raise InputError("is in colour", where, "one CT value per voxel", "Give the CT itself.")


def _check_patient(series: Series, kinds: Sequence[Kind], where: str) -> None:
    for what, values in zip(
        ("identities", "names", "dates of birth"),
        zip(*(kind.patient for kind in kinds), strict=True),
        strict=True,
    ):
        if len({_same_letters(value) for value in values if value}) > 1:
            remedy = "Keep the slices of each patient in a folder and a series of their own."
            text = f"holds slices of several patients: their {what} differ"
            raise InputError(text, where, "one patient", remedy)


def _same_letters(text: str) -> str:
    """A name without regard to case, blanks and empty parts."""
    return " ".join(text.replace("^", " ").casefold().split())


def _check_own_uids(series: Series, kinds: Sequence[Kind], where: str) -> None:
    if series.own_uids:
        what = f"each of its {len(series.slices)} slices has a SeriesInstanceUID of its own"
        remedy = (
            "Give them one, for instance with dcmodify -m SeriesInstanceUID=1.2.3.4 of the DICOM "
            "toolkit DCMTK, or export the series again."
        )
        raise InputError(what, where, "one SeriesInstanceUID for a series", remedy)


def _check_count(series: Series, kinds: Sequence[Kind], where: str) -> None:
    count = len(series.slices)
    if count < _FEWEST_SLICES:
        what = f"has only {count} slice{'s' * (count > 1)}"
        raise InputError(what, where, f"at least {_FEWEST_SLICES}", _EXPORT_REMEDY)
    columns, rows = kinds[0].size
    if columns * rows * count > LARGEST_VOLUME_VOXELS:
        limit = f"at most {LARGEST_VOLUME_VOXELS / 1e9:g} billion voxels"
        raise InputError("is too large", where, limit, "Export fewer or smaller slices.")


def _check_geometry(series: Series, kinds: Sequence[Kind], where: str) -> None:
    remedy = "Export the series without removing its geometry."
    missing = {
        "ImagePositionPatient": any(one.position is None for one in series.slices),
        "ImageOrientationPatient": any(kind.orientation is None for kind in kinds),
        "PixelSpacing": any(kind.spacing is None or min(kind.spacing) <= 0 for kind in kinds),
    }
    names = [name for name, absent in missing.items() if absent]
    if names:
        what = f"has slices without {' and '.join(names)}, so their position or size is unknown"
        raise InputError(what, where, "a position for each slice", remedy)


def _check_alike(series: Series, kinds: Sequence[Kind], where: str) -> None:
    first = series.slices[0]
    if not is_invertible(_affine(first.kind)):
        raise InputError("has no usable geometry", where, remedy=_EXPORT_REMEDY)
    for kind in kinds:
        near = np.allclose(kind.axes_lps, first.kind.axes_lps, rtol=0, atol=_SAME_DIRECTION)
        if kind.size != first.kind.size or not near:
            other = next(one for one in series.slices if one.kind is kind)
            what = f"{other.name} and {first.name} differ in size or direction"
            remedy = "Keep slices of one kind in the folder."
            raise InputError(what, where, "slices of one volume", remedy)


def _check_syntax(series: Series, kinds: Sequence[Kind], where: str) -> None:
    from pydicom.uid import UID

    for syntax in {kind.storage.syntax for kind in kinds}:
        if syntax in _UNKNOWN_TO_GDCM or not syntax:
            what = f"is compressed as {UID(syntax).name}, which cannot be read here"
            remedy = (
                "Export the series again without compression, or decompress it, for instance with "
                "pydicom and its plug-in pylibjpeg-openjpeg."
            )
            raise InputError(what, where, "plain values, JPEG, JPEG-LS, JPEG 2000 or RLE", remedy)


_UNKNOWN_TO_GDCM = frozenset(
    f"1.2.840.10008.1.2.{ending}"
    for ending in (
        *("4.201", "4.202", "4.203", "4.204", "4.205"),  # High-Throughput JPEG 2000
        *("4.110", "4.111", "4.112", "8.1"),  # JPEG XL, deflated frames
        *("4.100", "4.101", "4.102", "4.103", "4.104", "4.105", "4.106", "4.107", "4.108"),  # film
    )
)
_CHECKS = (
    *(_check_modality, _check_patient, _check_own_uids, _check_count, _check_geometry),
    *(_check_alike, _check_syntax),
)


def _affine(kind: Kind) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = kind.axes_lps
    return affine


def _grid(slices: Sequence[Slice], row: Row, where: str) -> Grid:
    affine = _affine(slices[0].kind)
    affine[:3, 2], affine[:3, 3] = row.step_lps_mm, row.first_lps_mm
    if not is_invertible(affine):
        raise InputError("has no usable geometry", where, remedy=_EXPORT_REMEDY)
    return Grid((*slices[0].kind.size, len(slices)), affine)


def _facts(slices: Sequence[Slice]) -> ScanFacts:
    """How the scan was made: as the first slice says, with the mean current of all."""
    facts = slices[0].kind.facts
    currents = list(_currents(slices))
    if not currents:
        return facts
    return replace(facts, tube_current_ma=round(sum(currents) / len(currents), 1))


def _currents(slices: Sequence[Slice]) -> Iterator[float]:
    return (one.tube_current_ma for one in slices if one.tube_current_ma)
