"""Which files make up a series: of several folders, and with slices that are damaged."""

from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
from pydicom.uid import RLELossless

from tests.support.dicom_files import SIZE, multi_frame, slices_of, write_dicom, write_slices
from tests.support.fake_segmenter import FakeSegmenter, phantom_scan, write_scan
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import InputError
from vertseg.io.dicom_header import read_headers
from vertseg.io.dicom_read import read_series

HU = phantom_scan(SIZE).clip(-1024, None)


def refused(folder) -> dict[str, str]:
    """What a run says of the scans that it cannot read, by their names."""
    outcome = run_batch(Options(folder / "in", folder / "out"), lambda _: FakeSegmenter())
    assert outcome.exit_code == (2 if outcome.written else 3)
    return {report["case"]: str(error) for report, error in outcome.failures}


DAMAGE = {
    "empty": (lambda path, raw: path.write_bytes(b""), "is empty"),
    "header": (lambda path, raw: path.write_bytes(raw[:700]), "is cut short"),
    "first bytes": (lambda path, raw: path.write_bytes(raw[:140]), "is "),
    "half": (lambda path, raw: path.write_bytes(raw[:-200]), "is cut short"),
    "zeros": (lambda path, raw: path.write_bytes(bytes(len(raw))), "is not DICOM"),
    "link": (lambda path, raw: _dead_link(path), "is a link to a file that is missing"),
    "pointer": (lambda path, raw: path.write_text("/annex/objects/x\n"), "is not DICOM"),
    "folder's pipe": (lambda path, raw: _pipe(path), "is not a file"),
}


def _dead_link(path) -> None:
    path.unlink()
    path.symlink_to("../annex/" + path.name)


