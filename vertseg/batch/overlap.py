"""Preparing the next scan and writing the last one while this one is segmented."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from vertseg.batch.case_job import CaseJob, OnProgress
from vertseg.batch.scan import Scan
from vertseg.errors import InputError
from vertseg.io.case import Case
from vertseg.stages import Stage
from vertseg.system.child import abandon
from vertseg.system.memory import MemoryShortage, free_bytes

if TYPE_CHECKING:
    from vertseg.stages.segmenter import Segmenter

_ROOM = 16
"""So many times the size of its files must be free for a scan to be read ahead: packed scans grow
to about three times their size, and the current scan needs its memory, too."""


class ReadAhead:
    """Reads the scan of one job, and finds its vertebrae, while another one is segmented.

    A scan that did not fit into memory beside the other one is read again in its turn, and so are
    vertebrae found that could not be found before, whatever the reason.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "read")
        self._begun: tuple[CaseJob, Future[Scan]] | None = None
        self._is_over = False

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._begun, self._is_over = None, True
        self._pool.shutdown(wait=False, cancel_futures=True)
        abandon()  # or the end of the program would wait for a scan that nobody needs

    @property
    def is_reading(self) -> bool:
        """Whether reading has started and the scan has not been taken."""
        return self._begun is not None

    def begin(self, job: CaseJob, segmenter: Segmenter | None = None) -> None:
        """Start reading, if there is room; a scan started before and not taken is dropped.

        Args:
            job: whose scan is read.
            segmenter: looks for its vertebrae, if there is still room.
        """
        self._begun = None
        if _has_room(job.case) and job.reserve():
            self._begun = (job, self._pool.submit(self._prepare, job, segmenter))

    def take(self, job: CaseJob) -> Scan:
        """The scan, read before or now; raises what `CaseJob.read` raises."""
        begun, self._begun = self._begun, None
        if begun is None or begun[0] is not job:
            return job.read()
        try:
            return begun[1].result()
        except (MemoryShortage, MemoryError):
            return job.read()

    def _prepare(self, job: CaseJob, segmenter: Segmenter | None) -> Scan:
        scan = job.read()
        if segmenter is None or not _has_room(job.case):
            return scan
        with suppress(Exception):  # which comes again in its turn, and is reported then
            return replace(scan, found=job.locate(scan, segmenter, self._check))
        return scan

    def _check(self, *_: object) -> None:
        """Progress of a search, which ends here when the run does."""
        if self._is_over:
            raise CancelledError


def _has_room(case: Case) -> bool:
    free = free_bytes()
    try:
        size = sum(path.stat().st_size for path in case.files)
    except (OSError, InputError):  # is said when its turn comes
        return False
    return free is None or free > _ROOM * size


class Relay:
    """Segments one scan after another; the next may begin while one is at its last vertebra.

    One crop keeps half of the cores busy, and what follows the networks one of them.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2, "segment")
        self._is_over = False

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._pool.shutdown()

    def begin(self, compute: Callable[[OnProgress], None], on_progress: OnProgress) -> Future[None]:
        """Start, and wait until the last vertebra is under way.

        On leaving, what has come so far is completed, and all else is given up.

        Args:
            compute: gets the function that it calls with stage, steps done and steps in all.
            on_progress: called with the same.
        """
        may_go_on = threading.Event()

        def follow(stage: str, done: int, total: int) -> None:
            if self._is_over and not may_go_on.is_set():
                raise CancelledError
            on_progress(stage, done, total)
            if stage == Stage.SEGMENTATION and done >= total - 1:
                may_go_on.set()

        computed = self._pool.submit(compute, follow)
        computed.add_done_callback(lambda _: may_go_on.set())
        may_go_on.wait()
        return computed


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
