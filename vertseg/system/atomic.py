"""Whole outputs or none: every file is written beside its place and then renamed."""

from __future__ import annotations

import errno
import json
import os
import secrets
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from vertseg.errors import OutputError

PathLike = str | os.PathLike[str]

_REMEDIES = {
    errno.ENOSPC: "Free some space on the disk and run again.",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f) and run again.",
    errno.EDQUOT: "Free some of your quota and run again.",
    errno.EACCES: "Make the output folder writable for this user.",
    errno.EPERM: "Make the output folder writable for this user.",
    errno.EROFS: "Mount the output folder writable.",
    errno.ENAMETOOLONG: "Shorten the name of the input file.",
}


@contextmanager
def atomic_writer(path: PathLike) -> Iterator[IO[bytes]]:
    """Open a binary file that appears under its name only when the block ends without an error.

    Missing folders are made. The unfinished file lies beside its place, hidden, with the suffix
    ``.part``; it is removed when the block raises.

    Raises:
        OutputError: the file cannot be written; no partial file is left.
    """
    target = Path(path)
    partial = target.with_name(f"{_partial_prefix(target)}{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, target)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        raise OutputError(what, str(target), remedy=remedy_for(error)) from error


def remedy_for(error: OSError) -> str:
    """What the user can do where a file cannot be written; empty if unknown."""
    return _REMEDIES.get(error.errno or 0, "")


def discard_partials(path: PathLike) -> None:
    """Remove unfinished files of an output that killed runs have left; no run may be at it."""
    target = Path(path)
    with suppress(OSError):
        for name in os.listdir(target.parent):
            if name.startswith(_partial_prefix(target)) and name.endswith(".part"):
                (target.parent / name).unlink(missing_ok=True)


def _partial_prefix(target: Path) -> str:
    """Tells whose unfinished file it is, without being longer than the target's own name may be."""
    return f".{zlib.crc32(os.fsencode(target.name)):08x}-"


def write_text(path: PathLike, text: str) -> None:
    """Write UTF-8 text atomically; raises OutputError."""
    with atomic_writer(path) as stream:
        # Names of files may hold bytes that are not UTF-8; they are written as escapes.
        stream.write(text.encode("utf-8", errors="backslashreplace"))


def write_json(path: PathLike, payload: Any, indent: int | None = 2) -> None:
    """Write JSON atomically; NaN is refused (ValueError), disk trouble is OutputError."""
    text = json.dumps(payload, indent=indent, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")
