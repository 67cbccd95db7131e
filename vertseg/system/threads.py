"""Making items in threads before they are asked for."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def ahead(items: Iterable[_Item], count: int = 2) -> Generator[_Item, None, None]:
    """The same items, of which up to `count` are made in a thread before they are asked for.

    An error of `items` is raised where the item would have come. When the caller stops early, the
    thread ends after the item that it is at.
    """
    made: queue.Queue[tuple[str, _Item | BaseException | None]] = queue.Queue(count)
    stopped = threading.Event()

    def put(kind: str, item: _Item | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return made.put((kind, item), timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put("item", item)
                if stopped.is_set():
                    return
        except BaseException as error:
            put("error", error)
        put("end", None)

    worker = threading.Thread(target=work, name="ahead", daemon=True)
    worker.start()
    try:
        while (got := made.get())[0] == "item":
            yield got[1]  # type: ignore[misc]
        if isinstance(got[1], BaseException):
            raise got[1]
    finally:
        stopped.set()
        worker.join()


def mapped_ahead(
    function: Callable[[_Item], _Made], items: Iterable[_Item], threads: int
) -> Generator[_Made, None, None]:
    """`function` of each item, in order; so many of them at once, and one is ready before.

    An error is raised where the value would have come. When the caller stops early, what has been
    begun is ended and no more is begun.
    """
    pending: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(threads, "ahead") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for begun in pending:
                begun.cancel()


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
