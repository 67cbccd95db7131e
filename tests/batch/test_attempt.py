"""A scan that gets the run killed is told and costs no other; a chance kill costs nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from tests.support.forked_runs import ended, forked
from vertseg.batch import attempt
from vertseg.batch.attempt import Attempt
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.report.files import read_report


@pytest.fixture
def folders(tmp_path: Path, monkeypatch) -> tuple[Path, Path]:
    for name in "abc":
        write_scan(tmp_path / "in" / f"{name}.nii.gz")
    monkeypatch.setattr(attempt, "COUNTERS", tmp_path / "vmstat")
    monkeypatch.setattr(attempt, "BOOT", tmp_path / "boot")
    system(tmp_path, 3)
    return tmp_path / "in", tmp_path / "out"


def system(tmp_path: Path, kills: int, boot: str = "one") -> None:
    (tmp_path / "vmstat").write_text(f"oom_kill_other 9\noom_kill {kills}\n")
    (tmp_path / "boot").write_text(f"{boot}\n")


def killed_in(folders, calls: int, number: int = signal.SIGKILL, written: str = "") -> None:
    """A run that ends at once at that call of the networks, if need be when a scan is written."""
    seen = []

    def kill(_) -> None:
        seen.append(1)
        if len(seen) == calls:
            while written and not is_written(folders[1], written):
                time.sleep(0.01)
            os.kill(os.getpid(), number)

    def work() -> int:
        run_batch(Options(*folders), lambda _: FakeSegmenter(POINTS, before=kill))
        return 0

    assert ended(forked(work)) == (0, number)


def is_written(output: Path, name: str) -> bool:
    return (output / f"{name}_report.json").exists() and not (output / f".{name}.lock").exists()


def run(folders, **changes):
    segmenter = FakeSegmenter(POINTS)
    return run_batch(Options(*folders, **changes), lambda _: segmenter), segmenter


def test_a_scan_for_which_memory_did_not_suffice_is_told_by_the_next_run(tmp_path, folders) -> None:
    killed_in(folders, 2, written="a")
    system(tmp_path, 4)
    outcome, segmenter = run(folders)
    assert outcome.exit_code == 2
    ((report, error),) = outcome.failures
    assert report["case"] == "b.nii.gz" and "out of memory" in error.what and error.remedy
    assert read_report(folders[1] / "b_report.json")["status"] == "failed"
    assert {r["case"] for r in outcome.reports if r["status"] == "ok"} == {"a.nii.gz", "c.nii.gz"}
    assert not list(folders[1].glob(".*"))
    outcome, segmenter = run(folders)  # with more memory, say
    assert outcome.exit_code == 0 and segmenter.calls == 1


def test_a_chance_kill_costs_nothing(folders) -> None:
    killed_in(folders, 2)
    outcome, segmenter = run(folders)
    assert outcome.exit_code == 0 and segmenter.calls in (2, 3)  # the first may not be written


def test_others_are_done_and_told_before_a_scan_that_may_kill_again(folders) -> None:
    killed_in(folders, 1)
    note = json.loads((folders[1] / ".a.lock").read_text())
    assert note["number"] == 1 and note["boot"] == "one"
    killed_in(folders, 3)  # the first, and the one that was read ahead, come last
    done = {path.name for path in folders[1].glob("*_report.json")}
    assert done == {"a_report.json", "c_report.json"}
    page = (folders[1] / "index.html").read_text(encoding="utf-8")
    assert "a.nii.gz" in page and "c.nii.gz" in page


@pytest.mark.parametrize(("boot", "runs"), [("one", 5), ("", 2)])
def test_kills_that_nobody_can_explain_end_too(tmp_path, folders, boot, runs) -> None:
    """Such as by a crash, or by a scheduler that watches memory itself."""
    if not boot:
        (tmp_path / "vmstat").unlink()
    for _ in range(runs):
        killed_alone(folders)
    outcome, segmenter = run(folders, only="a*")
    assert outcome.exit_code == 2 and segmenter.calls == 0
    assert f"{runs} runs were killed" in outcome.failures[0][1].what


def killed_alone(folders) -> None:
    def work() -> int:
        kill = FakeSegmenter(POINTS, before=lambda _: os.kill(os.getpid(), signal.SIGKILL))
        run_batch(Options(*folders, only="a*"), lambda _: kill)
        return 0

    assert ended(forked(work)) == (0, signal.SIGKILL)


def test_a_scan_that_kills_while_it_is_read_ahead_is_told_in_the_end(folders, monkeypatch) -> None:
    from vertseg.batch import scan

    real = scan.read_image

    def read(path):
        if path.name == "b.nii.gz":
            os.kill(os.getpid(), signal.SIGKILL)
        return real(path)

    monkeypatch.setattr(scan, "read_image", read)
    for _ in range(12):
        code, number = ended(forked(lambda: run(folders)[0].exit_code))
        if not number:
            break
    assert code == 2
    statuses = {n: read_report(folders[1] / f"{n}_report.json")["status"] for n in "abc"}
    assert statuses == {"a": "ok", "b": "failed", "c": "ok"}


def test_notes_that_cannot_be_read_count_as_a_first_attempt_elsewhere() -> None:
    for text in ("", "{", "[]", '{"number": "x"}'):
        assert Attempt.parse(text) == Attempt()
    assert Attempt.parse(Attempt(2, "b", 7, "write").as_text()) == Attempt(2, "b", 7, "write")
