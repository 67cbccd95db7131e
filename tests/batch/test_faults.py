"""Faults in the middle of a run: each costs its own scan, and says why."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, phantom_scan, write_scan
from tests.support.paths import ROOT
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import InputError, NoInputError, OutputError
from vertseg.io.read import read_image
from vertseg.report.files import read_report
from vertseg.system.atomic import atomic_writer


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in "ab":
        write_scan(tmp_path / "in" / f"{name}.nii.gz")
    return tmp_path / "in", tmp_path / "out"


def run(folders, before=None, **changes):
    segmenter = FakeSegmenter(POINTS, before=before)
    outcome = run_batch(Options(*folders, **changes), lambda _: segmenter)
    return outcome, segmenter


def outputs(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


OVERVIEW = {"summary.csv", "index.html"}
OF_B = {f"b_{end}" for end in ("seg.nii.gz", "ctd.json", "report.json", "preview.png")}


def test_a_disk_that_is_full_for_a_while(folders, monkeypatch) -> None:
    """Nothing is left of the scan that found it full; later ones and --resume go on."""
    fsync, calls = os.fsync, []

    def full_at_first(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) <= 2:  # the mask, then the report of the failure
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_at_first)
    outcome, _ = run(folders, only="a*")
    ((_, error),) = outcome.failures
    assert isinstance(error, OutputError) and "Free some space" in error.remedy
    assert "a_seg.nii.gz" in error.where
    outcome, segmenter = run(folders)
    assert outcome.exit_code == 0 and segmenter.calls == 2
    assert not list(folders[1].glob(".*"))


def test_a_disk_that_is_full_at_the_end_is_an_output_error(folders, monkeypatch) -> None:
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run(folders)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"index\.html.*Free some space"):
        run(folders)
    assert outputs(folders[1]) >= OF_B | OVERVIEW
    assert not list(folders[1].glob(".*"))


def test_files_that_the_system_cuts_short(folders) -> None:
    """As on a full disk, but with the system's own refusal in the middle of a file."""
    write_scan(folders[0] / "a.nii.gz", hu=phantom_scan((60, 60, 60)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"index\.html.*ulimit"):
            run(folders)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(folders[1].glob(".*"))
    assert not [path for path in folders[1].iterdir() if path.stat().st_size == 6000]
    assert read_report(folders[1] / "a_report.json")["status"] == "failed"
    assert run(folders)[0].exit_code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_disk_that_is_really_full(folders) -> None:
    """On a file system of half a megabyte: what fits is whole, the rest is told and done later."""
    output = folders[1]
    output.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(output)]
    if shutil.which("mount") is None or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        filler = output / "filler"
        filler.write_bytes(bytes(440 << 10))
        outcome, _ = run(folders)
        assert outcome.exit_code == 2 and not outcome.written
        for _, error in outcome.failures:
            assert isinstance(error, OutputError)
            assert "No space left" in error.what and "Free some space" in error.remedy
        assert not list(output.glob(".*"))
        filler.unlink()
        assert run(folders)[0].exit_code == 0
    finally:
        subprocess.run(["umount", str(output)], check=True)


