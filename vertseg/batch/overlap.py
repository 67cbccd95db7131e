"""Reading the next scan while the networks run on this one.

Ending one case in another thread while the next one begins.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

from vertseg.batch.one_case import Scan, read_scan
from vertseg.errors import InputError
from vertseg.io.case import Case
from vertseg.system.memory import MemoryShortage, free_bytes

_ROOM = 16
"""So many times the size of its files must be free for a scan to be read ahead: packed scans grow
to about three times their size, and the scan at hand needs its memory, too."""


class ReadAhead:
    """Reads one scan while another one is worked on.

    What there was no memory for beside the other scan is read again in its turn.

    Args:
        force: see `read_scan`.
    """

    def __init__(self, force: bool) -> None:
        self._force = force
        self._pool = ThreadPoolExecutor(1, "read")
        self._begun: dict[str, Future[Scan]] = {}

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._begun.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def begin(self, case: Case) -> None:
        """Begin to read, if there is room; what was begun before and not taken is dropped."""
        self._begun.clear()
        if _has_room(case):
            self._begun[case.name] = self._pool.submit(read_scan, case, self._force)

    def take(self, case: Case) -> Scan:
        """The scan, read before or now; raises what `read_scan` raises."""
        begun = self._begun.pop(case.name, None)
        if begun is None:
            return read_scan(case, self._force)
        try:
            return begun.result()
        except (MemoryShortage, MemoryError):
            return read_scan(case, self._force)


def _has_room(case: Case) -> bool:
    free = free_bytes()
    try:
        size = sum(path.stat().st_size for path in case.files)
    except (OSError, InputError):  # is said when its turn comes
        return False
    return free is None or free > _ROOM * size


_Value = TypeVar("_Value")

Steps = Generator[None, None, _Value]
"""Work in two parts: what follows its first ``yield`` may be run in another thread."""


class Handover:
    """Runs the first parts in the caller's thread and the second ones in another, in order.

    At most one second part is under way; on leaving, its end is waited for. What it raises is
    raised in the caller's thread, later.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "write")
        self._last: Future[bool] | None = None

    def __enter__(self) -> Handover:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        if error is None:
            self._wait()

    def run(self, steps: Steps[bool]) -> bool:
        """What `steps` returns if it ends in its first part; True if it is handed over."""
        try:
            next(steps)
        except StopIteration as end:
            return bool(end.value)
        self._wait()
        self._last = self._pool.submit(_run_on, steps)
        return True

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()


def _run_on(steps: Steps[bool]) -> bool:
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return bool(end.value)
