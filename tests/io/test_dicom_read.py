"""DICOM series: found, named, put together in space, or refused with a reason."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tests.support.fake_segmenter import FakeSegmenter, phantom_scan
from tests.support.itk_files import OBLIQUE, SAGITTAL, itk_image, write_itk, write_series
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import InputError
from vertseg.io.dicom_read import read_dicom


def read(folder):
    return read_dicom(folder)


def places(count=14, spacing=3.0) -> np.ndarray:
    """Positions of slices that lie flat."""
    return np.array([(0.0, 0.0, spacing * k) for k in range(count)])


FLAT = np.eye(3)


@pytest.mark.parametrize("directions", [OBLIQUE, SAGITTAL, FLAT])
def test_voxels_lie_where_itk_says(tmp_path, directions) -> None:
    stored = write_series(tmp_path / "s", itk_image(directions=directions))
    image = read(tmp_path / "s")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "s")))
    itk = reader.Execute()
    np.testing.assert_array_equal(image.array, sitk.GetArrayFromImage(itk).T)
    np.testing.assert_array_equal(image.array, sitk.GetArrayFromImage(stored).T)
    for index in ((0, 0, 0), (3, 7, 11)):
        place = image.grid.index_to_lps(index)
        np.testing.assert_allclose(place, itk.TransformIndexToPhysicalPoint(index), atol=1e-6)
        np.testing.assert_allclose(place, stored.TransformIndexToPhysicalPoint(index), atol=1e-6)
    assert image.warnings == ()


def test_slices_against_their_normal_and_a_tilted_gantry(tmp_path) -> None:
    tilt = places()[::-1] + np.outer(np.arange(14), (0, 0.8, 0))
    stored = write_series(tmp_path / "s", itk_image(directions=FLAT), positions=tilt)
    image = read(tmp_path / "s")
    assert "not perpendicular" in image.warnings[0]
    voxels = sitk.GetArrayFromImage(stored).T
    for k in range(14):
        place = image.grid.index_to_lps((0, 0, 13 - k))
        np.testing.assert_allclose(place, tilt[k], atol=1e-6)
        np.testing.assert_array_equal(image.array[:, :, 13 - k], voxels[:, :, k])


def test_every_slice_has_its_own_rescale_slope(tmp_path) -> None:
    values = phantom_scan((12, 13, 14)) // 2 * 2
    slopes = [2 if k % 2 else 1 for k in range(14)]
    write_series(tmp_path / "s", itk_image(values, FLAT), slopes=slopes)
    np.testing.assert_allclose(read(tmp_path / "s").array, values, atol=1e-3)


def test_one_series_is_a_case_named_like_its_folder(tmp_path) -> None:
    source = tmp_path / "in"
    stored = write_series(source / "patient 1" / "CT", suffix="")
    write_series(source / "patient 1" / "CT", uid="9.9", prefix="S", g0008_0008="A\\B\\LOCALIZER")
    (source / "patient 1" / "CT" / "notes.txt").write_text("x")
    (source / "patient 1" / "CT" / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(20))
    (case,) = find_cases(source).cases
    assert case.name == "patient 1/CT" and len(case.slices) == 14
    place = stored.TransformIndexToPhysicalPoint((5, 6, 9))
    segmenter = FakeSegmenter({20: place})
    options = Options(input=source, output=tmp_path / "out")
    assert run_batch(options, lambda _: segmenter).exit_code == 0
    mask = nib.load(tmp_path / "out" / "patient 1" / "CT_seg.nii.gz")
    labels = np.asarray(mask.dataobj)
    assert labels[5, 6, 9] == 20
    back = mask.affine @ (5, 6, 9, 1) * (-1, -1, 1, 1)
    np.testing.assert_allclose(back[:3], place, atol=1e-4)
    centroids = json.loads((tmp_path / "out" / "patient 1" / "CT_ctd.json").read_text())
    assert centroids[1] == {"label": 20, "X": 5.0, "Y": 6.0, "Z": 9.0}
    run_batch(options, lambda _: segmenter)
    assert segmenter.calls == 1
    write_series(source / "patient 1" / "CT", itk_image(phantom_scan((12, 13, 14)) + 1), suffix="")
    run_batch(options, lambda _: segmenter)
    assert segmenter.calls == 2


def test_several_series_are_cases_named_by_number_and_description(tmp_path) -> None:
    write_series(tmp_path / "s", uid="1.2.1", number=2, description="Thorax 1.0/B70f")
    write_series(tmp_path / "s", uid="1.2.2", number=4, prefix="B", description="same")
    write_series(tmp_path / "s", uid="1.3.12345678", number=4, prefix="C", description="same")
    write_itk(tmp_path / "s" / "other.mha")
    cases = find_cases(tmp_path).cases
    assert [case.name for case in cases] == [
        *("s/2_Thorax-1.0-B70f", "s/4_same_1.2.2", "s/4_same_12345678", "s/other.mha"),
    ]
    assert cases[0].mask.as_posix() == "s/2_Thorax-1.0-B70f_seg.nii.gz"
    write_series(tmp_path / "root")
    assert [case.name for case in find_cases(tmp_path / "root").cases] == ["3_Thorax-1.0-B70f"]


def test_what_is_no_scan_is_left_out_and_said_so(tmp_path) -> None:
    write_series(tmp_path / "a", g0008_0060="SEG")
    write_series(tmp_path / "b", g0008_0008="ORIGINAL\\PRIMARY\\LOCALIZER")
    write_series(tmp_path / "labels" / "c")
    write_series(tmp_path / "d", g0008_0060="PR")
    write_itk(tmp_path / "scan.mha")
    found = find_cases(tmp_path)
    assert [case.name for case in found.cases] == ["scan.mha"]
    reasons = {left.path.parent.name: left.reason for left in found.skipped}
    assert "segmentation" in reasons["a"] and "scout" in reasons["b"]
    assert "labels" in reasons["c"] and "display" in reasons["d"]


REFUSED = {
    "modality": ({"g0008_0060": "MR"}, "modality MR"),
    "few": ({"image": itk_image(directions=FLAT)[:, :, :2]}, "only 2 slices"),
    "missing": ({"positions": np.delete(places(15), 7, axis=0)}, "6.00 mm apart, others 3.00"),
    "twice": ({"positions": places()[[*range(13), 12]]}, "two slices at one place"),
    "aside": ({"positions": places() + np.outer(np.arange(14) == 6, (9, 0, 0))}, "away from"),
    "nowhere": ({"g0020_0032": "", "g0020_0037": ""}, "position|place"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_unusable_series_are_refused_with_a_remedy(tmp_path, reason) -> None:
    changes, text = REFUSED[reason]
    changes = {"image": itk_image(directions=FLAT), **changes}
    write_series(tmp_path / "in" / "s", **changes)
    with pytest.raises(InputError, match=text) as caught:
        read(tmp_path / "in" / "s")
    assert caught.value.remedy
    options = Options(input=tmp_path / "in", output=tmp_path / "out")
    outcome = run_batch(options, lambda _: FakeSegmenter())
    assert outcome.exit_code == 3
    report = json.loads((tmp_path / "out" / "s_report.json").read_text())
    assert report["status"] == "failed" and report["error"]["remedy"]


def test_slightly_uneven_slices_are_taken_with_a_warning(tmp_path) -> None:
    uneven = places()
    uneven[6, 2] += 0.15
    write_series(tmp_path / "s", itk_image(directions=FLAT), positions=uneven)
    assert "up to 5% of their distance" in read(tmp_path / "s").warnings[0]


def test_slices_of_two_kinds_and_damaged_slices_are_refused(tmp_path) -> None:
    write_series(tmp_path / "s", itk_image(directions=FLAT))
    (tmp_path / "s" / "IM005.dcm").write_bytes((tmp_path / "s" / "IM005.dcm").read_bytes()[:-60])
    with pytest.raises(InputError, match=r"IM005\.dcm is cut short"):
        read(tmp_path / "s")
    (tmp_path / "s" / "IM005.dcm").unlink()
    write_series(tmp_path / "s", itk_image(directions=SAGITTAL), prefix="X")
    with pytest.raises(InputError, match="differ in size or direction"):
        read(tmp_path / "s")
