"""The file formats of scans, and the format of the mask that belongs to each."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vertseg.errors import InputError

MASK_SUFFIXES = {
    ".nii": ".nii.gz",
    ".nii.gz": ".nii.gz",
    ".mha": ".mha",
    ".mhd": ".mha",  # one file instead of a pair, so that a mask is whole or absent
    ".nrrd": ".nrrd",
}
"""Suffix of a scan -> suffix of its mask; masks of DICOM series are ``.nii.gz``."""

ITK_SUFFIXES = frozenset((".mha", ".mhd", ".nrrd"))
"""Suffixes of the formats that are read by SimpleITK."""

IN_WORDS = "NIfTI, MetaImage or NRRD files (.nii, .nii.gz, .mha, .mhd, .nrrd) or a DICOM CT series"

_SUFFIX = re.compile(r"\.(nii\.gz|nii|mha|mhd|nrrd)$", re.IGNORECASE)
_DATA_FILE = re.compile(rb"^ElementDataFile\s*=\s*(.*?)\s*$", re.MULTILINE)
_LONGEST_META_HEADER_BYTES = 1 << 16


def split_suffix(name: str) -> tuple[str, str]:
    """Name and suffix of a scan, ``("X", ".nii.gz")``; the suffix is empty for other files."""
    found = _SUFFIX.search(name)
    return (name[: found.start()], found[0].lower()) if found else (name, "")


def files_of(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The files that make up a scan: a ``.mhd`` keeps its voxels in another file.

    Raises:
        InputError: the other file is not named, or does not lie beside the first.
    """
    file = Path(path)
    if split_suffix(file.name)[1] != ".mhd":
        return (file,)
    return tuple(dict.fromkeys((file, _data_file(file))))


def _data_file(header: Path) -> Path:
    remedy = "Store the scan as one .mha file."
    if header.exists() and not header.is_file():  # a pipe would never end
        raise InputError("is not a file", str(header), "the header of a scan", remedy)
    try:
        with open(header, "rb") as stream:
            found = _DATA_FILE.search(stream.read(_LONGEST_META_HEADER_BYTES))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", str(header)) from error
    name = os.fsdecode(found[1]) if found else ""
    if not name:
        raise InputError("does not name the file of its voxels", str(header), remedy=remedy)
    if name.split()[0] == "LIST" or "%" in name or name != os.path.basename(name):
        what = f"has its voxels in {name!r}"
        raise InputError(what, str(header), "one file in the same folder", remedy)
    if name.upper() == "LOCAL":
        return header
    data = header.with_name(name)
    if not data.is_file():
        what = f"the file of its voxels, {name}, is missing"
        raise InputError(what, str(header), remedy="Copy both files.")
    return data
