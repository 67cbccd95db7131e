"""A scan is prepared while another is segmented, and begun at that one's last vertebra."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from vertseg.batch import overlap
from vertseg.batch.case_job import CaseJob
from vertseg.batch.options import Options
from vertseg.batch.overlap import ReadAhead, Relay
from vertseg.batch.run import run_batch
from vertseg.errors import InputError
from vertseg.io.case import Case
from vertseg.stages import FIND, SPINE_ONLY

PATIENCE_S = 60.0


def ignore(*_: object) -> None:
    """Progress that nobody follows."""


@dataclass
class Locating(FakeSegmenter):
    """Notes what is found ahead, and what each call gets of it; scans are told by their size."""

    located: list = field(default_factory=list)
    got: list = field(default_factory=list)
    may_end: threading.Event = field(default_factory=threading.Event)

    def locate(self, image, on_progress=None):
        self.located.append(image.grid.size[2])
        self.may_end.set()
        return f"found in {image.grid.size[2]}"

    def __call__(self, image, on_progress=None, found=None):
        self.got.append((image.grid.size[2], found))
        if len(self.got) == 1:
            assert self.may_end.wait(PATIENCE_S)
        return super().__call__(image, on_progress, found)


def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name, planes in zip("abc", (40, 41, 42), strict=True):
        write_scan(tmp_path / "in" / f"{name}.nii.gz", (24, 26, planes))
    return tmp_path / "in", tmp_path / "out"


def job_of(folder: Path, name: str = "a", **changes) -> CaseJob:
    path = folder / "in" / f"{name}.nii.gz"
    write_scan(path)
    return CaseJob(
        Case.from_path(path, path.parent), Options(path.parent, folder / "out", **changes)
    )


def test_the_next_scan_is_looked_at_while_one_is_segmented(tmp_path) -> None:
    segmenter = Locating(POINTS)
    outcome = run_batch(Options(*folders(tmp_path)), lambda _: segmenter)
    assert outcome.exit_code == 0 and segmenter.located == [41, 42]
    # Nobody can look at the first before the networks are there.
    assert segmenter.got == [(40, None), (41, "found in 41"), (42, "found in 42")]


def test_what_fails_ahead_is_done_in_its_turn_and_reported_on_its_scan(tmp_path) -> None:
    class Failing(Locating):
        def locate(self, image, on_progress=None):
            super().locate(image)
            if image.grid.size[2] == 41:
                raise ZeroDivisionError("ahead")
            return "found"

        def __call__(self, image, on_progress=None, found=None):
            if image.grid.size[2] == 41 and found is None:
                raise InputError("has no spine that the networks can bear", "b")
            return super().__call__(image, on_progress, found)

    outcome = run_batch(Options(*folders(tmp_path)), lambda _: Failing(POINTS))
    ((report, error),) = outcome.failures
    assert report["case"] == "b.nii.gz" and "bear" in error.what
    assert [report["case"] for report in outcome.written] == ["a.nii.gz", "c.nii.gz"]


@pytest.mark.parametrize("stages", [SPINE_ONLY, FIND])
def test_parts_of_the_work_are_not_begun_ahead(tmp_path, stages) -> None:
    segmenter = Locating(POINTS)
    job = job_of(tmp_path, stages=stages)
    assert job.locate(job.read(), segmenter, ignore) is None and not segmenter.located


def test_a_scan_is_read_but_not_looked_at_where_reading_has_taken_the_room(
    tmp_path, monkeypatch
) -> None:
    job, segmenter, free = job_of(tmp_path), Locating(POINTS), [1 << 40, 1]
    monkeypatch.setattr(overlap, "free_bytes", lambda: free.pop(0))
    with ReadAhead() as reader:
        reader.begin(job, segmenter)
        assert reader.take(job).found is None
    assert not segmenter.located and not free


def test_a_look_ahead_ends_with_the_run(tmp_path) -> None:
    class Endless(Locating):
        def locate(self, image, on_progress=None):
            super().locate(image)
            try:
                while True:
                    on_progress("vertebrae", 1, 2)
            finally:
                ended.set()

    ended, segmenter = threading.Event(), Endless(POINTS)
    with ReadAhead() as reader:
        reader.begin(job_of(tmp_path), segmenter)
        assert segmenter.may_end.wait(PATIENCE_S) and not ended.is_set()
    assert ended.wait(PATIENCE_S)


class Overtaken(FakeSegmenter):
    """Ends with the first scan only once it has begun with the second one."""

    def __init__(self, output: Path, error: Exception | None = None) -> None:
        super().__init__(POINTS)
        self._output, self._error = output, error
        self._begun = threading.Event()
        self.noted = ""

    def __call__(self, image, on_progress=None, found=None):
        if image.grid.size[2] == 40:
            on_progress("segmentation", 2, 3)
            assert self._begun.wait(PATIENCE_S)
            if self._error is not None:
                raise self._error
        elif image.grid.size[2] == 41:
            self.noted = json.loads((self._output / ".a.lock").read_text())["step"]
            self._begun.set()
        return super().__call__(image, on_progress, found)


def test_a_scan_begins_while_the_one_before_is_at_its_last_vertebra(tmp_path) -> None:
    source, output = folders(tmp_path)
    segmenter = Overtaken(output)
    outcome = run_batch(Options(source, output), lambda _: segmenter)
    names = [report["case"] for report in outcome.written]
    assert names == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    assert segmenter.noted == "write"  # a kill would be blamed on the second scan alone


def test_an_error_at_the_last_vertebra_is_that_of_its_own_scan(tmp_path) -> None:
    source, output = folders(tmp_path)
    segmenter = Overtaken(output, InputError("broke", "a"))
    outcome = run_batch(Options(source, output), lambda _: segmenter)
    ((report, error),) = outcome.failures
    assert report["case"] == "a.nii.gz" and error.what == "broke"
    assert [report["case"] for report in outcome.written] == ["b.nii.gz", "c.nii.gz"]


def test_leaving_completes_the_last_vertebra_and_gives_up_all_else() -> None:
    begun, given_up = threading.Event(), threading.Event()

    def at_its_last(follow) -> None:
        follow("segmentation", 2, 3)
        assert given_up.wait(PATIENCE_S)
        follow("segmentation", 3, 3)

    def endless(follow) -> None:
        try:
            while True:
                follow("segmentation", 0, 3)
        finally:
            given_up.set()

    with Relay() as relay:
        last = relay.begin(at_its_last, ignore)
        run = (endless, lambda *_: begun.set())
        other = threading.Thread(target=relay.begin, args=run)
        other.start()
        assert begun.wait(PATIENCE_S)
    other.join(PATIENCE_S)
    assert last.exception() is None and not other.is_alive()
