"""Files in zip archives, read without unpacking the archive to a disk."""

from __future__ import annotations

import errno
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import PurePosixPath

_LARGEST_MEMBER_BYTES = 4 << 30
_OF_MACOS = "__MACOSX/"
_MAGIC = b"PK\x03\x04"


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether a file is named like a zip archive and begins like one; raises OSError."""
    if not os.fspath(path).lower().endswith(".zip") or not os.path.isfile(path):
        return False
    with open(path, "rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def members_of(path: str) -> list[str]:
    """Names of the files in an archive.

    Raises:
        OSError: it is damaged, needs a password, or names files outside of itself.
    """
    with _as_os_error():
        found = _opened(path).infolist()
        if any(info.flag_bits & 1 for info in found):
            raise OSError(errno.EACCES, "needs a password")
    names = [info.filename for info in found if not info.is_dir()]
    if any(name.startswith("/") or ".." in PurePosixPath(name).parts for name in names):
        raise OSError(errno.EINVAL, "names files outside of itself")
    return [name for name in names if not name.startswith(_OF_MACOS)]


def size_of(path: str, member: str) -> int:
    """Bytes of a file in an archive when it is unpacked; raises OSError."""
    with _as_os_error():
        return _opened(path).getinfo(member).file_size


def read_member(path: str, member: str, count: int | None = None) -> bytes:
    """The first `count` bytes of a file in an archive, or all of them; raises OSError."""
    with _as_os_error():
        archive = _opened(path)
        wanted = min(count or _LARGEST_MEMBER_BYTES, archive.getinfo(member).file_size)
        if wanted > _LARGEST_MEMBER_BYTES:
            raise OSError(errno.EFBIG, "is larger than any scan")
        with archive.open(member) as stream:
            return stream.read(wanted)


def _opened(path: str) -> zipfile.ZipFile:
    found = os.stat(path)
    return _kept(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _kept(path: str, modified_ns: int, size: int) -> zipfile.ZipFile:
    """An open archive; the list of its files is read once."""
    return zipfile.ZipFile(path)


@contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, UnicodeError) as error:
        raise OSError(errno.EIO, "is damaged") from error
    except (NotImplementedError, RuntimeError) as error:
        raise OSError(errno.ENOTSUP, "is packed in an unknown way") from error
