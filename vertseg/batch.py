"""A run over all scans of a folder: one bad scan costs nothing but itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vertseg.errors import ConfigurationError, InputError, OutputError, VertsegError
from vertseg.gallery import write_gallery
from vertseg.inputs import Case, Discovery, find_cases
from vertseg.options import Options
from vertseg.process import process_case, remove_outputs
from vertseg.progress import Progress
from vertseg.report import (
    Report,
    RunInfo,
    build_failure,
    collect_reports,
    read_report,
    write_report,
)
from vertseg.resume import INPUT_CHANGED, reason_to_run
from vertseg.signals import Stopped, stop_on_signals
from vertseg.summary import write_summary
from vertseg.version import VERSION
from vertseg.words import case_in_words

if TYPE_CHECKING:
    from vertseg.pipeline import Segmenter

_LOGGER = logging.getLogger(__name__)

SUMMARY, GALLERY = "summary.csv", "index.html"


@dataclass
class Outcome:
    """What became of the cases of a run.

    Attributes:
        written: reports of cases done now.
        resumed: reports of cases that were complete before.
        failures: reports of cases that failed, with the error.
        stopped: exit code if a signal ended the run, else 0.
    """

    written: list[Report] = field(default_factory=list)
    resumed: list[Report] = field(default_factory=list)
    failures: list[tuple[Report, VertsegError]] = field(default_factory=list)
    stopped: int = 0

    @property
    def exit_code(self) -> int:
        """0 all written; 2 some failed; 3 nothing could be read; 128 + n stopped by signal n."""
        if self.stopped:
            return self.stopped
        if not self.failures:
            return 0
        unreadable = all(isinstance(error, InputError) for _, error in self.failures)
        return 3 if unreadable and not (self.written or self.resumed) else 2

    @property
    def reports(self) -> list[Report]:
        """All of them, by case."""
        failed = [report for report, _ in self.failures]
        return sorted([*self.written, *self.resumed, *failed], key=lambda report: report["case"])


def load_segmenter(options: Options) -> Segmenter:
    """Load networks and weights; this is where TensorFlow is imported, which takes seconds.

    Raises:
        ConfigurationError: weights or device cannot be used.
    """
    from vertseg.pipeline import Segmenter

    return Segmenter(
        weights=options.weights,
        device=options.device,
        precision=options.precision,
        tile_overlap=options.tile_overlap,
        threads=options.threads,
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
    _check_output(options.output)
    outcome = Outcome()
    try:
        with stop_on_signals():
            segmenter = load(options)
            run = RunInfo.of(segmenter, options.recorded())
            _announce(options, found, run)
            _Runner(options, segmenter, run, outcome).run_all(found)
    except Stopped as stop:
        outcome.stopped = stop.exit_code
        _LOGGER.warning("Stopped by %s; what is written is whole, --resume does the rest.", stop)
    _write_overview(options.output, outcome)
    return outcome


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
    left_out = f", {len(found.skipped)} masks and other files left out" * bool(found.skipped)
    plural = "s" if count != 1 else ""
    _LOGGER.info("%d scan%s in %s%s.", count, plural, options.input, left_out)
    for skipped in found.skipped:
        _LOGGER.debug("left out: %s (%s)", skipped.path, skipped.reason)


@dataclass
class _Runner:
    """Does the cases of a run one after another and notes what becomes of them."""

    options: Options
    segmenter: Segmenter
    run: RunInfo
    outcome: Outcome

    def run_all(self, found: Discovery) -> None:
        for refused in found.refused:
            _LOGGER.error("FAILED %s", refused)
            case = Case.from_path(Path(refused.where), self.options.input)
            self.outcome.failures.append((build_failure(case, refused, self.run), refused))
        with Progress(len(found.cases)) as progress:
            for number, case in enumerate(found.cases, 1):
                progress.start(case.name)
                self._guard(case, f"[{number}/{len(found.cases)}]", progress)
                progress.finish()

    def _guard(self, case: Case, place: str, progress: Progress) -> None:
        """Do a case; whatever goes wrong stays within it."""
        try:
            words = self._do_or_leave_out(case, progress)
            _LOGGER.info("%s %s: %s", place, case.name, words)
        except ConfigurationError:
            raise
        except Exception as caught:
            error = _as_user_error(caught, case)
            trace = caught if self.options.verbose else None
            _LOGGER.error("%s FAILED %s", place, error, exc_info=trace)
            report = _write_failure(case, self.options.output, error, self.run)
            self.outcome.failures.append((report, error))

    def _do_or_leave_out(self, case: Case, progress: Progress) -> str:
        output = self.options.output
        reason = reason_to_run(case, output, self.run)
        complete = read_report(output / case.report) if not reason else None
        if self.options.resume and complete is not None:
            self.outcome.resumed.append(complete)
            return "complete already"
        _LOGGER.debug("%s: is done because %s", case.name, reason or "--no-resume asks for it")
        remove_outputs(case, output, all_of_them=reason == INPUT_CHANGED)
        report = process_case(case, self.options, self.segmenter, self.run, progress.stage)
        self.outcome.written.append(report)
        return case_in_words(report)


def _as_user_error(caught: Exception, case: Case) -> VertsegError:
    if isinstance(caught, VertsegError):
        return caught
    if isinstance(caught, MemoryError) or "ResourceExhausted" in type(caught).__name__:
        remedy = "Run on a machine with more memory, with --device cpu, or with fewer jobs."
        return VertsegError("there is not enough memory", str(case.path), remedy=remedy)
    what = f"an error of the program, {type(caught).__name__}: {caught}".rstrip(": ")
    remedy = "Run with --verbose and report the traceback."
    return VertsegError(what, str(case.path), remedy=remedy)


def _write_failure(case: Case, output: Path, error: VertsegError, run: RunInfo) -> Report:
    report = build_failure(case, error, run)
    try:
        write_report(output / case.report, report)
    except OutputError as trouble:
        _LOGGER.debug("no report of the failure: %s", trouble)
    return report


def _write_overview(output: Path, outcome: Outcome) -> None:
    """Summary and gallery of everything in the output folder, earlier runs included."""
    reports = {report["case"]: (folder, report) for folder, report in collect_reports(output)}
    for report, _ in outcome.failures:
        folder = Path(report["case"]).parent
        reports.setdefault(report["case"], (folder, report))
    ordered = [reports[name] for name in sorted(reports)]
    write_summary(output / SUMMARY, [report for _, report in ordered])
    write_gallery(output / GALLERY, ordered)
