"""What other packages would print: it may quote a header, and with it the patient's name.

Nor would it be a line of JSON where a program follows the log. So neither their warnings nor their
log lines reach standard error; with ``--verbose``, a line of the program says where one was raised.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import PurePath
from typing import Any

_LOGGER = logging.getLogger(__name__)
_OWN_HANDLERS = ("nibabel.global", "tensorflow")
"""Loggers of packages that write to standard error by themselves."""


def keep_to_ourselves() -> None:
    """Keep warnings and log lines of all packages off standard error, from now on."""
    warnings.showwarning = _note_warning
    logging.lastResort = _NoteRecord(logging.WARNING)
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _Divert) for one in logger.filters):
            logger.addFilter(_Divert())


class _NoteRecord(logging.Handler):
    """Notes where a package has logged something, not what."""

    def emit(self, record: logging.LogRecord) -> None:
        """Note a record."""
        _note(record.levelname.lower(), record.pathname, record.lineno)


class _Divert(logging.Filter):
    """Notes the records of a logger in place of its own handlers."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Note a record, and stop it."""
        if record.levelno >= logging.WARNING:
            _note(record.levelname.lower(), record.pathname, record.lineno)
        return False


def _note_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any, **__: Any
) -> None:
    _note(category.__name__, filename, lineno)


def _note(kind: str, file: str, line: int) -> None:
    where = "/".join(PurePath(file).parts[-2:])
    _LOGGER.debug("%s, line %d: %s; its text may quote the scan's header", where, line, kind)
