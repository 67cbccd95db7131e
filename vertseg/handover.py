"""Ending one case in another thread while the next one begins."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

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
