"""Reading the next scan while the networks run on this one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from vertseg.case import Case
from vertseg.errors import InputError
from vertseg.memory import MemoryShortage, free_bytes
from vertseg.process import Scan, read_scan

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
