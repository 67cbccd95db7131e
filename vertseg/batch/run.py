"""A run over all scans of a folder: one bad scan costs nothing but itself."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vertseg.batch.find import Discovery, find_cases
from vertseg.batch.given import give_centroids
from vertseg.batch.layouts import describe_dataset
from vertseg.batch.one_case import Scan, process_case
from vertseg.batch.options import Options
from vertseg.batch.outcome import Outcome, note_refused, write_overview
from vertseg.batch.outputs import (
    INPUT_CHANGED,
    all_outputs,
    reason_to_run,
    remove_outputs,
    wanted_outputs,
)
from vertseg.batch.overlap import Handover, ReadAhead, Steps
from vertseg.batch.shards import Shard
from vertseg.errors import ConfigurationError, OutputError, VertsegError
from vertseg.io.case import Case
from vertseg.io.dicom_seg import check_highdicom
from vertseg.report.build import build_failure
from vertseg.report.run_info import RunInfo
from vertseg.report.schema import Report, read_report, write_report
from vertseg.report.summary import write_summary
from vertseg.report.words import case_in_words
from vertseg.stages import SEGMENT_ONLY
from vertseg.system.atomic import discard_partials
from vertseg.system.locks import locked
from vertseg.system.log import Progress
from vertseg.system.memory import is_out_of_memory
from vertseg.system.signals import Stopped, stop_on_signals
from vertseg.version import VERSION

if TYPE_CHECKING:
    from vertseg.stages.segmenter import Segmenter

_LOGGER = logging.getLogger(__name__)


def load_segmenter(options: Options) -> Segmenter:
    """Load networks and weights; this is where TensorFlow is imported, which takes seconds.

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
    found = find_cases(options.input, options.only)
    only_given = options.stages == SEGMENT_ONLY
    found = give_centroids(found, options.centroids, options.output, only_given)
    if options.dicom_seg:
        check_highdicom()
        if not any(case.slices for case in found.cases):
            _LOGGER.warning("--dicom-seg changes nothing: no scan is a DICOM series.")
    found = _share(found, options.shard)
    _check_output(options.output)
    outcome = Outcome()
    if found.cases or found.refused:
        _run_all(options, load, found, outcome)
    if any(case.bids for case in found.cases):
        describe_dataset(options.output)
    if options.shard is None:
        write_overview(options.output, outcome)
    else:
        write_summary(options.output / options.shard.summary, outcome.reports)
    return outcome


def _share(found: Discovery, shard: Shard | None) -> Discovery:
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
    try:
        with stop_on_signals(), ReadAhead(options.force) as reader, Handover() as writer:
            if found.cases:
                reader.begin(found.cases[0])
            segmenter = load(options)
            run = RunInfo.of(segmenter, options)
            _announce(options, found, run)
            _Runner(options, segmenter, run, outcome, reader, writer).run_all(found)
    except Stopped as stop:
        outcome.stopped = stop.exit_code
        _LOGGER.warning("Stopped by %s; what is written is whole, --resume does the rest.", stop)


def _check_output(output: Path) -> None:
    """Make the output folder and try to write, before hours are spent."""
    probe = output / ".vertseg-probe"
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}"
        remedy = "Give a folder that this user may write to, or mount it writable."
        raise ConfigurationError(what, str(output), remedy=remedy) from error


def _announce(options: Options, found: Discovery, run: RunInfo) -> None:
    device = run.device
    _LOGGER.info(
        "vertseg %s on the %s (%s, %s), weights %s.",
        *(VERSION, device["kind"].upper(), device["name"], device["precision"], run.preset),
    )
    count = len(found.cases) + len(found.refused)
    skipped = len(found.skipped)
    left_out = f", {skipped} mask{'s' * (skipped > 1)} or the like left out" if skipped else ""
    _LOGGER.info("%d scan%s in %s%s.", count, "s" * (count != 1), options.input, left_out)
    for file in found.skipped:
        _LOGGER.debug("left out: %s (%s)", file.path, file.reason)


