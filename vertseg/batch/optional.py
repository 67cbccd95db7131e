"""Optional outputs: an error in one does not affect the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vertseg.errors import VertsegError

_LOGGER = logging.getLogger(__name__)


@contextmanager
def optional(kind: str, failed: dict[str, str]) -> Iterator[None]:
    """Note an error raised in the block, under the kind of output, and continue after it.

    Args:
        kind: of output, as in a report.
        failed: kind -> what went wrong, a sentence; is added to.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, VertsegError):
            sentence = str(error)
        else:
            sentence = f"an error of the program, {type(error).__name__}: {error}. "
            sentence += "Run with --verbose and report the traceback."
        failed[kind] = f"not written: {kind} ({sentence.rstrip('.')})"
        _LOGGER.error("%s", failed[kind])
        _LOGGER.debug("%s", kind, exc_info=error)
