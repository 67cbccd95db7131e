"""Which DICOM series a folder holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vertseg.io.dicom_header import SliceHeader, is_dicom, read_slice_header

_NOT_SCANS = {
    "SEG": "a segmentation",
    "RTSTRUCT": "contours",
    "RTPLAN": "a treatment plan",
    "RTDOSE": "a dose",
    "SR": "a document",
    "DOC": "a document",
    "PR": "display settings",
    "KO": "a selection of images",
    "REG": "a registration",
}


@dataclass(frozen=True)
class Series:
    """One series of images in a folder.

    Attributes:
        name: fit for a file, unlike that of any other series of the folder.
        files: its slices, by name.
    """

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Left:
    """A DICOM file or series that is no scan.

    Attributes:
        path: the file, or the first of them.
        reason: why it is left out, in a few words.
    """

    path: Path
    reason: str


def find_series(files: Iterable[Path]) -> tuple[list[Series], list[Left]]:
    """Sort the DICOM files of one folder into series, by their series identity.

    Scout views, screenshots, segmentations and documents are left out. Series that are no usable
    CT are kept: reading them says what is wrong.

    Args:
        files: of the folder; others than DICOM are passed over.
    """
    members: dict[str, list[SliceHeader]] = {}
    left = []
    for path in sorted(files):
        if not is_dicom(path):
            continue
        header = read_slice_header(path)
        reason = _reason_to_leave_out(header)
        if reason or header is None:
            left.append(Left(path, reason))
        else:
            members.setdefault(header.series_uid, []).append(header)
    return _named(members), left


def _reason_to_leave_out(header: SliceHeader | None) -> str:
    if header is None:
        return "DICOM without an image, or damaged"
    if header.modality in _NOT_SCANS:
        return f"DICOM, {_NOT_SCANS[header.modality]}"
    if header.localizer:
        return "DICOM, a scout view"
    return "DICOM, a screenshot" if header.screenshot else ""


def _named(members: dict[str, list[SliceHeader]]) -> list[Series]:
    names = [headers[0].series_name.casefold() for headers in members.values()]
    series = []
    for uid, headers in members.items():
        name = headers[0].series_name
        if names.count(name.casefold()) > 1:
            name += f"_{uid[-8:]}"
        series.append(Series(name, tuple(header.path for header in headers)))
    return series
