"""The file formats of scans, and the format of the mask that belongs to each."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vertseg.io.detached import files_of_header

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


def split_suffix(name: str) -> tuple[str, str]:
    """Name and suffix of a scan, ``("X", ".nii.gz")``; the suffix is empty for other files."""
    found = _SUFFIX.search(name)
    return (name[: found.start()], found[0].lower()) if found else (name, "")


def files_of(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The files that make up a scan: a header may keep its voxels in another file beside it.

    Raises:
        InputError: the other file is not named, is missing, or does not lie beside the first.
    """
    file = Path(path)
    suffix = split_suffix(file.name)[1]
    return files_of_header(file, suffix) if suffix in ITK_SUFFIXES else (file,)
