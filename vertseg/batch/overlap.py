"""Reading the next scan and writing the last one while the networks run on this one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from vertseg.batch.case_job import CaseJob
from vertseg.batch.scan import Scan
from vertseg.errors import InputError
from vertseg.io.case import Case
from vertseg.system.child import abandon
from vertseg.system.memory import MemoryShortage, free_bytes

_ROOM = 16
"""So many times the size of its files must be free for a scan to be read ahead: packed scans grow
to about three times their size, and the current scan needs its memory, too."""


class ReadAhead:
    """Reads the scan of one job while another one is worked on.

    A scan that did not fit into memory beside the other one is read again in its turn.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "read")
        self._begun: tuple[CaseJob, Future[Scan]] | None = None

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._begun = None
        self._pool.shutdown(wait=False, cancel_futures=True)
        abandon()  # or the end of the program would wait for a scan that nobody needs

    @property
    def is_reading(self) -> bool:
        """Whether reading has started and the scan has not been taken."""
        return self._begun is not None

    def begin(self, job: CaseJob) -> None:
        """Start reading, if there is room; a scan started before and not taken is dropped."""
        self._begun = None
        if _has_room(job.case) and job.reserve():
            self._begun = (job, self._pool.submit(job.read))

    def take(self, job: CaseJob) -> Scan:
        """The scan, read before or now; raises what `CaseJob.read` raises."""
        begun, self._begun = self._begun, None
        if begun is None or begun[0] is not job:
            return job.read()
        try:
            return begun[1].result()
        except (MemoryShortage, MemoryError):
            return job.read()


def _has_room(case: Case) -> bool:
    free = free_bytes()
    try:
        size = sum(path.stat().st_size for path in case.files)
    except (OSError, InputError):  # is said when its turn comes
        return False
    return free is None or free > _ROOM * size


class WriteBehind:
    """Runs the last part of a job in another thread while the next job is worked on.

    At most one is under way; on leaving, its end is waited for. What it raises is raised in the
    caller's thread, later.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "write")
        self._last: Future[None] | None = None

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()
        if kind is None:
            self.wait()

    def begin(self, work: Callable[[], None]) -> None:
        """Hand over some work, once the last one has ended."""
        self.wait()
        self._last = self._pool.submit(work)

    def wait(self) -> None:
        """Wait until nothing is under way."""
        last, self._last = self._last, None
        if last is not None:
            last.result()
