"""Which files a MetaImage or NRRD header stands for; voxels are only taken from beside it.

A header may name any file of the system as its voxels. Whoever runs the program on a folder has
given that folder, not what its headers point to.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from vertseg.errors import InputError

_LONGEST_HEADER_BYTES = 1 << 18
_META_FIELD = re.compile(rb"(?:\A|[\r\n])[ \t]*ElementDataFile[ \t]*[=:]([^\r\n]*)", re.IGNORECASE)
_NRRD_FIELD = re.compile(rb"data[ \t]*file[ \t]*:(?!=)(.*)", re.IGNORECASE | re.DOTALL)
_NRRD_END = re.compile(rb"\r?\n\r?\n")
_REMEDY = "Store the scan as one file, such as .mha or .nrrd with its voxels inside."


def files_of_header(path: Path, suffix: str) -> tuple[Path, ...]:
    """The header itself, and the file of its voxels if that is another.

    Args:
        path: the header.
        suffix: ``.mha``, ``.mhd`` or ``.nrrd``.

    Raises:
        InputError: the header or its data are not a regular file, the voxels are not in one file
            beside the header, or the header does not say where they are.
    """
    name = _nrrd_data(path) if suffix == ".nrrd" else _meta_data(path)
    if not name:
        return (path,)
    beside = name.removeprefix("./")
    patterned = beside.split()[0] == "LIST" or "%" in beside
    if patterned or beside != os.path.basename(beside) or beside in ("", ".", ".."):
        what = f"has its voxels in {name!r}"
        raise InputError(what, str(path), "one file in the same folder", _REMEDY)
    data = path.with_name(beside)
    if not data.exists():
        what = f"the file of its voxels, {beside}, is missing"
        raise InputError(what, str(path), remedy="Copy both files.")
    if not data.is_file():
        raise InputError(f"its voxels, {beside}, are not a file", str(path), remedy=_REMEDY)
    return tuple(dict.fromkeys((path, data)))


def _meta_data(path: Path) -> str:
    """Name of the data file of a MetaImage header; empty if the voxels follow the header."""
    found = _META_FIELD.search(_head(path))
    name = os.fsdecode(found[1]).strip() if found else ""
    if not name:
        what = "the header cannot be read: it does not name the file of its voxels"
        raise InputError(what, str(path), remedy="Copy or convert the file again.")
    return "" if name.upper() == "LOCAL" else name


def _nrrd_data(path: Path) -> str:
    """Name of the data file of a NRRD header; empty if the voxels follow the header."""
    head = _head(path)
    end = _NRRD_END.search(head)
    if end is None and len(head) == _LONGEST_HEADER_BYTES:
        raise InputError("has a header without an end", str(path), remedy=_REMEDY)
    for line in re.split(rb"[\r\n]+", head[: end.start()] if end else head):
        found = _NRRD_FIELD.fullmatch(line.strip())
        if found:
            return os.fsdecode(found[1]).strip() or "."
    return ""


def _head(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would never end
            raise InputError("is not a file", str(path), "a scan", _REMEDY)
        with open(path, "rb") as stream:
            return stream.read(_LONGEST_HEADER_BYTES)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", str(path)) from error
