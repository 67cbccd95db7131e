"""How long the parts of a work take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Notes the wall-clock seconds of a block as ``seconds[part]``, whether or not it succeeds."""
    begin = time.perf_counter()
    try:
        yield
    finally:
        seconds[part] = time.perf_counter() - begin
