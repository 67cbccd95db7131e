"""RT Structure Set, Structured Report and Secondary Capture of a series, read back."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw

from tests.support.fake_segmenter import FakeSegmenter
from tests.support.itk_files import OBLIQUE, SAGITTAL, itk_image, write_series
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.io.dicom_read import read_dicom
from vertseg.io.dicom_rtstruct import write_rtstruct

FRAME = {"g0020_0052": "1.2.9"}
FINE = 8


def read_back(path, grid, instances) -> dict[str, np.ndarray]:
    """Name -> mask on the grid, from the polygons of a structure set alone."""
    stored = pydicom.dcmread(path)
    names = {r.ROINumber: r.ROIName for r in stored.StructureSetROISequence}
    masks = {}
    for region in stored.ROIContourSequence:
        mask = np.zeros(grid.size, bool)
        for contour in region.ContourSequence:
            points = np.reshape(np.array(contour.ContourData, float), (-1, 3))
            assert contour.NumberOfContourPoints == len(points)
            index = grid.lps_to_index(points)
            k = int(np.rint(index[0, 2]))
            np.testing.assert_allclose(index[:, 2], k, atol=0.01)
            (image,) = contour.ContourImageSequence
            assert image.ReferencedSOPInstanceUID == instances[k]
            picture = Pillow.new("1", (grid.size[1] * FINE, grid.size[0] * FINE))
            corners = [((j + 0.5) * FINE, (i + 0.5) * FINE) for i, j, _ in index]
            ImageDraw.Draw(picture).polygon(corners, fill=1)
            mask[:, :, k] ^= np.asarray(picture)[FINE // 2 :: FINE, FINE // 2 :: FINE]
        masks[names[region.ReferencedROINumber]] = mask
    return masks


@pytest.mark.parametrize("directions", [OBLIQUE, SAGITTAL])
def test_outlines_give_the_mask_again(tmp_path, directions) -> None:
    write_series(tmp_path / "s", itk_image(directions=directions), **FRAME)
    files = sorted((tmp_path / "s").iterdir())
    image = read_dicom(tmp_path / "s")
    labels = np.zeros(image.grid.size, np.uint8)
    labels[1:8, 3:9, 4:9], labels[3:6, 5:7, 4:9], labels[5:8, 1:9, 9:12] = 20, 0, 28
    write_rtstruct(tmp_path / "rt.dcm", labels, image.grid, files)
    (case,) = find_cases(tmp_path / "s").cases
    headers = [pydicom.dcmread(file) for file in files]
    normal = np.cross(*np.reshape(np.array(headers[0].ImageOrientationPatient, float), (2, 3)))
    headers.sort(key=lambda one: float(np.array(one.ImagePositionPatient, float) @ normal))
    masks = read_back(tmp_path / "rt.dcm", image.grid, [one.SOPInstanceUID for one in headers])
    assert list(masks) == ["L1", "T13"]
    np.testing.assert_array_equal(masks["L1"], labels == 20)
    np.testing.assert_array_equal(masks["T13"], labels == 28)
    stored = pydicom.dcmread(tmp_path / "rt.dcm")
    assert stored.FrameOfReferenceUID == "1.2.9" and stored.Modality == "RTSTRUCT"
    assert stored.StudyInstanceUID == headers[0].StudyInstanceUID


def test_a_run_writes_them_for_series_when_asked(tmp_path) -> None:
    hd = pytest.importorskip("highdicom")
    image = write_series(tmp_path / "in" / "CT", **FRAME)
    segmenter = FakeSegmenter({20: image.TransformIndexToPhysicalPoint((5, 6, 9))})
    kinds = ("dicom_rtstruct", "dicom_report", "dicom_preview")
    asked = dict.fromkeys(kinds, True)
    options = Options(input=tmp_path / "in", output=tmp_path / "out", **asked)
    (report,) = run_batch(options, lambda _: segmenter).written
    assert "failed_outputs" not in report
    files = {kind: tmp_path / "out" / report["outputs"][kind] for kind in kinds}
    assert set(kinds) < report["output_sha256"].keys()
    assert pydicom.dcmread(files["dicom_rtstruct"]).StructureSetROISequence[0].ROIName == "L1"
    picture = pydicom.dcmread(files["dicom_preview"])
    with Pillow.open(tmp_path / "out" / "CT_preview.png") as preview:
        np.testing.assert_array_equal(picture.pixel_array, np.asarray(preview.convert("RGB")))
    measured = hd.sr.srread(files["dicom_report"]).content
    groups = measured.get_image_measurement_groups()
    of_l1 = next(group for group in groups if group.tracking_identifier == "L1")
    volumes = [m.value for m in of_l1.get_measurements() if m.name.meaning == "Volume"]
    assert volumes == [report["vertebrae"][0]["volume_ml"]]
    assert of_l1.finding_sites[0].topographical_modifier is None
    codes = {e.value.value for group in groups for e in group.get_qualitative_evaluations()}
    assert {flag["code"] for flag in report["flags"]} <= codes
    assert run_batch(options, lambda _: segmenter).resumed


def test_other_scans_have_none_and_are_complete_all_the_same(tmp_path) -> None:
    from tests.support.fake_segmenter import POINTS, write_scan

    write_scan(tmp_path / "in" / "a.nii.gz")
    options = Options(input=tmp_path / "in", output=tmp_path / "out", dicom_rtstruct=True)
    segmenter = FakeSegmenter(POINTS)
    assert run_batch(options, lambda _: segmenter).exit_code == 0
    run_batch(options, lambda _: segmenter)
    assert segmenter.calls == 1 and not list((tmp_path / "out").glob("*.dcm"))
