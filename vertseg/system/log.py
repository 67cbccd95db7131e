"""What a run prints while it works: lines for every case, and progress bars on a terminal."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from vertseg.errors import printable
from vertseg.system.libraries import keep_to_ourselves
from vertseg.system.streams import silence

if TYPE_CHECKING:
    pass

_LOGGER = logging.getLogger(__name__)
_CASES = "{percentage:3.0f}% |{bar:24}| {n_fmt}/{total_fmt} scans [{elapsed}<{remaining}]"
_STAGES = "     |{bar:24}| {desc}: {n_fmt}/{total_fmt}"


def say(text: str) -> None:
    """Print to standard output; the run continues if nobody reads it any more."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        print(text.encode(encoding, errors="backslashreplace").decode(encoding), flush=True)
    except (OSError, ValueError):  # a closed pipe, a full disk
        silence(sys.stdout)


class Progress:
    """Two bars on the terminal, one over the cases and one over the steps of a stage.

    Where standard error is not a terminal, or several processes share it, nothing is drawn.

    Args:
        total: number of cases.
    """

    def __init__(self, total: int) -> None:
        hidden = not sys.stderr.isatty() or multiprocessing.parent_process() is not None
        self._cases = tqdm(total=total, bar_format=_CASES, disable=hidden, dynamic_ncols=True)
        self._stage = tqdm(
            total=1, bar_format=_STAGES, disable=hidden, position=1, leave=False, dynamic_ncols=True
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._stage.close()
        self._cases.close()

    def start(self, case: str) -> None:
        """A case begins."""
        _LOGGER.debug("%s: begins", case, extra=event("start", case=case))

    def stage(self, case: str, stage: str, done: int, total: int) -> None:
        """Steps of a stage of a case are done."""
        self._stage.set_description_str(f"{case}: {stage}", refresh=False)
        self._stage.total = max(total, 1)
        self._stage.n = done
        self._stage.refresh()
        told = event("stage", case=case, stage=stage, done=done, total=total)
        _LOGGER.debug("%s: %s %d/%d", case, stage, done, total, extra=told)

    def finish(self) -> None:
        """A case is done, left out or failed."""
        self._cases.update()


def event(name: str, **values: Any) -> dict[str, Any]:
    """What a log line says to programs, as ``extra`` of a call of a logger.

    Args:
        name: of the kind of event.
        values: case, stage, done, total, seconds, code ...; plain values.
    """
    return {"event": {"event": name, **values}}


class JsonFormatter(logging.Formatter):
    """One JSON object per line, for programs that follow a run.

    Each has ``time``, ``level``, ``message`` and ``event``: ``start``, ``stage`` (with ``case``,
    ``stage``, ``done``, ``total``), ``done`` (``case``, ``seconds``), ``complete``, ``put_off``,
    ``failed`` (``case``, ``code``, ``error``), or ``log`` for all else.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": "log"}
        line |= getattr(record, "event", {})
        line["message"] = record.getMessage()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True)


class TqdmHandler(logging.Handler):
    """Log lines to standard error above the bars instead of through them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            lines = map(printable, self.format(record).split("\n"))
            tqdm.write("\n".join(lines), file=sys.stderr)
        except (OSError, ValueError):  # a log line that nobody reads never ends a run
            silence(sys.stderr)


def set_up_logging(verbose: bool, prefix: str = "", as_json: bool = False) -> None:
    """Log to standard error; quieten the libraries, whose lines would drown the program's.

    Args:
        verbose: log details, and where libraries warn of something.
        prefix: of every line.
        as_json: one JSON object per line, see `JsonFormatter`, the steps of stages included.
    """

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if verbose else "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    logger = logging.getLogger("vertseg")
    handler = TqdmHandler()
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter(f"{prefix}%(message)s"))
    level = logging.DEBUG if verbose else logging.INFO
    handler.addFilter(lambda r: r.levelno >= level or (as_json and hasattr(r, "event")))
    logger.handlers[:] = [handler]
    logger.propagate = False  # libraries put handlers on the root
    logger.setLevel(logging.DEBUG if as_json else level)
    keep_to_ourselves()
