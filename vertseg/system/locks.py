"""One run at a time on one case, so that several runs can share an output folder.

The lock is the system's, on a hidden file beside the outputs: it ends with the process, however
that ends. The file itself is removed with the lock, so one that is left tells that a run was
killed in the middle of this case.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from vertseg.errors import OutputError

fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None
"""Absent on Windows."""

_LOGGER = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)

_LONGEST_NOTE = 1 << 12

State = Literal["free", "left", "busy"]
"""``free``: nobody was here; ``left``: a run was killed here; ``busy``: another run is here."""


class Lock:
    """The lock of one case or file; may be acquired in one thread and released in another.

    On a file system that has no locks it is held without one, and a warning says so once.

    Args:
        path: the lock's file; missing folders are made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read_note(self) -> str:
        """What was last noted in the file, also by a run that was killed; empty without a lock."""
        if self._descriptor is None:
            return ""
        return os.pread(self._descriptor, _LONGEST_NOTE, 0).decode("utf-8", errors="replace")

    def write_note(self, text: str) -> None:
        """Note something for whoever finds the file left; errors in writing are ignored."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, text.encode()[:_LONGEST_NOTE], 0)

    def was_left(self) -> bool:
        """Whether its file is there, so that a run holds it or was killed while it did."""
        return self._path.exists()

    def acquire(self, wait: bool = True) -> State:
        """Take the lock, unless the state says that another run holds it.

        Args:
            wait: until another run lets go, so that the state is never ``busy``.

        Raises:
            OutputError: the file cannot be made.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor, state = _acquire(self._path, wait)
        except OSError as error:
            what = f"cannot be written: {error.strerror or error}"
            remedy = "Make the output folder writable for this user."
            raise OutputError(what, str(self._path), remedy=remedy) from error
        return state

    def release(self, keep_file: bool = False) -> None:
        """Release it, if it is held.

        Args:
            keep_file: which a killed run has left, for whoever comes later.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if fcntl is None:  # an open file cannot be removed there
            os.close(descriptor)
        if not keep_file:
            with suppress(OSError):
                self._path.unlink()
        if fcntl is not None:
            os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[State]:
    """Hold a lock while the block runs; yields its state when it was taken, see `Lock`."""
    lock = Lock(path)
    state = lock.acquire()
    try:
        yield state
    finally:
        lock.release()


def _acquire(path: Path, wait: bool) -> tuple[int | None, State]:
    while True:
        state: State = "left" if path.exists() else "free"
        # For writing, too: NFS makes it a lock on bytes, which only a writer may hold alone.
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            _flock(descriptor, wait)
        except BlockingIOError:
            os.close(descriptor)
            return None, "busy"
        except BaseException:
            os.close(descriptor)
            raise
        if _is_still(path, descriptor):
            return descriptor, state
        os.close(descriptor)  # its holder has removed the file: once more, with a new one


def _flock(descriptor: int, wait: bool) -> None:
    """Lock; raises BlockingIOError where it must not wait and would have to."""
    if fcntl is None:
        _lock_first_byte(descriptor, wait)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _warn_once()


def _lock_first_byte(descriptor: int, wait: bool) -> None:
    """The same by the means of Windows, which gives up waiting after ten seconds."""
    import msvcrt

    windows: Any = msvcrt
    while True:
        try:
            windows.locking(descriptor, windows.LK_LOCK if wait else windows.LK_NBLCK, 1)
            return
        except OSError as error:
            if not wait:
                raise BlockingIOError(*error.args) from error


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
