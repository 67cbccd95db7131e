"""Stopping cleanly when the system or the user asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Stopped(BaseException):
    """A signal asked the program to stop; not an Exception, so that no `except Exception` stops it.

    Attributes:
        exit_code: by convention 128 and the number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise `Stopped` on Ctrl-C and SIGTERM within the block; a second one ends the process.

    Outside the main thread nothing is changed: signals do not arrive there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, _known(handler))


@contextmanager
def note_signals() -> Iterator[list[int]]:
    """Note Ctrl-C and SIGTERM within the block instead of raising; a second one ends the process.

    Yields:
        The numbers of the signals that have come. Outside the main thread none ever comes.
    """
    seen: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        seen.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, _known(handler))


def _stop(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise Stopped(number)


def _known(handler: Any) -> Any:
    return signal.SIG_DFL if handler is None else handler