@dataclass
class _Runner:
    """Does the cases of a run one after another and notes what becomes of them.

    While the networks are at a case, the next one is read and the last one is written: the lock
    and the guard of a case go along with its generator to the other thread.
    """

    options: Options
    segmenter: Segmenter
    run: RunInfo
    outcome: Outcome
    reader: ReadAhead
    writer: Handover
    following: Case | None = None

    def run_all(self, found: Discovery) -> None:
        note_refused(found, self.options, self.run, self.outcome)
        pending = deque((case, False) for case in found.cases)
        done, total = 0, len(pending)
        with Progress(total) as progress:
            while pending:
                case, is_put_off = pending.popleft()
                progress.start(case.name)
                self.following = pending[0][0] if pending else None
                place = f"[{done + 1}/{total}]"
                if self.writer.run(self._guard(case, place, progress, is_put_off)):
                    done += 1
                    progress.finish()
                else:
                    pending.append((case, True))

    def _guard(self, case: Case, place: str, progress: Progress, is_put_off: bool) -> Steps[bool]:
        """Do a case; whatever goes wrong stays within it. False if it is to be put off."""
        try:
            words = yield from self._do_in_turn(case, progress, is_put_off)
            if not words:
                return False
            _LOGGER.info("%s %s: %s", place, case.name, words)
        except ConfigurationError:
            raise
        except Exception as caught:
            error = _as_user_error(caught, case)
            trace = caught if self.options.verbose else None
            _LOGGER.error("%s FAILED %s", place, error, exc_info=trace)
            report = _write_failure(case, self.options.output, error, self.run)
            self.outcome.failures.append((report, error))
        return True

    def _do_in_turn(self, case: Case, progress: Progress, is_put_off: bool) -> Steps[str]:
        """Do a case that no other run is at; empty if it is to come after all others.

        A case in which a run was killed may kill this one too, so it is put off once.
        """
        output = self.options.output
        if self.options.resume and not reason_to_run(case, output, self.run):
            return (yield from self._do_or_leave_out(case, progress))
        lock = (output / case.report).with_name(f".{case.stem}.lock")
        with locked(lock, wait=is_put_off, keep_if_left=not is_put_off) as state:
            if state != "free" and not is_put_off:
                other = "another run is at it" if state == "busy" else "a run was killed in it"
                _LOGGER.info("%s: put off, %s", case.name, other)
                return ""
            if state == "left":
                for name in all_outputs(case):
                    discard_partials(output / name)
            return (yield from self._do_or_leave_out(case, progress))

    def _do_or_leave_out(self, case: Case, progress: Progress) -> Steps[str]:
        output = self.options.output
        reason = reason_to_run(case, output, self.run)
        complete = read_report(output / case.report) if not reason else None
        if self.options.resume and complete is not None:
            self.outcome.resumed.append(complete)
            return "complete already"
        _LOGGER.debug("%s: is done because %s", case.name, reason or "--no-resume asks for it")
        keep = () if reason == INPUT_CHANGED else wanted_outputs(case, self.run.options)
        remove_outputs(case, output, keep)
        report = yield from process_case(
            case, self._read, self.options, self.segmenter, self.run, progress.stage
        )
        self.outcome.written.append(report)
        return case_in_words(report)

    def _read(self, case: Case) -> Scan:
        """The scan of a case; the next one is then begun, if it is to be done."""
        scan = self.reader.take(case)
        if self.following is not None:
            complete = not reason_to_run(self.following, self.options.output, self.run)
            if not (self.options.resume and complete):
                self.reader.begin(self.following)
        return scan


def _as_user_error(caught: Exception, case: Case) -> VertsegError:
    if isinstance(caught, VertsegError):
        return caught
    if is_out_of_memory(caught):
        remedy = "Run on a machine with more memory, with --device cpu, or with fewer jobs."
        return VertsegError("there is not enough memory", str(case.where), remedy=remedy)
    what = f"an error of the program, {type(caught).__name__}: {caught}".rstrip(": ")
    remedy = "Run with --verbose and report the traceback."
    return VertsegError(what, str(case.where), remedy=remedy)


def _write_failure(case: Case, output: Path, error: VertsegError, run: RunInfo) -> Report:
    report = build_failure(case, error, run)
    try:
        write_report(output / case.report, report)
    except OutputError as trouble:
        _LOGGER.debug("no report of the failure: %s", trouble)
    return report
