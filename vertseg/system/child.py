"""Work on foreign files in a process of its own, so that no file can end or hold up a run.

Libraries in C++ that read foreign formats can be made to crash or to loop for ever by a few damaged
bytes. The process is started when it is first needed, does one job after another, and is replaced
after one that it did not survive. It needs no shared memory, only a socket.
"""

from __future__ import annotations

import atexit
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from vertseg.system.memory import free_bytes

T = TypeVar("T")

_ROOT = Path(__file__).resolve().parents[2]
_TURN = threading.Lock()


class IsolationError(Exception):
    """The process has crashed over a job, or was ended because it took too long; says which."""


def isolated(
    function: Callable[..., Iterable[T]], *arguments: object, seconds: int = 60
) -> Iterator[T]:
    """Yield what `function` yields in the other process; its errors are raised here.

    Args:
        function: of a module's top level; it, its arguments and values can be pickled.
        arguments: for it.
        seconds: of processor time, the most that one value may take; so slow disks and busy
            machines change nothing.

    Raises:
        IsolationError: the process did not survive the job.
    """
    with _TURN:
        worker = _Worker.running()
        finished = False
        try:
            worker.connection.send((function, arguments, seconds))
            while True:
                kind, value = worker.connection.recv()
                finished = kind != "value"
                if kind == "end":
                    return
                if kind == "error":
                    raise value
                yield value
        except (EOFError, ConnectionError) as error:
            raise IsolationError(worker.last_words(seconds)) from error
        finally:
            if not finished:
                worker.stop()


class _Worker:
    """The other process and the line to it."""

    current: _Worker | None = None

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "vertseg.system.child", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C is for the run, which then ends this process
            )
        self.connection = Connection(ours.detach())

    @classmethod
    def running(cls) -> _Worker:
        """The worker that waits for a job; a new one if there is none."""
        if cls.current is None or cls.current._process.poll() is not None:
            cls.stop_current()
            cls.current = cls()
        return cls.current

    @classmethod
    def stop_current(cls) -> None:
        """End the worker, if there is one."""
        if cls.current is not None:
            cls.current.stop()

    def last_words(self, seconds: int) -> str:
        """How it has come to its end."""
        code = self._process.wait()
        if code == -signal.SIGPROF:
            return f"reading it takes more than {seconds} s of processor time"
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the library that reads it has crashed ({name})"

    def stop(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.wait()
        self.connection.close()
        _Worker.current = None


atexit.register(_Worker.stop_current)


def _serve(connection: Connection) -> None:
    """Do jobs until the other side is gone; the system ends this process when one takes long."""
    while True:
        try:
            function, arguments, seconds = connection.recv()
        except EOFError:
            return
        _limit_memory()
        for message in _messages(function, arguments, seconds):
            connection.send(message)


def _messages(
    function: Callable[..., Iterable[Any]], arguments: tuple[Any, ...], seconds: int
) -> Iterator[tuple[str, Any]]:
    _set_timer(seconds)
    try:
        for value in function(*arguments):
            _set_timer(0)
            yield "value", value
            _set_timer(seconds)
        _set_timer(0)
        yield "end", None
    except Exception as error:
        _set_timer(0)
        yield "error", error


def _set_timer(seconds: int) -> None:
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _limit_memory() -> None:
    """Let this process have what is free now, not what others would have to give up."""
    free = free_bytes()
    if free is not None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = pages * resource.getpagesize() + free
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
