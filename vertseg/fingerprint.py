"""Telling whether a file is still the one that was processed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from typing import Any

from vertseg.errors import InputError


@dataclass(frozen=True)
class Fingerprint:
    """Identity of a file's content.

    Attributes:
        bytes: size.
        modified_ns: time of the last change, nanoseconds since 1970.
        sha256: of the content, as hexadecimal digits.
    """

    bytes: int
    modified_ns: int
    sha256: str

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Fingerprint:
        """Fingerprint of a file; raises InputError if it cannot be read."""
        try:
            state = os.stat(path)
            return cls(state.st_size, state.st_mtime_ns, sha256_of(path))
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", str(path)) from error

    def still_fits(self, path: str | os.PathLike[str]) -> bool:
        """Whether size and time of change are still the same; False if the file is gone."""
        try:
            state = os.stat(path)
        except OSError:
            return False
        return (state.st_size, state.st_mtime_ns) == (self.bytes, self.modified_ns)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, as hexadecimal digits; raises OSError."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_same_file(path: str | os.PathLike[str], recorded: Any) -> bool:
    """Whether a file is the one of a recorded fingerprint.

    Size and time of change decide if both agree, otherwise the content: a copy is the same file.

    Args:
        path: the file as it is now.
        recorded: `Fingerprint.as_dict` as read from a report; nonsense is never the same.
    """
    if not isinstance(recorded, dict):
        return False
    try:
        state = os.stat(path)
        if state.st_size != recorded.get("bytes"):
            return False
        same_time = state.st_mtime_ns == recorded.get("modified_ns")
        return same_time or sha256_of(path) == recorded.get("sha256")
    except OSError:
        return False
