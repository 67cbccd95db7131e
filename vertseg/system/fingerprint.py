"""Telling whether a file is still the one that was processed."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from vertseg.errors import InputError

PathLike = str | os.PathLike[str]

_COARSEST_CLOCK_NS = 2_000_000_000  # of a file system, FAT
_LARGEST_FILE_BYTES = 16 << 30  # more than any volume that is accepted


class FingerprintRecord(TypedDict):
    """A fingerprint in JSON, see `Fingerprint`."""

    bytes: int
    modified_ns: int
    sha256: str
    stamp: str


@dataclass(frozen=True)
class Fingerprint:
    """Identity of the content of a file, or of several that belong together.

    Attributes:
        bytes: size of all.
        modified_ns: time of the last change of any, nanoseconds since 1970.
        sha256: of the content, as hexadecimal digits; of several files, of their digits in turn.
        stamp: hash of what the file system says of each file. The same stamp means the same
            content without reading it; empty where the files were too new to be sure.
    """

    bytes: int
    modified_ns: int
    sha256: str
    stamp: str = ""

    @classmethod
    def of(cls, *paths: PathLike) -> Fingerprint:
        """Fingerprint of one file or several; raises InputError if one cannot be read."""
        try:
            begun_ns, states = time.time_ns(), _states(paths)
            content = sha256_of_all(paths)
        except OSError as error:
            where = str(error.filename or paths[0])
            raise InputError(f"cannot be read: {error.strerror or error}", where) from error
        size, modified_ns = _summed(states)
        newest_ns = max(max(state.st_mtime_ns, state.st_ctime_ns) for state in states)
        settled = begun_ns - newest_ns > _COARSEST_CLOCK_NS
        return cls(size, modified_ns, content, _stamp(states) if settled else "")

    def still_fits(self, *paths: PathLike) -> bool:
        """Whether size and time of change are still the same; False if a file is gone."""
        try:
            return _summed(_states(paths)) == (self.bytes, self.modified_ns)
        except OSError:
            return False

    def as_dict(self) -> FingerprintRecord:
        """For JSON."""
        return {
            "bytes": self.bytes,
            "modified_ns": self.modified_ns,
            "sha256": self.sha256,
            "stamp": self.stamp,
        }


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's content, as hexadecimal digits.

    Raises:
        OSError: it cannot be read, is a pipe or a device, which may never end, or is far too large.
    """
    state = os.stat(path)
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "is not a file")
    if state.st_size > _LARGEST_FILE_BYTES:
        what = f"its {state.st_size / 2**30:.0f} GiB are more than any scan has"
        raise OSError(errno.EFBIG, what)
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_all(paths: Sequence[PathLike]) -> str:
    """That of one file, or of the digits of several in turn; raises OSError."""
    if len(paths) == 1:
        return sha256_of(paths[0])
    return hashlib.sha256("".join(map(sha256_of, paths)).encode()).hexdigest()


def _states(paths: Sequence[PathLike]) -> list[os.stat_result]:
    return [os.stat(path) for path in paths]


def _summed(states: Sequence[os.stat_result]) -> tuple[int, int]:
    """Size of all files, and the time of the last change of any."""
    return sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)


def _stamp(states: Sequence[os.stat_result]) -> str:
    """Changes with any change of a file: no program can set the time of change of an inode."""
    told = [(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for s in states]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


def is_same_file(path: PathLike, recorded: Any) -> bool:
    """Whether a file is the one of a recorded fingerprint, see `are_same_files`."""
    try:
        return are_same_files((path,), recorded)
    except OSError:
        return False


def are_same_files(paths: Sequence[PathLike], recorded: Any) -> bool:
    """Whether files have the content of a recorded fingerprint.

    The stamp decides where it is the same, otherwise the content: a copy is the same file, and
    another content is another file even if its size and time are the same.

    Args:
        paths: the files as they are now.
        recorded: `Fingerprint.as_dict` as read from a report; an invalid one is never the same.

    Raises:
        OSError: one of them cannot be read, so that the answer is unknown.
    """
    states = _states(paths)
    if not isinstance(recorded, dict) or _summed(states)[0] != recorded.get("bytes"):
        return False
    if _stamp(states) == recorded.get("stamp"):
        return True
    return sha256_of_all(paths) == recorded.get("sha256")
