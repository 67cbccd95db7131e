"""No result under another scan's name, and none in the place of an input."""

from __future__ import annotations

import csv
import os
import subprocess
import time
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.support.fake_segmenter import POINTS, FakeSegmenter, phantom_scan, write_scan
from tests.support.itk_files import write_itk, write_series
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import ConfigurationError, OutputError
from vertseg.io.case import folded
from vertseg.report.files import read_report
from vertseg.stages import SPINE_ONLY


def run(source: Path, output: Path, **changes):
    segmenter = FakeSegmenter(POINTS)
    return run_batch(Options(source, output, **changes), lambda _: segmenter), segmenter


def another(value: int) -> np.ndarray:
    hu = phantom_scan()
    hu[0, 0, 0] = value
    return hu


def summary(output: Path) -> list[str]:
    rows = csv.DictReader((output / "summary.csv").read_text(encoding="utf-8").splitlines())
    return list(dict.fromkeys(row["case"] for row in rows))


@pytest.mark.parametrize("changes", [{}, {"stages": SPINE_ONLY}, {"overwrite": True}])
@pytest.mark.parametrize("way", ["same", "link", "mount"])
def test_a_mask_never_takes_the_place_of_its_scan(tmp_path, way, changes) -> None:
    """In the layout of grand-challenge.org both have one name."""
    source = tmp_path / "in"
    write_itk(source / "images" / "ct" / "a.mha")
    before = (source / "images" / "ct" / "a.mha").read_bytes()
    output = source if way == "same" else tmp_path / "out"
    if way == "link":
        output.symlink_to(source)
    if way == "mount":
        output.mkdir()
        if os.geteuid() or subprocess.run(["mount", "--bind", source, output]).returncode:
            pytest.skip("nothing can be mounted here")
    try:
        with pytest.raises(ConfigurationError, match="overwrite a file of the input"):
            run(source, output, **changes)
        assert (source / "images" / "ct" / "a.mha").read_bytes() == before
    finally:
        if way == "mount":
            subprocess.run(["umount", output], check=True)


def test_outputs_beside_their_scans_are_fine(tmp_path) -> None:
    write_scan(tmp_path / "a.nii.gz")
    assert run(tmp_path, tmp_path)[0].exit_code == 0
    outcome, segmenter = run(tmp_path, tmp_path)
    assert outcome.exit_code == 0 and segmenter.calls == 0 and len(outcome.resumed) == 1


def test_an_output_folder_within_the_input_holds_no_scans(tmp_path) -> None:
    source = tmp_path / "in"
    write_itk(source / "images" / "ct" / "a.mha")
    for _ in range(2):
        outcome, _ = run(source, source / "out")
        assert outcome.exit_code == 0
        assert [report["case"] for report in outcome.reports] == ["images/ct/a.mha"]


def test_two_scans_of_one_name_given_singly_keep_their_results(tmp_path) -> None:
    output = tmp_path / "out"
    for number in (1, 2):
        write_scan(tmp_path / f"p{number}" / "scan.nii.gz", hu=another(number))
    assert run(tmp_path / "p1" / "scan.nii.gz", output)[0].exit_code == 0
    before = (output / "scan_seg.nii.gz").read_bytes(), (output / "scan_report.json").read_bytes()
    outcome, segmenter = run(tmp_path / "p2" / "scan.nii.gz", output)
    assert outcome.exit_code == 2 and segmenter.calls == 0
    ((_, error),) = outcome.failures
    assert isinstance(error, OutputError) and "of the same name from elsewhere" in error.what
    after = (output / "scan_seg.nii.gz").read_bytes(), (output / "scan_report.json").read_bytes()
    assert after == before
    assert run(tmp_path / "p2" / "scan.nii.gz", output, overwrite=True)[0].exit_code == 0