def _pipe(path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("suffix", [".dcm", "", ".img"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_series_whose_last_slices_are_damaged_is_refused_and_they_are_named(
    tmp_path, kind, suffix
) -> None:
    damage, text = DAMAGE[kind]
    paths = write_slices(tmp_path / "in" / "s", slices_of(), name="IM{:03d}" + suffix)
    for path in paths[-3:]:
        damage(path, path.read_bytes())
    (said,) = refused(tmp_path).values()
    assert all(path.name in said for path in paths[-3:]) and text in said
    assert paths[-4].name not in said


def test_compressed_slices_that_are_cut_short(tmp_path) -> None:
    slices = slices_of()
    for one in slices:
        one.compress(RLELossless)
    paths = write_slices(tmp_path / "in" / "s", slices)
    paths[-1].write_bytes(paths[-1].read_bytes()[:-8])
    assert "IM013.dcm is cut short" in refused(tmp_path)["s"]


@pytest.mark.parametrize("kind", [kind for kind in DAMAGE if kind not in ("zeros", "pointer")])
@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_a_series_of_which_nothing_is_left_appears_by_name(tmp_path, kind, suffix) -> None:
    damage, text = DAMAGE[kind]
    for path in write_slices(tmp_path / "in" / "lost", slices_of(), name="IM{:03d}" + suffix):
        damage(path, path.read_bytes())
    write_scan(tmp_path / "in" / "good.nii.gz")
    said = refused(tmp_path)
    assert list(said) == ["lost"] and text in said["lost"] and "and 4 more" in said["lost"]


def test_damage_concerns_its_own_series_where_that_is_known(tmp_path) -> None:
    write_slices(tmp_path / "in" / "s", slices_of(SeriesNumber=1), name="A{:03d}.dcm")
    paths = write_slices(tmp_path / "in" / "s", slices_of(SeriesNumber=2), name="B{:03d}.dcm")
    paths[5].write_bytes(paths[5].read_bytes()[:-60])
    assert list(refused(tmp_path)) == ["s/2_Thorax-1.0"]
    paths[5].write_bytes(b"")
    assert list(refused(tmp_path)) == ["s/1_Thorax-1.0", "s/2_Thorax-1.0"]


def test_files_beside_a_series_that_are_no_slices_do_no_harm(tmp_path) -> None:
    write_slices(tmp_path / "s", slices_of())
    (tmp_path / "s" / "notes.txt").write_text("x")
    (tmp_path / "s" / "empty").write_text("")
    (tmp_path / "s" / "VERSION").write_text("1")
    (tmp_path / "s" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "s" / "DICOMDIR").write_bytes(b"")
    document = slices_of()[0]
    document.Modality = "SR"
    del document.PixelData
    write_dicom(tmp_path / "s" / "report.dcm", document)
    found = find_cases(tmp_path)
    np.testing.assert_array_equal(read_series(found.cases[0].series, "s").array, HU)
    assert [left.reason for left in found.skipped] == ["DICOM, a document"]


@pytest.mark.parametrize("per_folder", [1, 7])
def test_a_series_in_several_folders_is_one_scan(tmp_path, per_folder) -> None:
    for k, one in enumerate(slices_of()):
        write_dicom(tmp_path / "in" / "p" / f"part{k // per_folder}" / f"I{k}.dcm", one)
    (case,) = find_cases(tmp_path / "in").cases
    assert case.name == "p"
    np.testing.assert_array_equal(read_series(case.series, "p").array, HU)
    (tmp_path / "in" / "p" / "part0" / "I0.dcm").write_bytes(b"")
    assert "I0.dcm is empty" in refused(tmp_path)["p"]


def test_copies_and_other_patients_of_one_identity_stay_apart(tmp_path) -> None:
    slices = slices_of(SeriesInstanceUID="1.2.3")
    write_slices(tmp_path / "p1" / "CT", slices)
    write_slices(tmp_path / "copy" / "CT", slices)
    other = slices_of(SeriesInstanceUID="1.2.3", PatientID="P1")
    for k, one in enumerate(other):
        one.ImagePositionPatient = [1, 2, 500 + 3 * k]
    write_slices(tmp_path / "p2" / "CT", other)
    assert [case.name for case in find_cases(tmp_path).cases] == ["copy/CT", "p1/CT", "p2/CT"]


def test_many_files_are_read_by_several_processes_in_their_order(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("vertseg.io.dicom_search.FEWEST_FILES", 4)
    monkeypatch.setattr("vertseg.io.dicom_search.processors", lambda: 3)
    write_slices(tmp_path / "s", slices_of())
    (case,) = find_cases(tmp_path).cases
    assert [one.file.name for one in case.series.slices] == [f"IM{k:03d}.dcm" for k in range(14)]
    assert len({id(one.kind) for one in case.series.slices}) == 1


def test_a_slice_that_changes_after_the_search_is_noticed(tmp_path) -> None:
    paths = write_slices(tmp_path / "s", slices_of())
    (case,) = find_cases(tmp_path).cases
    paths[3].write_bytes(paths[3].read_bytes() + b"\0\0")
    with pytest.raises(InputError, match=r"IM003\.dcm has changed"):
        read_series(case.series, "s")


def zipped(path, folder, **options) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", **options) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))


@pytest.mark.parametrize("packing", [0, 8, 14])  # stored, deflated, LZMA
def test_a_zipped_series_is_a_scan(tmp_path, packing) -> None:
    write_slices(tmp_path / "plain", slices_of(FrameOfReferenceUID="1.2.9"))
    (tmp_path / "plain" / "notes.txt").write_text("x")
    zipped(tmp_path / "in" / "p" / "scan 1.zip", tmp_path / "plain", compression=packing)
    (tmp_path / "in" / "code.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    options = Options(tmp_path / "in", tmp_path / "out", dicom_seg=True)
    segmenter = FakeSegmenter({20: (25.0, 25.0, 20.0)})
    (report,) = run_batch(options, lambda _: segmenter).written
    assert report["case"] == "p/scan 1" and "failed_outputs" not in report
    assert (tmp_path / "out" / "p" / "scan 1_seg.dcm").is_file()
    run_batch(options, lambda _: segmenter)
    assert segmenter.calls == 1
    (case,) = find_cases(tmp_path / "in" / "p" / "scan 1.zip").cases
    assert case.name == "scan 1"
    np.testing.assert_array_equal(read_series(case.series, "s").array, HU)


def test_an_archive_of_several_folders_and_one_with_frames(tmp_path) -> None:
    for k, one in enumerate(slices_of(SeriesNumber=1)):
        write_dicom(tmp_path / "plain" / "A" / f"{k}", one)
    write_slices(tmp_path / "plain" / "B", slices_of(SeriesNumber=2))
    write_dicom(tmp_path / "plain" / "C" / "all", multi_frame())
    zipped(tmp_path / "in" / "study.zip", tmp_path / "plain", compression=8)
    cases = find_cases(tmp_path / "in").cases
    assert [case.name for case in cases] == ["study/A", "study/B", "study/C"]
    for case in cases:
        np.testing.assert_array_equal(read_series(case.series, "s").array, HU)


def test_archives_that_cannot_be_read_are_named(tmp_path) -> None:
    write_slices(tmp_path / "plain", slices_of())
    zipped(tmp_path / "in" / "cut.zip", tmp_path / "plain")
    content = (tmp_path / "in" / "cut.zip").read_bytes()
    (tmp_path / "in" / "cut.zip").write_bytes(content[: len(content) // 2])
    write_scan(tmp_path / "nifti" / "a.nii.gz")
    zipped(tmp_path / "in" / "nifti.zip", tmp_path / "nifti")
    zipped(tmp_path / "in" / "flip.zip", tmp_path / "plain", compression=8)
    content = bytearray((tmp_path / "in" / "flip.zip").read_bytes())
    content[2000] ^= 0xFF
    (tmp_path / "in" / "flip.zip").write_bytes(content)
    said = refused(tmp_path)
    assert list(said) == ["cut", "flip", "nifti"]
    assert "cut.zip cannot be unpacked, it is damaged" in said["cut"]
    assert "IM0" in said["flip"] and "unpack it" in said["nifti"]


def test_names_in_an_archive_cannot_leave_the_output_folder(tmp_path) -> None:
    write_scan(tmp_path / "in" / "b.nii.gz")
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as archive:
        for path in write_slices(tmp_path / "plain", slices_of()):
            archive.write(path, f"../../{path.name}")
    assert "names files outside of itself" in refused(tmp_path)["a"]


def test_a_file_that_ends_the_process_costs_itself_alone(tmp_path, monkeypatch) -> None:
    """The process is ended over one file: the others of its message are read again."""
    monkeypatch.setattr("vertseg.io.dicom_search.read_headers", _ended_by_the_fifth)
    paths = write_slices(tmp_path / "s", slices_of())
    (case,) = find_cases(tmp_path).cases
    assert [bad.file.path for bad in case.series.damaged] == [str(paths[5])]
    assert len(case.series.slices) == 13


def _ended_by_the_fifth(files, at_once):
    for start in range(0, len(files), at_once):
        part = files[start : start + at_once]
        if any("005" in file.name for file in part):
            os.abort()
        yield [header for headers in read_headers(part) for header in headers]
