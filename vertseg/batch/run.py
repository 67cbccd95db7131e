"""A run over all scans of a folder: one bad scan does not affect the others."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vertseg.batch.case_job import CaseJob
from vertseg.batch.find import Discovery, find_cases
from vertseg.batch.given import give_centroids
from vertseg.batch.identity import check_apart
from vertseg.batch.layouts import describe_dataset
from vertseg.batch.options import Options
from vertseg.batch.outcome import (
    Outcome,
    error_of,
    note_left_out,
    note_refused,
    note_vanished,
    write_overview,
    write_shard_summary,
)
from vertseg.batch.overlap import ReadAhead, WriteBehind
from vertseg.errors import ConfigurationError, OutputError, VertsegError
from vertseg.io.case import Case
from vertseg.io.dicom_seg import check_highdicom
from vertseg.io.mesh import check_mesh_packages
from vertseg.report.overview import SUMMARY, check_replaceable
from vertseg.report.run_info import RunInfo
from vertseg.report.schema import Report
from vertseg.report.words import case_in_words
from vertseg.stages import SEGMENT_ONLY
from vertseg.stages.device import BACKENDS
from vertseg.system.log import Progress, event
from vertseg.system.memory import is_out_of_memory
from vertseg.system.signals import Stopped, stop_on_signals
from vertseg.version import VERSION

if TYPE_CHECKING:
    from vertseg.stages.segmenter import Segmenter

_LOGGER = logging.getLogger(__name__)

_WAS_KILLED = "a run was killed while processing it"


def load_segmenter(options: Options) -> Segmenter:
    """Load networks and weights; this is where their library is imported.

    Raises:
        ConfigurationError: weights or device cannot be used.
    """
    from vertseg.stages.segmenter import Segmenter

    return Segmenter(
        weights=options.weights,
        device=options.device,
        precision=options.precision,
        tile_overlap=options.tile_overlap,
        threads=options.threads,
        mode=options.mode,
        keep_heatmaps=options.heatmaps,
        fine_mask=options.mask_1mm,
        backend=options.backend,
        numbering=options.numbering,
    )


def run_batch(options: Options, load: Callable[[Options], Segmenter] = load_segmenter) -> Outcome:
    """Do all cases of the input folder, and write the summary and the gallery.

    Args:
        options: of the run.
        load: makes the segmenter; called once, after the input was searched.

    Raises:
        NoInputError: there is nothing to run on.
        ConfigurationError: options, weights, device or output folder cannot be used.
        OutputError: the summary or the gallery cannot be written.
    """
    found = find_for(options)
    if options.dicom:
        name = f"--{options.dicom[0].replace('_', '-')}"
        if options.dicom != ("dicom_rtstruct",):  # which needs pydicom alone
            check_highdicom(name)
        if not any(case.slices for case in found.cases):
            _LOGGER.warning("%s changes nothing: no scan is a DICOM series.", name)
    if options.meshes is not None:
        check_mesh_packages("--meshes")
    check_apart(found.cases, options.output)
    check_output(options)
    outcome = Outcome()
    note_left_out(found, options, outcome)
    if found.cases or found.refused:
        _run_all(options, load, found, outcome)
    if any(case.bids for case in found.cases):
        describe_dataset(options.output)
    note_vanished(options, outcome)
    _write_tables(options, outcome)
    return outcome


def find_for(options: Options) -> Discovery:
    """The scans that a run with these options would take, with their given centroids.

    Raises:
        NoInputError: there is no scan.
        ConfigurationError: the folder of given centroids cannot be used.
    """
    found = find_cases(options.inputs, options.only, options.output)
    only_given = options.stages == SEGMENT_ONLY
    found = give_centroids(found, options.centroids, options.output, only_given)
    return _share(found, options)


def _write_tables(options: Options, outcome: Outcome) -> None:
    if options.shard is None:
        write_overview(options, outcome)
    else:
        write_shard_summary(options, options.shard, outcome)


def _share(found: Discovery, options: Options) -> Discovery:
    """What this run is to do; of all scans that it shares with others, its own part first."""
    if options.among is not None:
        own = options.among.of(found.cases)
        others = [case for case in found.cases if case not in set(own)]
        found = replace(found, cases=(*own, *others))
        text = "Task %s of a Slurm array: %d of %d scans first, then what others have left."
        _LOGGER.info(text, options.among, len(own), len(found.cases))
    shard = options.shard
    if shard is None:
        return found
    part = replace(found, cases=shard.of(found.cases), refused=shard.of(found.refused))
    count = len(part.cases) + len(part.refused)
    total = len(found.cases) + len(found.refused)
    _LOGGER.info("Shard %s: %d of %d scans; --shard 1/1 takes all.", shard, count, total)
    return part


def _run_all(
    options: Options, load: Callable[[Options], Segmenter], found: Discovery, outcome: Outcome
) -> None:
    jobs = [CaseJob(case, options) for case in found.cases]
    try:
        with stop_on_signals(), ReadAhead() as reader, WriteBehind() as writer:
            if jobs:
                reader.begin(jobs[0])
            segmenter = load(options)
            run = RunInfo.of(segmenter, options)
            _announce(options, found, run)
            note_refused(found, options, run, outcome)
            _Runner(options, segmenter, run, outcome).run_all(jobs, reader, writer)
    except Stopped as stop:
        outcome.stopped = stop.exit_code
        _LOGGER.warning(
            "Stopped by %s. Every file written is complete; --resume does the rest.", stop
        )
    finally:
        for job in jobs:
            job.release()


def check_output(options: Options) -> None:
    """Make the output folder and try to write, before hours are spent."""
    output = options.output
    probe = output / ".vertseg-probe"
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
        if not options.overwrite:
            check_replaceable(output, options.shard.summary if options.shard else SUMMARY)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        remedy = "Give a folder that this user may write to, or mount it writable."
        raise ConfigurationError(what, str(output), remedy=remedy) from error
    except OutputError as error:
        raise ConfigurationError(error.what, error.where, remedy=error.remedy) from error


def _announce(options: Options, found: Discovery, run: RunInfo) -> None:
    device = run.device
    _LOGGER.info(
        "vertseg %s on the %s (%s, %s, %s), weights %s.",
        *(VERSION, device["kind"].upper(), device["name"], device["precision"]),
        *(BACKENDS[device["backend"]], run.preset),
    )
    count = len(found.cases) + len(found.refused)
    place = f"{len(options.inputs)} inputs" if options.more_inputs else options.input
    _LOGGER.info("%d scan%s in %s.", count, "s" * (count != 1), place)


class _Place(NamedTuple):
    """Which case of how many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"[{self.number}/{self.of}]"