def test_folders_that_are_mounted_at_one_path_are_told_apart(tmp_path) -> None:
    """As containers do it: another folder, but the same path."""
    for number in (1, 2):
        write_scan(tmp_path / f"p{number}" / "scan.nii.gz", hu=another(number))
    (tmp_path / "p1").rename(tmp_path / "input")
    assert run(tmp_path / "input", tmp_path / "out")[0].exit_code == 0
    (tmp_path / "input").rename(tmp_path / "p1")
    (tmp_path / "p2").rename(tmp_path / "input")
    assert run(tmp_path / "input", tmp_path / "out")[0].exit_code == 2


def test_the_same_scan_from_elsewhere_is_complete(tmp_path) -> None:
    for number in (1, 2):
        write_scan(tmp_path / f"p{number}" / "scan.nii.gz")
    run(tmp_path / "p1", tmp_path / "out")
    outcome, segmenter = run(tmp_path / "p2", tmp_path / "out")
    assert outcome.exit_code == 0 and segmenter.calls == 0


def test_a_scan_stored_in_another_format_keeps_the_results_of_the_first(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii")
    run(tmp_path / "in", tmp_path / "out")
    (tmp_path / "in" / "a.nii").unlink()
    write_scan(tmp_path / "in" / "a.nii.gz", hu=another(5))
    outcome, _ = run(tmp_path / "in", tmp_path / "out")
    assert outcome.exit_code == 2
    assert "another scan, a.nii" in outcome.failures[0][1].what
    assert read_report(tmp_path / "out" / "a_report.json")["case"] == "a.nii"


SAME = {
    "case": ("Patient.nii.gz", "PATIENT.nii.gz"),
    "unicode": (f"{unicodedata.normalize('NFC', 'Größe')}.nii", "Gro\u0308ße.nii"),
    "both": ("Ä.nii", "a\u0308.nii.gz"),
}


@pytest.mark.parametrize("kind", SAME)
def test_names_that_some_file_systems_take_for_one_are_refused(tmp_path, kind) -> None:
    for name in (*SAME[kind], "other.nii"):
        write_scan(tmp_path / "in" / name)
    outcome, segmenter = run(tmp_path / "in", tmp_path / "out")
    assert outcome.exit_code == 2 and segmenter.calls == 1
    assert {report["case"] for report, _ in outcome.failures} == set(SAME[kind])
    assert folded(SAME["case"][0]) == folded(SAME["case"][1])


def test_a_series_described_like_a_file_is_another_scan_or_refused(tmp_path) -> None:
    write_scan(tmp_path / "in" / "3_p.nii.gz")
    write_series(tmp_path / "in", description="p.nii.gz")
    outcome, _ = run(tmp_path / "in", tmp_path / "out")
    assert outcome.exit_code in (2, 3)
    assert len(outcome.failures) == 2
    assert all("same files as 3_p.nii.gz" in error.what for _, error in outcome.failures)


def test_identities_of_series_cannot_lead_out_of_the_output_folder(tmp_path) -> None:
    """Two series of one description are told apart by the end of what they say they are."""
    for number, uid in enumerate(("1.2/../../x", "1.2/../../y")):
        write_series(tmp_path / "in", uid=uid, prefix=f"S{number}", description="T")
    found = find_cases(tmp_path / "in")
    assert len(found.cases) == 2
    for case in found.cases:
        assert ".." not in case.report.parts and len(case.report.parts) == 1
    outside = set(tmp_path.iterdir())
    outcome, _ = run(tmp_path / "in", tmp_path / "out")
    assert outcome.exit_code == 0
    assert set(tmp_path.iterdir()) == outside | {tmp_path / "out"}


def test_results_that_were_put_aside_do_not_enter_summary_and_index(tmp_path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    write_scan(source / "p1" / "a.nii.gz")
    run(source, output)
    (output / "archive").mkdir()
    (output / "p1").rename(output / "archive" / "p1")
    (source / "p1").rename(source / "p2")
    outcome, _ = run(source, output)
    assert outcome.exit_code == 0
    assert summary(output) == ["p2/a.nii.gz"]
    assert "p1/a.nii.gz" not in (output / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["summary.csv", "index.html"])
def test_tables_of_others_are_kept_and_the_run_does_not_begin(tmp_path, name) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("patient,age\n")
    with pytest.raises(ConfigurationError, match="not written by this program"):
        run(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out" / name).read_text() == "patient,age\n"
    assert run(tmp_path / "in", tmp_path / "out", overwrite=True)[0].exit_code == 0


@pytest.mark.parametrize("name", ["summary.csv", "index.html"])
def test_edited_tables_are_kept(tmp_path, name) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    run(tmp_path / "in", tmp_path / "out")
    assert run(tmp_path / "in", tmp_path / "out")[0].exit_code == 0
    path = tmp_path / "out" / name
    path.write_text(path.read_text() + "checked by a reader\n")
    edited = path.read_text()
    with pytest.raises(ConfigurationError, match="was changed since"):
        run(tmp_path / "in", tmp_path / "out")
    assert path.read_text() == edited
    assert run(tmp_path / "in", tmp_path / "out", overwrite=True)[0].exit_code == 0


# --------------------------------------------------------------- content decides


def keep_times(path: Path, state: os.stat_result) -> None:
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_another_content_of_the_same_size_and_time_is_another_scan(tmp_path) -> None:
    path = tmp_path / "in" / "a.nii"
    write_scan(path)
    run(tmp_path / "in", tmp_path / "out")
    state = path.stat()
    write_scan(path, hu=another(5))
    keep_times(path, state)
    assert path.stat().st_size == state.st_size and path.stat().st_mtime_ns == state.st_mtime_ns
    outcome, segmenter = run(tmp_path / "in", tmp_path / "out")
    assert outcome.exit_code == 0 and segmenter.calls == 1


def test_older_slices_in_place_of_the_first_ones_are_another_scan(tmp_path) -> None:
    folder = tmp_path / "in" / "s"
    image = write_series(folder)
    last = sorted(folder.iterdir())[-1]
    run(tmp_path / "in", tmp_path / "out")
    kept, state = last.read_bytes(), last.stat()
    array = sitk.GetArrayFromImage(image)
    other = sitk.GetImageFromArray(np.flip(array, 1).copy())
    other.CopyInformation(image)
    write_series(folder, other)
    last.write_bytes(kept)
    for path in folder.iterdir():
        keep_times(path, state)
    _, segmenter = run(tmp_path / "in", tmp_path / "out")
    assert segmenter.calls == 1


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_replaced_voxels_of_a_header_are_another_scan(tmp_path, suffix) -> None:
    header = tmp_path / "in" / f"a{suffix}"
    write_itk(header, packed=False)
    if suffix == ".nhdr":
        header = header.rename(header.with_suffix(".nrrd"))
    (data,) = (path for path in header.parent.iterdir() if path != header)
    run(tmp_path / "in", tmp_path / "out")
    values = np.frombuffer(data.read_bytes(), np.int16).copy()
    values[:50] += 1
    state = data.stat()
    data.write_bytes(values.tobytes())
    keep_times(data, state)
    _, segmenter = run(tmp_path / "in", tmp_path / "out")
    assert segmenter.calls == 1


def test_a_resumed_run_reads_no_scan_whose_stamp_is_the_same(tmp_path, monkeypatch) -> None:
    path = tmp_path / "in" / "a.nii.gz"
    write_scan(path)
    now = time.time_ns
    monkeypatch.setattr("vertseg.system.fingerprint.time.time_ns", lambda: now() + 10**10)
    run(tmp_path / "in", tmp_path / "out")

    def refuse(*_):
        raise AssertionError("the scan is read")

    monkeypatch.setattr("vertseg.system.fingerprint.sha256_of_all", refuse)
    _, segmenter = run(tmp_path / "in", tmp_path / "out")
    assert segmenter.calls == 0
