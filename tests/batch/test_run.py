"""Runs over folders with a stand-in for the networks: failures, resuming, stopping."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.support.fake_segmenter import MANIFEST, POINTS, FakeSegmenter, phantom_scan, write_scan
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import ConfigurationError, NoInputError


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "in", tmp_path / "out"


def run(folders, segmenter=None, **changes):
    segmenter = segmenter or FakeSegmenter(POINTS)
    options = Options(input=folders[0], output=folders[1], **changes)
    return run_batch(options, lambda _: segmenter), segmenter


def write_bad_files(folder: Path) -> None:
    good = folder / "good.nii.gz"
    write_scan(good)
    whole = good.read_bytes()
    (folder / "truncated.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "text.nii").write_text("patient,age\n1,70\n" * 40)
    frames = np.stack([phantom_scan((10, 10, 10))] * 3, axis=-1)
    nib.save(nib.Nifti1Image(frames, np.eye(4)), folder / "frames.nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8), np.int16), np.eye(4)), folder / "empty.nii.gz")


def summary(folders) -> list[dict[str, str]]:
    return list(csv.DictReader((folders[1] / "summary.csv").read_text().splitlines()))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_bad_files_are_named_with_reason_and_remedy_and_the_good_one_is_written(folders) -> None:
    write_bad_files(folders[0])
    outcome, _ = run(folders)
    assert outcome.exit_code == 2
    assert [report["case"] for report in outcome.written] == ["good.nii.gz"]
    failures = {report["case"]: error for report, error in outcome.failures}
    reasons = {
        "truncated.nii.gz": "truncated",
        "text.nii": "text file",
        "frames.nii.gz": "frames",
        "empty.nii.gz": "constant",
    }
    assert set(failures) == set(reasons)
    for name, reason in reasons.items():
        assert reason in failures[name].what
        assert name in str(failures[name])
        report = json.loads((folders[1] / f"{name.split('.')[0]}_report.json").read_text())
        assert report["status"] == "failed" and reason in report["error"]["what"]
    for name in ("truncated.nii.gz", "text.nii", "frames.nii.gz"):
        assert failures[name].remedy
    assert files(folders[1]) == {
        *("good_seg.nii.gz", "good_ctd.json", "good_report.json", "good_preview.png"),
        *(f"{name.split('.')[0]}_report.json" for name in reasons),
        *("summary.csv", "index.html"),
    }


def test_outputs_mirror_folders_and_hold_what_was_found(folders) -> None:
    write_scan(folders[0] / "rawdata" / "sub-1" / "sub-1_ct.nii.gz")
    outcome, _ = run(folders)
    assert outcome.exit_code == 0
    folder = folders[1] / "rawdata" / "sub-1"
    mask = nib.load(folder / "sub-1_seg-vert_msk.nii.gz")
    scan = nib.load(folders[0] / "rawdata" / "sub-1" / "sub-1_ct.nii.gz")
    assert mask.shape == scan.shape and np.array_equal(mask.affine, scan.affine)
    assert set(np.unique(mask.get_fdata())) == {0, *POINTS}
    centroids = json.loads((folder / "sub-1_seg-subreg_ctd.json").read_text())
    assert centroids[0] == {"direction": ["L", "P", "S"]}
    assert centroids[1] == {"label": 20, "X": 12.0, "Y": 13.0, "Z": 30.0}
    rows = summary(folders)
    assert [row["name"] for row in rows] == ["L1", "L2", "L3"]
    assert rows[0]["case"] == "rawdata/sub-1/sub-1_ct.nii.gz"


def test_no_spine_is_no_failure(folders) -> None:
    write_scan(folders[0] / "legs.nii.gz")
    outcome, _ = run(folders, FakeSegmenter())
    assert outcome.exit_code == 0
    assert outcome.written[0]["status"] == "no_spine"
    assert nib.load(folders[1] / "legs_seg.nii.gz").get_fdata().max() == 0
    assert json.loads((folders[1] / "legs_ctd.json").read_text()) == [
        {"direction": ["L", "P", "S"]}
    ]


def test_complete_cases_are_left_out(folders) -> None:
    write_scan(folders[0] / "a.nii.gz")
    write_scan(folders[0] / "b.nii.gz")
    run(folders)
    (folders[1] / "b_preview.png").unlink()
    outcome, segmenter = run(folders)
    assert segmenter.calls == 1
    assert [report["case"] for report in outcome.resumed] == ["a.nii.gz"]
    assert [report["case"] for report in outcome.written] == ["b.nii.gz"]
    assert len(summary(folders)) == 6
    _, segmenter = run(folders, resume=False)
    assert segmenter.calls == 2


def test_a_copied_input_is_the_same_and_a_changed_one_is_done_again(folders) -> None:
    scan = folders[0] / "a.nii.gz"
    write_scan(scan)
    run(folders)
    os.utime(scan, ns=(1, 1))
    assert run(folders)[1].calls == 0
    hu = phantom_scan()
    hu[0, 0, 0] = 7
    write_scan(scan, hu=hu)
    assert run(folders)[1].calls == 1
    assert run(folders)[1].calls == 0


def test_other_weights_or_options_are_done_again(folders) -> None:
    write_scan(folders[0] / "a.nii.gz")
    run(folders)
    manifest = json.loads(json.dumps(MANIFEST))
    manifest["files"]["spine"]["sha256"] = "f" * 64
    assert run(folders, FakeSegmenter(POINTS, manifest))[1].calls == 1
    assert run(folders, FakeSegmenter(POINTS, manifest))[1].calls == 0
    changed = run(folders, FakeSegmenter(POINTS, manifest), centroid_format="verse19")
    assert changed[1].calls == 1


def test_outputs_of_an_earlier_scan_do_not_survive_its_broken_successor(folders) -> None:
    scan = folders[0] / "a.nii.gz"
    write_scan(scan)
    run(folders)
    scan.write_bytes(scan.read_bytes()[:200])
    outcome, _ = run(folders)
    assert outcome.exit_code == 3
    assert files(folders[1]) == {"a_report.json", "summary.csv", "index.html"}


def test_a_crash_within_a_case_costs_only_that_case(folders) -> None:
    write_scan(folders[0] / "a.nii.gz")
    write_scan(folders[0] / "b.nii.gz")
    calls = []

    def trouble(image) -> None:
        calls.append(image)
        if len(calls) == 1:
            raise ZeroDivisionError("oops")

    outcome, _ = run(folders, FakeSegmenter(POINTS, before=trouble))
    assert outcome.exit_code == 2
    ((report, error),) = outcome.failures
    assert report["case"] == "a.nii.gz"
    assert "ZeroDivisionError: oops" in error.what and "--verbose" in error.remedy
    assert [report["case"] for report in outcome.written] == ["b.nii.gz"]


def test_lack_of_memory_is_said_in_words(folders) -> None:
    write_scan(folders[0] / "a.nii.gz")

    def trouble(image) -> None:
        raise MemoryError

    outcome, _ = run(folders, FakeSegmenter(before=trouble))
    assert outcome.exit_code == 2
    assert "memory" in outcome.failures[0][1].what


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_cleanly_and_resume_does_the_rest(folders, number, code) -> None:
    for name in "abc":
        write_scan(folders[0] / f"{name}.nii.gz")
    calls = []

    def kill_in_second(image) -> None:
        calls.append(image)
        if len(calls) == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    outcome, _ = run(folders, FakeSegmenter(POINTS, before=kill_in_second))
    assert signal.getsignal(number) == before
    assert outcome.exit_code == code
    expected = {f"a_{end}" for end in ("seg.nii.gz", "ctd.json", "report.json", "preview.png")}
    assert files(folders[1]) == expected | {"summary.csv", "index.html"}
    outcome, segmenter = run(folders)
    assert outcome.exit_code == 0 and segmenter.calls == 2


def test_values_that_are_no_hounsfield_units_need_force(folders) -> None:
    values = (np.random.default_rng(1).random((20, 20, 20)) * 900 + 5).astype(np.int16)
    write_scan(folders[0] / "mr.nii.gz", hu=values)
    outcome, _ = run(folders)
    assert outcome.exit_code == 3
    ((_, error),) = outcome.failures
    assert re.search(
        r"Hounsfield units \(percentiles 1, 50 and 99 are \d+, \d+ and \d+\)$", error.what
    )
    assert "--force" in error.remedy
    outcome, _ = run(folders, FakeSegmenter(), force=True)
    assert outcome.exit_code == 0


def test_scans_that_would_write_the_same_files_are_both_named(folders) -> None:
    write_scan(folders[0] / "a.nii.gz")
    write_scan(folders[0] / "a.nii")
    write_scan(folders[0] / "b.nii.gz")
    outcome, _ = run(folders)
    assert outcome.exit_code == 2
    assert {report["case"] for report, _ in outcome.failures} == {"a.nii", "a.nii.gz"}


def test_an_output_folder_that_cannot_be_made_ends_the_run_before_it_begins(folders) -> None:
    write_scan(folders[0] / "a.nii.gz")
    folders[1].write_text("a file")
    with pytest.raises(ConfigurationError, match="out"):
        run(folders)


def test_nothing_to_do(folders) -> None:
    with pytest.raises(NoInputError):
        run(folders)
    write_scan(folders[0] / "a.nii.gz")
    with pytest.raises(NoInputError, match="pattern"):
        run(folders, only="b*")
