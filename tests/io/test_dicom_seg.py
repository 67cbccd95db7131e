"""Masks as DICOM Segmentation: where the voxels lie, and what they are called."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from tests.support.dicom_files import multi_frame, slices_of, write_dicom, write_slices
from tests.support.fake_segmenter import FakeSegmenter, write_scan
from tests.support.itk_files import OBLIQUE, SAGITTAL, itk_image, write_series
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.cli import main
from vertseg.io import dicom_seg
from vertseg.io.dicom_read import read_dicom
from vertseg.io.dicom_seg import write_dicom_seg

hd = pytest.importorskip("highdicom")
FRAME = {"g0020_0052": "1.2.9"}


@pytest.mark.parametrize("directions", [OBLIQUE, SAGITTAL])
def test_every_voxel_comes_back_at_its_place(tmp_path, directions) -> None:
    write_series(tmp_path / "s", itk_image(directions=directions), **FRAME)
    files = sorted((tmp_path / "s").iterdir())
    image = read_dicom(tmp_path / "s")
    labels = np.zeros(image.grid.size, np.uint8)
    labels[2:5, 3:6, 4:9], labels[6:8, 1:9, 9:12] = 20, 28
    write_dicom_seg(tmp_path / "seg.dcm", labels, files)
    stored = hd.seg.segread(tmp_path / "seg.dcm")
    volume = stored.get_volume(combine_segments=True)
    for number, label in ((1, 20), (2, 28)):
        index = np.argwhere(volume.array == number)
        there = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        here = image.grid.index_to_lps(np.argwhere(labels == label))
        np.testing.assert_allclose(_ordered(there), _ordered(here), atol=1e-4)
    first, second = stored.SegmentSequence
    assert (first.SegmentLabel, second.SegmentLabel) == ("L1", "T13")
    assert first.segmented_property_type.meaning == "L1 vertebra"
    assert first.segmented_property_type.scheme_designator == "SCT"
    assert stored.FrameOfReferenceUID == "1.2.9" and stored.Modality == "SEG"
    assert stored.NumberOfFrames == 5 + 3  # frames without a vertebra are left out


def _ordered(points: np.ndarray) -> np.ndarray:
    rounded = np.round(points, 3)
    return rounded[np.lexsort(rounded.T)]


def test_a_run_writes_it_for_series_when_asked(tmp_path) -> None:
    image = write_series(tmp_path / "in" / "CT", **FRAME)
    segmenter = FakeSegmenter({20: image.TransformIndexToPhysicalPoint((5, 6, 9))})
    options = Options(input=tmp_path / "in", output=tmp_path / "out", dicom_seg=True)
    outcome = run_batch(options, lambda _: segmenter)
    assert outcome.written[0]["outputs"]["dicom_seg"] == "CT_seg.dcm"
    assert hd.seg.segread(tmp_path / "out" / "CT_seg.dcm").number_of_segments == 1
    run_batch(options, lambda _: segmenter)
    assert segmenter.calls == 1
    empty = run_batch(replace(options, resume=False), _finds_nothing)
    assert empty.exit_code == 0 and not (tmp_path / "out" / "CT_seg.dcm").exists()
    # Its own output beside the series is no scan.
    (case,) = find_cases(options.input).cases
    write_dicom_seg(case.path / "x.dcm", np.full((12, 13, 14), 20, np.uint8), case.slices)
    assert [len(case.slices) for case in find_cases(options.input).cases] == [14]


def _finds_nothing(_: Options) -> FakeSegmenter:
    return FakeSegmenter()


def test_a_series_without_a_frame_of_reference_says_so_and_has_all_other_outputs(tmp_path) -> None:
    write_series(tmp_path / "in" / "CT")
    options = Options(input=tmp_path / "in", output=tmp_path / "out", dicom_seg=True)
    segmenter = FakeSegmenter({20: (5.0, 20.0, 20.0)})
    outcome = run_batch(options, lambda _: segmenter)
    assert outcome.exit_code == 2
    (report,) = outcome.written
    said = report["failed_outputs"]["dicom_seg"]
    assert "FrameOfReferenceUID" in said and "--dicom-seg" in said and said in report["warnings"]
    names = {path.name for path in (tmp_path / "out").glob("CT_*")}
    assert names == {f"CT_{n}" for n in ("seg.nii.gz", "ctd.json", "preview.png", "report.json")}
    assert run_batch(options, lambda _: segmenter).exit_code == 2 and segmenter.calls == 1


def test_an_error_of_the_library_costs_no_other_output(tmp_path, monkeypatch) -> None:
    def fail(*_):
        raise ValueError("nonsense")

    monkeypatch.setattr(dicom_seg, "build_segmentation", fail)
    write_series(tmp_path / "in" / "CT", **FRAME)
    options = Options(input=tmp_path / "in", output=tmp_path / "out", dicom_seg=True)
    outcome = run_batch(options, lambda _: FakeSegmenter({20: (5.0, 20.0, 20.0)}))
    assert outcome.exit_code == 2 and (tmp_path / "out" / "CT_preview.png").is_file()
    assert "ValueError: nonsense" in outcome.written[0]["failed_outputs"]["dicom_seg"]


PATIENTS = {
    "no patient": dict.fromkeys(
        ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber")
    ),
    "no study": dict.fromkeys(("StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName")),
    "sex": {"PatientSex": "U"},
    "birth date": {"PatientBirthDate": "00000000"},
    "date": {"StudyDate": "20211341", "StudyTime": "1O:30"},
    "long": {"AccessionNumber": "A" * 64, "StudyID": "S" * 64},
    "unnamed set": {"SpecificCharacterSet": ""},
    "six": {"SpecificCharacterSet": "ISO_IR 6"},
    "unknown set": {"SpecificCharacterSet": "ISO_IR 999"},
}


@pytest.mark.parametrize("kind", PATIENTS)
def test_elements_that_are_absent_or_wrong_become_empty(tmp_path, kind) -> None:
    with warnings.catch_warnings(action="ignore"):  # of pydicom, about what is wrong
        paths = write_slices(tmp_path / "s", slices_of(**PATIENTS[kind]))
        write_dicom_seg(tmp_path / "x.dcm", np.full((12, 13, 14), 20, np.uint8), paths)
        stored = hd.seg.segread(tmp_path / "x.dcm")
        for name, value in PATIENTS[kind].items():
            if name != "SpecificCharacterSet":
                expected = value if kind == "long" else ""
                assert str(stored[name].value or "") == expected, name
    if "PatientName" not in PATIENTS[kind]:
        assert stored.PatientName == "Phantom^Paul"


NAMES = {
    "Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Latin": ("ISO_IR 100", "Müller^Jürgen"),
    "Chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_in_any_script_come_through(tmp_path, kind) -> None:
    charset, name = NAMES[kind]
    slices = slices_of(SpecificCharacterSet=charset, PatientName=name)
    paths = write_slices(tmp_path / "s", slices)
    write_dicom_seg(tmp_path / "x.dcm", np.full((12, 13, 14), 20, np.uint8), paths)
    stored = hd.seg.segread(tmp_path / "x.dcm")
    assert str(stored.PatientName) == name and stored.SpecificCharacterSet == "ISO_IR 192"


def test_the_mask_of_an_enhanced_image(tmp_path) -> None:
    write_dicom(tmp_path / "s" / "all.dcm", multi_frame())
    image = read_dicom(tmp_path / "s")
    labels = np.zeros(image.grid.size, np.uint8)
    labels[2:5, 3:6, 4:9] = 20
    write_dicom_seg(tmp_path / "seg.dcm", labels, [tmp_path / "s" / "all.dcm"])
    volume = hd.seg.segread(tmp_path / "seg.dcm").get_volume(combine_segments=True)
    index = np.argwhere(volume.array == 1)
    there = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    here = image.grid.index_to_lps(np.argwhere(labels == 20))
    np.testing.assert_allclose(_ordered(there), _ordered(here), atol=1e-4)


def test_without_a_series_it_says_that_it_does_nothing(tmp_path, capsys) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    arguments = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--dicom-seg"]
    assert main(arguments, _finds_nothing) == 0
    assert "no scan is a DICOM series" in capsys.readouterr().err


def test_without_the_package_nothing_is_run(tmp_path, monkeypatch, capsys) -> None:
    write_series(tmp_path / "in" / "CT")
    monkeypatch.setattr(dicom_seg, "find_spec", lambda name: None)
    arguments = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--dicom-seg"]
    assert main(arguments, _finds_nothing) == 1
    assert "vertseg[dicom-seg]" in capsys.readouterr().err
