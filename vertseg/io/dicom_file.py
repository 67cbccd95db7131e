"""A file that may be a DICOM image: its bytes, and what its first ones say of it."""

from __future__ import annotations

import io
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vertseg.io.archive import read_member, size_of

_MAGIC_OFFSET, _MAGIC = 128, b"DICM"
_HEAD_BYTES = _MAGIC_OFFSET + len(_MAGIC)
_FIRST_BYTES = 16 << 10  # more than most headers take
_LONGEST_FIRST_VALUE = 1024
_FIRST_GROUPS = (0x0002, 0x0008)
_DICOM_SUFFIX = re.compile(r"\.(dcm|dicom|dic|ima)$", re.IGNORECASE)
_NEVER_DICOM = re.compile(
    r"\.(json|txt|csv|tsv|md|xml|ya?ml|html?|log|py|sh|pdf|docx?|xlsx?|png|jpe?g|gif|bmp|tiff?"
    r"|zip|t?gz|tar|7z|bz2|xz|h5|npy|npz|bvals?|bvecs?)$",
    re.IGNORECASE,
)
_NO_SCANS = frozenset(("DICOMDIR", "LOCKFILE", "VERSION", "README", "THUMBS.DB"))


@dataclass(frozen=True, order=True, slots=True)
class DicomFile:
    """Where the bytes of one DICOM file are.

    Attributes:
        path: the file, or the archive that holds it.
        member: its name in the archive; empty if it is in none.
    """

    path: str
    member: str = ""

    @property
    def name(self) -> str:
        """Name without folders."""
        return os.path.basename(self.member or self.path)

    @property
    def folder(self) -> Path:
        """Folder in which it lies; an archive counts as one."""
        return (Path(self.path) / self.member if self.member else Path(self.path)).parent

    def state(self) -> tuple[int, int]:
        """Size in bytes, and time of the last change in nanoseconds; raises OSError."""
        found = os.stat(self.path)
        if not self.member:
            return found.st_size, found.st_mtime_ns
        return size_of(self.path, self.member), found.st_mtime_ns

    def begin(self) -> tuple[str, io.BytesIO]:
        """Why it is no DICOM file, such as ``"is empty"``, or nothing; and its first 16 KiB.

        These hold the header of most images.
        """
        first = io.BytesIO()
        try:
            if not stat.S_ISREG(os.stat(self.path).st_mode):  # a pipe would never end
                return "is not a file", first
            first = io.BytesIO(self.read(0, _FIRST_BYTES))
        except FileNotFoundError:
            return "is a link to a file that is missing", first
        except OSError as error:
            return f"cannot be read: {error.strerror or error}", first
        head = first.getvalue()[:_HEAD_BYTES]
        if not head:
            return "is empty", first
        return ("" if begins_like_dicom(head) else "is not DICOM"), first

    def open(self) -> io.BufferedIOBase:
        """All of it; raises OSError."""
        if self.member:
            return io.BytesIO(read_member(self.path, self.member))
        return open(self.path, "rb")

    def read(self, offset: int, count: int) -> bytearray:
        """`count` bytes from `offset` on, or fewer where it ends before; raises OSError."""
        if self.member:
            return bytearray(read_member(self.path, self.member, offset + count)[offset:])
        buffer = bytearray(count)
        with open(self.path, "rb", buffering=0) as stream:
            stream.seek(offset)
            view, done = memoryview(buffer), 0
            while done < count and (got := stream.readinto(view[done:])):
                done += got
        return buffer[:done] if done < count else buffer


def is_candidate(name: str) -> bool:
    """Whether a file of this name may be DICOM, which often has no suffix or an odd one."""
    hidden = name.startswith(".")
    return not (hidden or name.upper() in _NO_SCANS or _NEVER_DICOM.search(name))


def is_named_dicom(name: str) -> bool:
    """Whether the suffix says that a file is DICOM."""
    return _DICOM_SUFFIX.search(name) is not None


def begins_like_dicom(head: bytes) -> bool:
    """Whether the first 132 bytes are those of a DICOM file, with its preamble or without.

    Without it a file begins with an element of the group 0002 or 0008, as those of old archives
    do (PS3.10 wants the preamble since 1993).
    """
    if head[_MAGIC_OFFSET:_HEAD_BYTES] == _MAGIC:
        return True
    if len(head) < 8:
        return False
    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        group = int.from_bytes(head[:2], order)
        number = int.from_bytes(head[2:4], order)
        if group in _FIRST_GROUPS and number < 0x100:
            explicit = head[4:6].isalpha() and head[4:6].isupper()
            length = int.from_bytes(head[4:8], "little")
            return explicit or (order == "little" and length <= _LONGEST_FIRST_VALUE)
    return False
