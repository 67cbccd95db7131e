"""The jobs of a run one after another: a case that fails or is busy does not hold up the others."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vertseg.batch.case_job import CaseJob, OnProgress
from vertseg.batch.options import Options
from vertseg.batch.outcome import Outcome, error_of, write_tables
from vertseg.batch.overlap import ReadAhead, Relay, WriteBehind
from vertseg.errors import ConfigurationError, OutputError, VertsegError
from vertseg.io.case import Case
from vertseg.report.run_info import RunInfo
from vertseg.report.schema import Report
from vertseg.report.words import case_in_words
from vertseg.system.log import Progress, event
from vertseg.system.memory import is_out_of_memory

if TYPE_CHECKING:
    from vertseg.stages.segmenter import Segmenter

_LOGGER = logging.getLogger(__name__)

_WAS_KILLED = "a run was killed while processing it"
_TABLES_SHARE = 10.0
_QUICK_S = 1.0


class _Place(NamedTuple):
    """Which case of how many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"[{self.number}/{self.of}]"


class Runner:
    """Does the jobs of a run one after another and records their outcomes.

    While a case is segmented, the vertebrae of the next one are found and the last one is written.
    """

    def __init__(
        self, options: Options, segmenter: Segmenter, run: RunInfo, outcome: Outcome
    ) -> None:
        self._options = options
        self._segmenter = segmenter
        self._run = run
        self._outcome = outcome
        self._tables_due = 0.0
        self._began = datetime.now(UTC).replace(microsecond=0)  # as reports tell it

    def run_all(
        self, jobs: Sequence[CaseJob], reader: ReadAhead, relay: Relay, writer: WriteBehind
    ) -> None:
        """Do all; those that another run is processing, or in which a run was killed, come last."""
        own = len(self._options.among.of(jobs)) if self._options.among is not None else len(jobs)
        others = set(jobs[own:]) if self._options.shard is None else set()
        pending: deque[tuple[CaseJob, str]] = deque((job, "") for job in jobs)
        done = 0
        with Progress(len(jobs)) as progress:
            while pending:
                job, put_off = pending.popleft()
                progress.start(job.case.name)
                place = _Place(done + 1, len(jobs))
                if put_off == _WAS_KILLED:
                    self._prepare_for_a_kill(writer)
                if job in others and self._is_left_to_another_run(job):
                    done += 1
                    progress.finish()
                    continue
                with self._guarded(job, place):
                    claim = job.claim(self._run, wait=bool(put_off))
                    if claim in ("busy", "left"):
                        reason = "another run is processing it" if claim == "busy" else _WAS_KILLED
                        told = event("put_off", case=job.case.name, reason=reason)
                        _LOGGER.info("%s: postponed, %s", job.case.name, reason, extra=told)
                        pending.append((job, reason))
                        continue
                    if claim == "complete":
                        self._note_complete(job, place)
                    else:
                        following = pending[0][0] if pending else None
                        tell = partial(progress.stage, job.case.name)
                        computed = self._compute(job, following, reader, relay, tell)
                        writer.begin(partial(self._finish, job, place, computed))
                done += 1
                progress.finish()

    def _is_left_to_another_run(self, job: CaseJob) -> bool:
        """Whether another task of the array processes it, or failed on it since this one began."""
        if job.is_busy():
            _LOGGER.info("%s: left to the task that is processing it", job.case.name)
            return True
        report = job.report()
        if report is None or report["status"] != "failed" or not _is_since(report, self._began):
            return False
        self._outcome.failures.append((report, error_of(report)))
        return True

    def _prepare_for_a_kill(self, writer: WriteBehind) -> None:
        """Write and report all other cases before one that may get this run killed.

        The tables of many scans take seconds: they are written again once the scans since then
        have taken some times as long.
        """
        writer.wait()
        begin = time.monotonic()
        if begin < self._tables_due:
            return
        with suppress(OutputError):  # is raised at the end of the run
            write_tables(self._options, self._outcome)
        took = time.monotonic() - begin
        self._tables_due = begin + _TABLES_SHARE * took if took > _QUICK_S else 0.0

    def _note_complete(self, job: CaseJob, place: _Place) -> None:
        report = job.report()
        if report is not None:
            self._outcome.resumed.append(report)
            told = event("complete", case=job.case.name, **place._asdict())
            _LOGGER.info("%s %s: already complete", place, job.case.name, extra=told)

    def _compute(
        self,
        job: CaseJob,
        following: CaseJob | None,
        reader: ReadAhead,
        relay: Relay,
        on_progress: OnProgress,
    ) -> Future[None]:
        on_progress("read", 0, 1)
        scan = reader.take(job)
        if following is not None and following.may_be_read_ahead(self._run):
            reader.begin(following, self._segmenter)
        compute = partial(job.compute, scan, self._segmenter, self._run)
        computed = relay.begin(compute, on_progress)
        job.note("write")
        return computed

    def _finish(self, job: CaseJob, place: _Place, computed: Future[None]) -> None:
        with self._guarded(job, place):
            computed.result()
            report = job.finish(self._run)
            self._outcome.written.append(report)
            told = event(
                "done",
                case=job.case.name,
                status=report["status"],
                seconds=report["seconds"]["total"],
                **place._asdict(),
            )
            _LOGGER.info("%s %s: %s", place, job.case.name, case_in_words(report), extra=told)

    @contextmanager
    def _guarded(self, job: CaseJob, place: _Place) -> Iterator[None]:
        """Keep the errors of a case from the others."""
        try:
            yield
        except ConfigurationError:
            job.release()
            raise
        except Exception as caught:
            error = _as_user_error(caught, job.case)
            trace = caught if self._options.verbose else None
            told = event(
                "failed",
                case=job.case.name,
                code=error.exit_code,
                error=type(error).__name__,
                **place._asdict(),
            )
            _LOGGER.error("%s FAILED %s", place, error, exc_info=trace, extra=told)
            report, trouble = job.fail(error, self._run)
            if trouble is not None:
                _LOGGER.debug("no report of the failure: %s", trouble)
            self._outcome.failures.append((report, error))
        except BaseException:
            job.release()
            raise


def _is_since(report: Report, moment: datetime) -> bool:
    try:
        return datetime.fromisoformat(str(report.get("created"))) >= moment
    except (ValueError, TypeError):  # no date, or one without a time zone
        return False


def _as_user_error(caught: Exception, case: Case) -> VertsegError:
    if isinstance(caught, VertsegError):
        return caught
    if is_out_of_memory(caught):
        remedy = "Run on a machine with more memory, with --device cpu, or with fewer jobs."
        return VertsegError("there is not enough memory", str(case.where), remedy=remedy)
    what = f"an error of the program, {type(caught).__name__}: {caught}".rstrip(": ")
    remedy = "Run with --verbose and report the traceback."
    return VertsegError(what, str(case.where), remedy=remedy)
