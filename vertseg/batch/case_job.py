"""One case of a run, from its scan to its report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vertseg.batch.extras import write_extras
from vertseg.batch.given import read_given
from vertseg.batch.options import Options
from vertseg.batch.outputs import (
    INPUT_CHANGED,
    all_outputs,
    reason_to_run,
    remove_outputs,
    wanted_outputs,
    write_outputs,
)
from vertseg.batch.scan import Scan, read_scan
from vertseg.errors import OutputError, VertsegError
from vertseg.io.case import Case
from vertseg.io.image import Image
from vertseg.measure import analyse
from vertseg.report.build import build_failure, build_report
from vertseg.report.preview import write_preview
from vertseg.report.run_info import RunInfo
from vertseg.report.schema import Report, read_report, write_report
from vertseg.stages import FIND, SPINE_ONLY
from vertseg.system.atomic import discard_partials
from vertseg.system.fingerprint import Fingerprint
from vertseg.system.locks import Lock
from vertseg.system.timing import timed

if TYPE_CHECKING:
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
        self._output = options.output
        self._lock = Lock((options.output / case.report).with_name(f".{case.stem}.lock"))
        self._fingerprint: Fingerprint | None = None
        self._result: Result | None = None
        self._seconds: dict[str, float] = {}

    def is_complete(self, run: RunInfo) -> bool:
        """Whether its outputs are there, made from the same scan in the same way."""
        return self._options.resume and not reason_to_run(self.case, self._output, run)

    def claim(self, run: RunInfo, wait: bool = False) -> Claim:
        """Take the lock if there is something to do; nothing else may follow unless it is mine.

        Args:
            run: what would be done now.
            wait: for another run to end, and take a case in which a run was killed.

        Raises:
            OutputError: the lock's file cannot be made, or earlier outputs cannot be removed.
        """
        if self.is_complete(run):
            return "complete"
        state = self._lock.acquire(wait)
        if state == "busy":
            return "busy"
        if state == "left" and not wait:
            self._lock.release(keep_file=True)
            return "left"
        if state == "left":
            for name in all_outputs(self.case):
                discard_partials(self._output / name)
        if self.is_complete(run):  # meanwhile
            self.release()
            return "complete"
        self._remove_earlier(run)
        return "mine"

    def report(self) -> Report | None:
        """The report that lies in the output folder, if there is one."""
        return read_report(self._output / self.case.report)

    def read(self) -> Scan:
        """Read the scan; raises InputError."""
        return read_scan(self.case, self._options.force)

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
        """
        self._seconds = {"read": scan.seconds}
        self._fingerprint = scan.fingerprint
        self._result = self._run_networks(scan.image, segmenter, on_progress)
        self._seconds |= self._result.seconds

    def finish(self, run: RunInfo) -> Report:
        """Measure, write and draw; the report comes last: with it the case is complete.

        Raises:
            OutputError: an output cannot be written.
        """
        result, self._result = self._result, None
        if result is None or self._fingerprint is None:
            raise RuntimeError("finish comes after compute")
        case, output, seconds = self.case, self._output, self._seconds
        with timed(seconds, "measure"):
            analysis = analyse(result, self._options.parts)
        with timed(seconds, "write"):
            failed: dict[str, str] = {}
            written = write_outputs(case, self._options, result, failed)
            written |= write_extras(case, self._options, result, analysis, self._place, failed)
        report = build_report(case, self._fingerprint, run, result, analysis, written, seconds)
        if failed:
            report["failed_outputs"] = failed
            report["warnings"] += failed.values()
        with timed(seconds, "preview"):
            write_preview(output / case.preview, result.image, result.labels, report)
        report["seconds"] = {stage: round(value, 2) for stage, value in seconds.items()}
        report["seconds"]["total"] = round(sum(seconds.values()), 2)
        write_report(output / case.report, report)
        self.release()
        return report

    def fail(self, error: VertsegError, run: RunInfo) -> tuple[Report, OutputError | None]:
        """Write the report of a failure, if that is possible.

        Returns:
            The report, and why it could not be written.
        """
        report, trouble = build_failure(self.case, error, run), None
        try:
            write_report(self._output / self.case.report, report)
        except OutputError as caught:
            trouble = caught
        self.release()
        return report, trouble

    def release(self) -> None:
        """Let go of the lock, if it is held, and of all that was kept."""
        self._result = None
        self._lock.release()

    def _place(self, name: Path) -> Path:
        return self._output / name

    def _remove_earlier(self, run: RunInfo) -> None:
        reason = reason_to_run(self.case, self._output, run)
        keep = () if reason == INPUT_CHANGED else wanted_outputs(self.case, run.options)
        remove_outputs(self.case, self._output, keep)

    def _run_networks(self, image: Image, segmenter: Segmenter, on_progress: OnProgress) -> Result:
        given, stages = self.case.given_centroids, self._options.stages
        if given is not None:
            return segmenter.segment(image, read_given(given, image), on_progress)
        if stages == SPINE_ONLY:
            return segmenter.find_spine(image, on_progress)
        if stages == FIND:
            return segmenter.find(image, on_progress)
        return segmenter(image, on_progress)
