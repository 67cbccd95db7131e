"""Files that crash or hold up the libraries of ITK cost themselves, and not the run."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from tests.support.itk_files import write_itk, write_series
from tests.support.paths import ROOT
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import InputError
from vertseg.system.child import IsolationError, abandon, isolated


def test_values_and_errors_come_through() -> None:
    assert list(isolated(range, 3)) == [0, 1, 2]
    with pytest.raises(FileNotFoundError):
        list(isolated(os.listdir, "/nowhere"))
    assert list(isolated(range, 2)) == [0, 1]


def test_the_next_job_survives_one_that_does_not() -> None:
    with pytest.raises(IsolationError, match=r"crashed \(SIGABRT\)"):
        list(isolated(os.abort))
    with pytest.raises(IsolationError, match="more than 1 s"):
        list(isolated(sum, itertools.count(), seconds=1))
    assert list(isolated(range, 3)) == [0, 1, 2]


def test_a_job_that_nobody_waits_for_is_ended() -> None:
    for value in isolated(range, 10**9):
        assert value == 0
        break
    assert list(isolated(range, 3)) == [0, 1, 2]


def test_a_job_that_only_waits_is_ended_by_the_clock(tmp_path) -> None:
    """As reading from a pipe that nobody writes to, or from a disk that is gone."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IsolationError, match="more than 2 s"):
        list(isolated(open, tmp_path / "pipe", seconds=1, patience=1))


def test_a_job_can_be_abandoned_from_another_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(lambda: list(isolated(sum, itertools.count(), seconds=300)))
        while not job.done():
            abandon()
        assert isinstance(job.exception(), IsolationError)
    assert list(isolated(range, 3)) == [0, 1, 2]


KILLED_RUN = """
import itertools
import os

from vertseg.system.child import isolated

(pid,) = isolated(os.listdir, "/proc/self/task")
print(pid, flush=True)
list(isolated(sum, itertools.count()))
"""


def test_the_process_dies_with_its_run() -> None:
    """Even in the middle of a job that never lets Python run."""
    run = subprocess.Popen([sys.executable, "-c", KILLED_RUN], stdout=subprocess.PIPE, cwd=ROOT)
    with run:
        pid = int(run.stdout.readline())
        time.sleep(0.5)
        run.kill()
    assert is_gone(pid)


def is_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_no_job_may_take_memory_that_is_not_free() -> None:
    (soft, *_) = isolated(resource.getrlimit, resource.RLIMIT_AS)
    assert soft != resource.RLIM_INFINITY


def test_a_header_that_crashes_the_library(tmp_path) -> None:
    """A NRRD file with a long word in place of the kind of its second axis."""
    write_itk(tmp_path / "in" / "a.nrrd")
    content = (tmp_path / "in" / "a.nrrd").read_bytes()
    damaged = content.replace(b"kinds: domain domain", b"kinds: domain " + b"A" * 5000)
    assert damaged != content
    (tmp_path / "in" / "a.nrrd").write_bytes(damaged)
    write_scan(tmp_path / "in" / "b.nii.gz")
    outcome = run_batch(Options(tmp_path / "in", tmp_path / "out"), lambda _: FakeSegmenter(POINTS))
    ((_, error),) = outcome.failures
    assert isinstance(error, InputError) and "a.nrrd" in str(error) and error.remedy
    assert [report["case"] for report in outcome.written] == ["b.nii.gz"]


def test_jobs_of_several_threads_are_done_at_once_and_one_process_is_kept() -> None:
    with ThreadPoolExecutor(3) as pool:
        numbers = list(pool.map(lambda _: list(isolated(_own_number)), range(3)))
    assert all(len(found) == 1 for found in numbers)
    assert list(isolated(_own_number)) in numbers


def _own_number() -> list[int]:
    time.sleep(0.5)
    return [os.getpid()]


def test_a_slice_cut_within_its_first_elements_is_named_and_the_others_are_done(tmp_path) -> None:
    """The library that unpacks values loops for ever over such a file."""
    write_series(tmp_path / "in" / "s")
    whole = sorted((tmp_path / "in" / "s").iterdir())[0]
    content = whole.read_bytes()
    place = content.index(b"\x02\x00\x12\x00UI")
    whole.with_name("cut.dcm").write_bytes(content[: place + 14])
    write_scan(tmp_path / "in" / "b.nii.gz")
    outcome = run_batch(Options(tmp_path / "in", tmp_path / "out"), lambda _: FakeSegmenter(POINTS))
    assert [report["case"] for report in outcome.written] == ["b.nii.gz"]
    ((report, error),) = outcome.failures
    assert report["case"] == "s" and "cut.dcm" in error.what and error.remedy
