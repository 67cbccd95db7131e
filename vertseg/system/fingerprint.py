"""Telling whether a file is still the one that was processed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vertseg.errors import InputError

PathLike = str | os.PathLike[str]

_LARGEST_FILE_BYTES = 16 << 30  # more than any volume that is accepted


@dataclass(frozen=True)
class Fingerprint:
    """Identity of the content of a file, or of several that belong together.

    Attributes:
        bytes: size of all.
        modified_ns: time of the last change of any, nanoseconds since 1970.
        sha256: of the content, as hexadecimal digits; of several files, of their digits in turn.
    """

    bytes: int
    modified_ns: int
    sha256: str

    @classmethod
    def of(cls, *paths: PathLike) -> Fingerprint:
        """Fingerprint of one file or several; raises InputError if one cannot be read."""
        try:
            return cls(*_state(paths), _sha256_of_all(paths))
        except OSError as error:
            where = str(error.filename or paths[0])
            raise InputError(f"cannot be read: {error.strerror or error}", where) from error

    def still_fits(self, *paths: PathLike) -> bool:
        """Whether size and time of change are still the same; False if a file is gone."""
        try:
            return _state(paths) == (self.bytes, self.modified_ns)
        except OSError:
            return False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, as hexadecimal digits.

    Raises:
        OSError: it cannot be read, is a pipe or a device, which may never end, or is far too large.
    """
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "is not a file")
    if state.st_size > _LARGEST_FILE_BYTES:
        what = f"its {state.st_size / 2**30:.0f} GiB are more than any scan takes"
        raise OSError(errno.EFBIG, what)
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sha256_of_all(paths: Sequence[PathLike]) -> str:
    if len(paths) == 1:
        return sha256_of(paths[0])
    return hashlib.sha256("".join(map(sha256_of, paths)).encode()).hexdigest()


def _state(paths: Sequence[PathLike]) -> tuple[int, int]:
    """Size of all files, and the time of the last change of any; raises OSError."""
    states = [os.stat(path) for path in paths]
    return sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)


def is_same_file(path: PathLike, recorded: Any) -> bool:
    """Whether a file is the one of a recorded fingerprint, see `are_same_files`."""
    return are_same_files((path,), recorded)


def are_same_files(paths: Sequence[PathLike], recorded: Any) -> bool:
    """Whether files are those of a recorded fingerprint.

    Size and time of change decide if both agree, otherwise the content: a copy is the same file.

    Args:
        paths: the files as they are now.
        recorded: `Fingerprint.as_dict` as read from a report; nonsense is never the same.
    """
    if not isinstance(recorded, dict):
        return False
    try:
        size, modified_ns = _state(paths)
        if size != recorded.get("bytes"):
            return False
        same_time = modified_ns == recorded.get("modified_ns")
        return same_time or _sha256_of_all(paths) == recorded.get("sha256")
    except OSError:
        return False
