"""One run at a time on one case, so that several runs can share an output folder.

The lock is the system's, on a hidden file beside the outputs: it ends with the process, however
that ends. The file itself is removed with the lock, so one that is left tells that a run was
killed in the middle of this case.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

from vertseg.errors import OutputError

_LOGGER = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)

State = Literal["free", "left", "busy"]
"""``free``: nobody was here; ``left``: a run was killed here; ``busy``: another run is here."""


@contextmanager
def locked(path: Path, wait: bool = True, keep_if_left: bool = False) -> Iterator[State]:
    """Hold a lock while the block runs, unless the state says that another run holds it.

    On a file system that has no locks the block runs without one, and a warning says so once.

    Args:
        path: the lock's file; missing folders are made.
        wait: until another run lets go, so that the state is never ``busy``.
        keep_if_left: keep a file that a killed run has left, for whoever comes later.

    Raises:
        OutputError: the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, state = _acquire(path, wait)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        remedy = "Make the output folder writable for this user."
        raise OutputError(what, str(path), remedy=remedy) from error
    try:
        yield state
    finally:
        if state == "free" or (state == "left" and not keep_if_left):
            with suppress(OSError):
                path.unlink()
        os.close(descriptor)


def _acquire(path: Path, wait: bool) -> tuple[int, State]:
    while True:
        state: State = "left" if path.exists() else "free"
        # For writing, too: NFS makes it a lock on bytes, which only a writer may hold alone.
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            _flock(descriptor, wait)
        except BlockingIOError:
            return descriptor, "busy"
        except BaseException:
            os.close(descriptor)
            raise
        if _is_still(path, descriptor):
            return descriptor, state
        os.close(descriptor)  # its holder has removed the file: once more, with a new one


def _flock(descriptor: int, wait: bool) -> None:
    """Lock; raises BlockingIOError where it must not wait and would have to."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _warn_once()


@lru_cache(maxsize=1)
def _warn_once() -> None:
    _LOGGER.warning(
        "The file system of the output folder has no locks. "
        "Let only one run at a time write to it, or give each its own --shard."
    )


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