STOPPED = """
import os, signal, sys
from tests.support.fake_segmenter import POINTS, FakeSegmenter
from vertseg.cli import main
def stop(_):
    os.kill(os.getpid(), int(sys.argv.pop()))
sys.exit(main(sys.argv[1:-1], lambda _: FakeSegmenter(POINTS, before=stop)))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_process_ends_with_its_code_and_a_sentence(folders, number, code) -> None:
    root = ROOT
    paths = os.pathsep.join((str(root), str(root / "tests")))
    arguments = ["--input", folders[0], "--output", folders[1], str(int(number))]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, *arguments],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert f"Stopped by {signal.Signals(number).name}" in done.stderr
    assert "Traceback" not in done.stderr
    assert outputs(folders[1]) == OVERVIEW


def test_an_input_that_vanishes(folders) -> None:
    third = folders[0] / "c.nii.gz"  # the second may have been read by then
    shutil.copyfile(folders[0] / "b.nii.gz", third)
    others = iter([third])

    def remove(_) -> None:
        for path in others:
            path.unlink()

    outcome, _ = run(folders, remove)
    assert outcome.exit_code == 2
    ((report, error),) = outcome.failures
    assert report["case"] == "c.nii.gz" and "No such file" in error.what


@pytest.mark.parametrize("lost", ["folder", "report", "mask"])
def test_outputs_that_go_away_while_the_run_goes_on_are_told(folders, lost) -> None:
    output, seen = folders[1], []

    def lose(_) -> None:
        seen.append(1)
        if len(seen) == 2:
            patience = 600
            while not (output / "a_report.json").exists() and (patience := patience - 1):
                time.sleep(0.1)
            if lost == "folder":
                shutil.rmtree(output)
            else:
                (output / f"a_{'report.json' if lost == 'report' else 'seg.nii.gz'}").unlink()

    outcome, _ = run(folders, lose)
    assert outcome.exit_code == 2
    told = {report["case"]: error.what for report, error in outcome.failures}
    assert "no longer there" in told["a.nii.gz"]
    page = (output / "index.html").read_text(encoding="utf-8")
    assert "no longer there" in page


def test_an_input_that_changes_while_it_is_read(folders, monkeypatch) -> None:
    def read_and_change(path):
        image = read_image(path)
        if path.name == "a.nii.gz":
            path.unlink()
        else:
            os.utime(path, ns=(1, 1))
        return image

    monkeypatch.setattr("vertseg.batch.scan.read_image", read_and_change)
    outcome, segmenter = run(folders)
    assert outcome.exit_code == 3 and segmenter.calls == 0
    assert all("changed while it was read" in error.what for _, error in outcome.failures)


@pytest.mark.parametrize("name", ["MemoryError", "ResourceExhaustedError"])
def test_lack_of_memory_costs_one_scan(folders, name) -> None:
    kind = MemoryError if name == "MemoryError" else type(name, (Exception,), {})
    calls = []

    def trouble(_) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise kind("OOM when allocating")

    outcome, _ = run(folders, trouble)
    ((report, error),) = outcome.failures
    assert report["case"] == "a.nii.gz" and "not enough memory" in error.what and error.remedy
    assert outputs(folders[1]) == OF_B | OVERVIEW | {"a_report.json"}


def test_a_scan_in_which_a_run_was_killed_comes_last(folders) -> None:
    folders[1].mkdir()
    (folders[1] / ".a.lock").touch()
    order = []
    outcome, _ = run(folders, lambda image: order.append(len(outputs(folders[1]))))
    assert [report["case"] for report in outcome.written] == ["b.nii.gz", "a.nii.gz"]
    assert outcome.exit_code == 0
    assert not list(folders[1].glob(".*"))


def test_unfinished_files_of_a_killed_run_are_removed(folders) -> None:
    with atomic_writer(folders[1] / "a_seg.nii.gz"):
        (partial,) = folders[1].iterdir()
    (folders[1] / "a_seg.nii.gz").unlink()
    partial.with_name(partial.name[:-9] + "killed.part").write_bytes(b"half")
    (folders[1] / ".a.lock").touch()
    run(folders)
    assert outputs(folders[1]) == OF_B | OVERVIEW | {name.replace("b_", "a_") for name in OF_B}


@pytest.mark.parametrize("kind", ["pipe", "device", "endless"])
def test_inputs_that_never_end_are_refused_at_once(folders, kind) -> None:
    path = folders[0] / "a.nii.gz"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
        os.mkfifo(folders[0] / "pipe")  # without a suffix, as DICOM files are
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as stream:
            stream.truncate(2**40)
    outcome, _ = run(folders)
    assert outcome.exit_code == 2
    ((_, error),) = outcome.failures
    assert isinstance(error, InputError)
    assert ("more than any scan has" if kind == "endless" else "is not a file") in error.what


def test_paths_that_the_system_refuses_are_told(tmp_path) -> None:
    with pytest.raises(NoInputError, match="does not exist"):
        find_cases(tmp_path / ("x" * 300))


def test_a_small_file_that_spans_a_hall_is_refused(tmp_path) -> None:
    """The first network works on the whole box, whose size the header alone decides."""
    hu = np.resize(phantom_scan(), (2, 2, 3000))
    write_scan(tmp_path / "a.nii.gz", spacing_mm=40.0, hu=hu)
    with pytest.raises(InputError, match=r"0\.08 x 0\.08 x 1\.2e\+02 m long"):
        read_image(tmp_path / "a.nii.gz")
    write_scan(tmp_path / "a.nii.gz", spacing_mm=40.0, hu=np.resize(hu, (60, 60, 60)))
    with pytest.raises(InputError, match="8 cubic metres"):
        read_image(tmp_path / "a.nii.gz")


CHANGES = {
    "case": 7,
    "status": "fine",
    "vertebrae": [{"label": 99}],
    "flags": [{"code": 1}],
    "seconds": {"total": "long"},
    "outputs": 3,
    "error": {"what": 1},
    "schema": "another",
}


def test_reports_of_others_in_the_output_folder_are_passed_over(folders) -> None:
    run(folders)
    report = json.loads((folders[1] / "b_report.json").read_text())
    for number, (name, value) in enumerate(CHANGES.items()):
        changed = json.dumps({**report, name: value})
        (folders[1] / f"{number}_report.json").write_text(changed)
        assert read_report(folders[1] / f"{number}_report.json") is None, name
    (folders[1] / "b_report.json").write_text(json.dumps({**report, "vertebrae": None}))
    outcome, segmenter = run(folders)
    assert outcome.exit_code == 2 and segmenter.calls == 0
    ((_, error),) = outcome.failures
    assert "b_report.json" in error.where and "was changed since" in error.what
    outcome, segmenter = run(folders, overwrite=True)
    assert outcome.exit_code == 0 and segmenter.calls == 1
