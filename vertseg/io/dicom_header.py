"""The header of one DICOM slice: what is needed to sort slices into series and volumes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vertseg.geometry.grid import FloatArray, Size
from vertseg.system.child import IsolationError, isolated

_MAGIC_OFFSET, _MAGIC = 128, b"DICM"
_HAS_SUFFIX = re.compile(r"\.[a-z]\w{0,5}$", re.IGNORECASE)
_DICOM_SUFFIX = re.compile(r"\.(dcm|dicom|dic|ima)$", re.IGNORECASE)
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_LONGEST_TEXT = 40
_SECONDS = 20


@dataclass(frozen=True, eq=False)
class SliceHeader:
    """What one DICOM image says of itself.

    Attributes:
        path: the file.
        series_uid: identity of its series.
        series_name: number and description of its series, fit for a file name.
        modality: such as ``"CT"``.
        localizer: whether it is a scout view.
        screenshot: whether it is a secondary capture and not from the scanner.
        size: columns, rows, frames.
        affine_lps: (4, 4) index (column, row, slice) -> LPS mm; the third column has length 1 and
            is the normal of the slice.
        has_position: whether the position in space is stored.
        whole: whether its values are whole numbers.
        colour: whether it has several values a pixel.
    """

    path: Path
    series_uid: str
    series_name: str
    modality: str
    localizer: bool
    screenshot: bool
    size: Size
    affine_lps: FloatArray
    has_position: bool
    whole: bool
    colour: bool

    @property
    def normal_lps(self) -> FloatArray:
        """(3,) unit vector across the slice."""
        return np.asarray(self.affine_lps[:3, 2])

    @property
    def position_lps_mm(self) -> FloatArray:
        """(3,) centre of the first pixel."""
        return np.asarray(self.affine_lps[:3, 3])


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its name and then its first bytes; an index is not."""
    name = path.name
    if name.startswith(".") or name.upper() == "DICOMDIR":
        return False
    if _HAS_SUFFIX.search(name) and not _DICOM_SUFFIX.search(name):
        return False
    if not os.path.isfile(path):  # a pipe would never end
        return False
    try:
        if not path.is_file():  # a pipe would never end
            return False
        with open(path, "rb") as stream:
            stream.seek(_MAGIC_OFFSET)
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def read_slice_header(path: str | os.PathLike[str]) -> SliceHeader | None:
    """The header of a DICOM image, or None for a file that is no image or is damaged."""
    try:
        (header,) = isolated(_read, str(path), seconds=_SECONDS)
    except IsolationError:
        return None
    return header


def _read(path: str) -> Iterator[SliceHeader | None]:
    """Done in a process of its own: damaged files make GDCM loop for ever."""
    yield _header(path)


def _header(path: str) -> SliceHeader | None:
    import SimpleITK as sitk  # late: only the other process needs it

    reader = _reader()
    try:
        reader.SetFileName(path)
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    tags = {
        name: reader.GetMetaData(tag).strip(" \0") if reader.HasMetaDataKey(tag) else ""
        for name, tag in _TAGS.items()
    }
    size = tuple(reader.GetSize())
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (3, 3))
    affine[:3, :2] *= reader.GetSpacing()[:2]
    affine[:3, 3] = reader.GetOrigin()
    return SliceHeader(
        path=Path(path),
        series_uid=tags["series_uid"],
        series_name=_file_name(tags["number"], tags["description"]),
        modality=tags["modality"].upper(),
        localizer="LOCALIZER" in tags["image_type"].upper().split("\\"),
        screenshot=tags["sop_class"].startswith(_SECONDARY_CAPTURE),
        size=(size[0], size[1], size[2] if len(size) > 2 else 1),
        affine_lps=affine,
        has_position=bool(tags["position"] and tags["orientation"]),
        whole="integer" in sitk.GetPixelIDValueAsString(reader.GetPixelIDValue()),
        colour=reader.GetNumberOfComponents() != 1,
    )


_TAGS = {
    "image_type": "0008|0008",
    "sop_class": "0008|0016",
    "modality": "0008|0060",
    "description": "0008|103e",
    "series_uid": "0020|000e",
    "number": "0020|0011",
    "position": "0020|0032",
    "orientation": "0020|0037",
}


@lru_cache(maxsize=1)
def _reader() -> Any:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    return reader


def _file_name(*parts: str) -> str:
    """Parts joined into a name without blanks, separators or leading dots."""
    clean = (re.sub(r"[^\w.+]+", "-", part).strip("-.") for part in parts)
    return "_".join(filter(None, clean))[:_LONGEST_TEXT] or "series"
