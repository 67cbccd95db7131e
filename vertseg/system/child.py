"""Work on foreign files in a process of its own, so that no file can end or hold up a run.

Libraries in C++ that read foreign formats can be made to crash or to loop for ever by a few damaged
bytes. The process is started when it is first needed, does one job after another, and is replaced
after one that it did not survive. Jobs of several threads are done at once, by as many processes,
of which one is kept. They need no shared memory, only a socket.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from vertseg.system.memory import free_bytes

T = TypeVar("T")

_LAST_SECONDS = 5

_ROOT = Path(__file__).resolve().parents[2]
_LOCK = threading.Lock()

PATIENCE_SECONDS = 540
"""Seconds that a value may take by the clock beyond the limit of processor time."""


class IsolationError(Exception):
    """The process has crashed over a job, or was ended because it took too long; says which."""


def isolated(
    function: Callable[..., Iterable[T]],
    *arguments: object,
    seconds: int = 60,
    patience: int = PATIENCE_SECONDS,
) -> Iterator[T]:
    """Yield what `function` yields in the other process; its errors are raised here.

    Args:
        function: of a module's top level; it, its arguments and values can be pickled.
        arguments: for it.
        seconds: of processor time that one value may take at most.
        patience: seconds that it may take by the clock beyond them, on slow disks and busy
            machines.

    Raises:
        IsolationError: the process did not survive the job.
    """
    worker = _Worker.running()
    finished = False
    try:
        worker.connection.send((function, arguments, (seconds, seconds + patience)))
        while True:
            kind, value = worker.connection.recv()
            finished = kind != "value"
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    except (EOFError, ConnectionError) as error:
        raise IsolationError(worker.last_words(seconds, seconds + patience)) from error
    finally:
        if finished:
            worker.wait_for_more()
        else:
            worker.stop()


def abandon() -> None:
    """End the jobs that are under way; whoever waits for one gets an error."""
    _Worker.stop_all()


class _Worker:
    """The other process and the line to it."""

    waiting: _Worker | None = None
    alive: set[_Worker] = set()

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        ends, self._lifeline = os.pipe()
        self._ending, self._ended = threading.Lock(), False
        descriptors = (theirs.fileno(), ends)
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with theirs, open(ends, "rb"):
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "vertseg.system.child", *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C is for the run, which then ends this process
            )
        self.connection = Connection(ours.detach())
        with _LOCK:
            _Worker.alive.add(self)

    @classmethod
    def running(cls) -> _Worker:
        """The worker that waits for a job; a new one if there is none."""
        with _LOCK:
            worker, cls.waiting = cls.waiting, None
        if worker is not None and worker._process.poll() is None:
            return worker
        if worker is not None:
            worker.stop()
        return cls()

    def wait_for_more(self) -> None:
        """Wait for the next job, unless another one does."""
        with _LOCK:
            if _Worker.waiting is None:
                _Worker.waiting = self
                return
        self.stop()

    @classmethod
    def stop_all(cls) -> None:
        """End all workers, whatever they are doing."""
        for worker in list(cls.alive):
            worker.stop()

    def last_words(self, processor_seconds: int, seconds: int) -> str:
        """Why the process ended."""
        code = self._process.wait()
        if code == -signal.SIGPROF:
            return f"reading it takes more than {processor_seconds} s of processor time"
        if code == -signal.SIGALRM:
            return f"reading it takes more than {seconds} s"
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the library that reads it has crashed ({name})"

    def stop(self) -> None:
        """End it, whatever it is doing; once."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
        with _LOCK:
            _Worker.alive.discard(self)
            if _Worker.waiting is self:
                _Worker.waiting = None
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):  # a dead disk holds even a killed process
            self._process.wait(_LAST_SECONDS)
        self.connection.close()
        os.close(self._lifeline)


atexit.register(_Worker.stop_all)


def _serve(connection: Connection) -> None:
    """Do jobs until the other side is gone; the system ends this process when one takes long."""
    while True:
        try:
            function, arguments, limits = connection.recv()
        except EOFError:
            return
        _limit_memory()
        for message in _messages(function, arguments, limits):
            connection.send(message)


def _messages(
    function: Callable[..., Iterable[Any]], arguments: tuple[Any, ...], limits: tuple[int, int]
) -> Iterator[tuple[str, Any]]:
    _set_timers(*limits)
    try:
        for value in function(*arguments):
            _set_timers(0, 0)
            yield "value", value
            _set_timers(*limits)
        _set_timers(0, 0)
        yield "end", None
    except Exception as error:
        _set_timers(0, 0)
        yield "error", error


def _set_timers(processor_seconds: int, seconds: int) -> None:
    """Let the system end this process after so much time; 0 stops a clock."""
    signal.setitimer(signal.ITIMER_PROF, processor_seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _end_with(lifeline: int) -> None:
    """Let the system end this process when the other end of a pipe closes, whatever it is doing.

    No thread could: a library that loops for ever may never let Python run.
    """
    import fcntl  # only Unix has it

    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # closed before anybody listened
        sys.exit()


def _limit_memory() -> None:
    """Let this process have what is free now, not what others would have to give up."""
    import resource  # only Unix has it

    free = free_bytes()
    if free is not None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = pages * resource.getpagesize() + free
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


if __name__ == "__main__":
    _end_with(int(sys.argv[2]))
    _serve(Connection(int(sys.argv[1])))
