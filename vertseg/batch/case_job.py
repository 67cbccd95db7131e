"""One case of a run, from its scan to its report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from vertseg.batch.attempt import Attempt, Step
from vertseg.batch.complete import is_same_scan, reason_to_run
from vertseg.batch.earlier import Earlier, place_of
from vertseg.batch.extras import write_extras, write_preview_extras
from vertseg.batch.given import read_given
from vertseg.batch.options import Options
from vertseg.batch.outputs import all_outputs, asked_outputs, write_outputs
from vertseg.batch.scan import Scan, read_scan
from vertseg.batch.staging import Staging
from vertseg.errors import OutputError, VertsegError
from vertseg.io.case import Case
from vertseg.measure import analyse
from vertseg.report.build import build_failure, build_report, outputs_of_earlier_runs
from vertseg.report.files import read_report
from vertseg.report.host_paths import without_host_paths
from vertseg.report.preview import write_preview
from vertseg.report.run_info import RunInfo
from vertseg.report.schema import Report
from vertseg.stages import ALL_STAGES, FIND, SPINE_ONLY
from vertseg.system.atomic import discard_partials
from vertseg.system.fingerprint import Fingerprint
from vertseg.system.locks import Lock
from vertseg.system.timing import timed

if TYPE_CHECKING:
    from vertseg.stages.found import Found
    from vertseg.stages.result import Result
    from vertseg.stages.segmenter import Segmenter

OnProgress = Callable[[str, int, int], None]
Claim = Literal["mine", "complete", "busy", "left"]
"""``mine``: to be done now; ``complete``: by an earlier or another run; ``busy``: another run is at
it; ``left``: a run was killed in it, and it may kill this one, too."""


class CaseJob:
    """One case of a run; owns the lock of the case from `claim` to `finish`, `fail` or `release`.

    The steps are called in this order, each in any thread: `claim`, `read` (which may also come
    first), `compute`, `finish`.

    Args:
        case: the scan and the names of its outputs.
        options: of the run.
    """

    def __init__(self, case: Case, options: Options) -> None:
        self.case = case
        self._options = options
        self._report = options.output / case.report
        self._lock = Lock(self._report.with_name(f".{case.stem}.lock"))
        self._is_held = self._stays_left = False
        self._staging = Staging(self._report, self._outputs)
        self._attempt = Attempt()
        self._fingerprint: Fingerprint | None = None
        self._result: Result | None = None
        self._seconds: dict[str, float] = {}

    def is_complete(self, run: RunInfo) -> bool:
        """Whether its outputs are there, made from the same scan in the same way."""
        return self._options.resume and not reason_to_run(self.case, self._options.output, run)

    def claim(self, run: RunInfo, wait: bool = False) -> Claim:
        """Take the lock if there is something to do; nothing else may follow unless it is mine.

        Args:
            run: what would be done now.
            wait: for another run to end, and take a case in which a run was killed.

        Raises:
            OutputError: the lock's file cannot be made.
            VertsegError: runs were killed in this case, which is not to be tried again now.
        """
        complete = self.is_complete(run)
        if complete and not (self._is_held or self._lock.was_left()):
            return "complete"
        state = "free" if self._is_held else self._lock.acquire(wait and not complete)
        if state == "busy":
            return "complete" if complete else "busy"
        killed = Attempt.parse(self._lock.read_note()) if state == "left" else None
        refusal = killed.reason_to_stop(self.case) if killed is not None else None
        if killed is not None and not (wait or complete or refusal):
            self._lock.release(keep_file=True)
            return "left"
        self._is_held = True
        if killed is not None:
            self._clear_up()
        if self.is_complete(run):  # meanwhile
            self.release()
            return "complete"
        if refusal is not None:
            raise refusal
        self._attempt = killed.next() if killed else Attempt.now()
        self._lock.write_note(self._attempt.as_text())
        return "mine"

    def reserve(self) -> bool:
        """Take the lock before it is known whether there is something to do, to read ahead.

        Returns:
            False if another run has it, or was killed in this case.
        """
        try:
            state = self._lock.acquire(wait=False)
        except OutputError:  # is said when its turn comes
            return False
        if state == "left":
            self._lock.release(keep_file=True)
        if state != "free":
            return False
        self._is_held = True
        self._lock.write_note(Attempt.now("ahead").as_text())
        return True

    def may_be_read_ahead(self, run: RunInfo) -> bool:
        """Whether it is to be done and has never caused trouble."""
        report = self.report()
        trouble = self._lock.was_left() or (report is not None and report["status"] == "failed")
        return not trouble and not self.is_complete(run)

    def is_busy(self) -> bool:
        """Whether another run is processing it now."""
        if self._is_held or not self._lock.was_left():
            return False
        state = self._lock.acquire(wait=False)
        self._lock.release(keep_file=state != "free")
        return state == "busy"

    def report(self) -> Report | None:
        """The report that lies in the output folder, if there is one."""
        return read_report(self._report)

    def read(self) -> Scan:
        """Read the scan; raises InputError."""
        return read_scan(self.case, self._options.force)

    def locate(self, scan: Scan, segmenter: Segmenter, on_progress: OnProgress) -> Found | None:
        """Find the vertebrae of a scan ahead of `compute`; None if that does not take both steps.

        Args:
            scan: from `read`.
            segmenter: loaded; another thread may be at another job with it.
            on_progress: see `compute`.
        """
        is_usual = self.case.given_centroids is None and self._options.stages == ALL_STAGES
        return segmenter.locate(scan.image, on_progress) if is_usual else None

    def compute(
        self, scan: Scan, segmenter: Segmenter, run: RunInfo, on_progress: OnProgress
    ) -> None:
        """Run the networks.

        Args:
            scan: from `read`.
            segmenter: loaded.
            run: as recorded in the report.
            on_progress: called with stage, steps done and steps in all.

        Raises:
            InputError: the given centroids do not belong to the scan.
            OutputError: in the output folder lie files that must not be replaced.
        """
        self._fingerprint = scan.fingerprint
        self._check(asked_outputs(self.case, run.options))
        self._seconds = {"read": scan.seconds}
        self._result = self._run_networks(scan, segmenter, on_progress)
        self._seconds |= self._result.seconds

    def note(self, step: Step) -> None:
        """Record the step that has been reached, in case the run is killed."""
        self._lock.write_note(self._attempt.at(step).as_text())

    def adopt(self, scan: Scan, result: Result) -> None:
        """Take a result that was made in another way instead of `compute`.

        Args:
            scan: from `read`.
            result: to be measured and written.
        """
        self._fingerprint, self._result = scan.fingerprint, result
        self._seconds = {"read": scan.seconds}

    def finish(self, run: RunInfo, said: Mapping[str, Any] | None = None) -> Report:
        """Measure, write and draw; then put all in place, the report last.

        Args:
            run: as recorded in the report.
            said: further entries of the report.

        Raises:
            OutputError: an output cannot be written.
        """
        result, self._result = self._result, None
        if result is None or self._fingerprint is None:
            raise RuntimeError("finish comes after compute")
        case, seconds, place = self.case, self._seconds, self._place
        with timed(seconds, "measure"):
            analysis = analyse(result, run.options.parts)
        failed: dict[str, str] = {}
        with timed(seconds, "write"), self._staging.writing():
            written = write_outputs(case, run.options, result, place, failed)
            written |= write_extras(case, run.options, result, analysis, place, failed)
        report = build_report(case, self._fingerprint, run, result, analysis, written, seconds)
        report = cast(Report, {**report, **(said or {})})
        with timed(seconds, "preview"), self._staging.writing():
            write_preview(place(case.preview), result.image, result.labels, report)
            planes = result.image.grid.size[2]
            late = write_preview_extras(case, run.options, planes, place, failed)
        written |= late
        report["outputs"] |= {kind: path.name for kind, path in late.items()}
        if failed:
            report["failed_outputs"] = failed
            report["warnings"] += failed.values()
        report = without_host_paths(report, (*self._options.folders, self._staging.folder))
        report["seconds"] = {stage: round(value, 2) for stage, value in seconds.items()}
        report["seconds"]["total"] = round(sum(seconds.values()), 2)
        self._put_in_place(report, {**written, "preview": case.preview}, run)
        self.release()
        return report

    def fail(self, error: VertsegError, run: RunInfo) -> tuple[Report, OutputError | None]:
        """Write the report of a failure, unless there are results that it would contradict.

        Returns:
            The report, and why it could not be written.
        """
        report, trouble = build_failure(self.case, error, run), None
        report = without_host_paths(report, self._options.folders)
        try:
            self._staging.discard()
            if self._is_held and self._is_out_of_date():
                self._staging.complete(report)
                self._staging.put_in_place()
        except OutputError as caught:
            trouble = caught
        self.release()
        return report, trouble

    def release(self) -> None:
        """Release the lock, if it is held, and all that was kept."""
        self._result = None
        if self._is_held:
            self._is_held = False
            self._staging.discard()
            self._lock.release(keep_file=self._stays_left)

    @property
    def _outputs(self) -> list[Path]:
        return [self._options.output / name for name in all_outputs(self.case)]

    def _place(self, name: Path) -> Path:
        return self._staging.path(self._options.output / name)

    def _earlier(self, records: Iterable[Staging] = ()) -> Earlier:
        told = [record for staging in records for record in staging.records]
        return Earlier(self.case, self._options.output, told)

    def _check(self, names: Iterable[Path], earlier: Earlier | None = None) -> None:
        """Raise OutputError if files of these names must not be replaced."""
        if self._fingerprint is not None and not self._options.overwrite:
            paths = [self._options.output / name for name in names]
            (earlier or self._earlier()).check(paths, self._fingerprint.sha256)

    def _put_in_place(self, report: Report, written: dict[str, Path], run: RunInfo) -> None:
        output, earlier = self._options.output, self._earlier()
        report["input"]["place"] = place_of(self.case)
        report["input"]["root"] = self._options.root_from_output
        report["output_sha256"] = {
            kind: self._staging.hash_of(output / name) for kind, name in written.items()
        }
        if earlier.results is not None and earlier.is_of(report["input"]["sha256"]):
            kept = outputs_of_earlier_runs(earlier.results, self._names_asked(run))
            if kept:
                report["earlier_outputs"] = kept
        self._check(written.values(), earlier)  # somebody may have edited one meanwhile
        self._staging.complete(report)
        self._staging.put_in_place()

    def _names_asked(self, run: RunInfo) -> set[str]:
        """Names of outputs that are asked for, as seen from the report."""
        folder = self.case.report.parent
        paths = asked_outputs(self.case, run.options)
        return {Path(os.path.relpath(path, folder)).as_posix() for path in paths}

    def _is_out_of_date(self) -> bool:
        """Whether the files in the output folder do not describe the scan and may be removed.

        A scan that cannot be read at the moment need not have changed.
        """
        earlier = self._earlier()
        results = earlier.results
        if results is not None and is_same_scan(self.case, results) is not False:
            return False
        if not self._options.overwrite:
            earlier.check((), "")
        return True

    def _clear_up(self) -> None:
        """Put in place what a killed run had completed, and remove what it had not."""
        for name in self._outputs:
            discard_partials(name)
        left = Staging.left_behind(self._report, self._outputs)
        for staging in left:
            if staging.is_complete:
                self._stays_left = True
                if not self._options.overwrite:
                    self._earlier(left).check(staging.outputs, staging.sha256)
                staging.put_in_place()
                self._stays_left = False
            staging.discard()

    def _run_networks(self, scan: Scan, segmenter: Segmenter, on_progress: OnProgress) -> Result:
        image = scan.image
        given, stages = self.case.given_centroids, self._options.stages
        if given is not None:
            return segmenter.segment(image, read_given(given, image), on_progress)
        if stages == SPINE_ONLY:
            return segmenter.find_spine(image, on_progress)
        if stages == FIND:
            return segmenter.find(image, on_progress)
        return segmenter(image, on_progress, scan.found)