_TABLES_SHARE = 10.0
_QUICK_S = 1.0


class _Runner:
    """Does the jobs of a run one after another and records their outcomes.

    While the networks are at a case, the next one is read and the last one is written.
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

    def run_all(self, jobs: Sequence[CaseJob], reader: ReadAhead, writer: WriteBehind) -> None:
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
                        self._compute(job, following, reader, progress)
                        writer.begin(partial(self._finish, job, place))
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
            _write_tables(self._options, self._outcome)
        took = time.monotonic() - begin
        self._tables_due = begin + _TABLES_SHARE * took if took > _QUICK_S else 0.0

    def _note_complete(self, job: CaseJob, place: _Place) -> None:
        report = job.report()
        if report is not None:
            self._outcome.resumed.append(report)
            told = event("complete", case=job.case.name, **place._asdict())
            _LOGGER.info("%s %s: already complete", place, job.case.name, extra=told)

    def _compute(
        self, job: CaseJob, following: CaseJob | None, reader: ReadAhead, progress: Progress
    ) -> None:
        progress.stage("read", 0, 1)
        scan = reader.take(job)
        if following is not None and following.may_be_read_ahead(self._run):
            reader.begin(following)
        job.compute(scan, self._segmenter, self._run, progress.stage)

    def _finish(self, job: CaseJob, place: _Place) -> None:
        with self._guarded(job, place):
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
