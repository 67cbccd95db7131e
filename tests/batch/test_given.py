"""Parts of the work: segmenting from given centroids, and finding without segmenting."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, phantom_scan, write_scan
from tests.support.itk_files import write_itk
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import ConfigurationError
from vertseg.geometry.centroid import Centroid
from vertseg.io.centroids import write_centroids
from vertseg.io.image import Image
from vertseg.io.markups import write_markups
from vertseg.io.read import read_image
from vertseg.stages import FIND
from vertseg.stages.segmenter import Segmenter

MOVED = {19: (48.0, 52.0, 120.0), 20: (52.0, 48.0, 84.0)}


def run(tmp_path: Path, **changes):
    segmenter = FakeSegmenter(POINTS)
    options = Options(input=tmp_path / "in", output=tmp_path / "out", **changes)
    return run_batch(options, lambda _: segmenter), segmenter


def correct(tmp_path: Path, name: str, scan: str, points=MOVED, fmt="verse20") -> Path:
    path = tmp_path / "corrected" / name
    centroids = [Centroid(label, point) for label, point in points.items()]
    write_centroids(path, centroids, read_image(tmp_path / "in" / scan), fmt)
    return path


@pytest.mark.parametrize("fmt", ["verse20", "verse19"])
def test_corrected_scans_are_segmented_and_others_stay_as_they_are(tmp_path, fmt) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    write_scan(tmp_path / "in" / "deep" / "b.nii.gz")
    run(tmp_path)
    path = correct(tmp_path, "deep/b_ctd.json", "deep/b.nii.gz", fmt=fmt)
    outcome, segmenter = run(tmp_path, centroids=tmp_path / "corrected")
    assert outcome.exit_code == 0 and segmenter.calls == 0
    assert [report["case"] for report in outcome.resumed] == ["a.nii.gz"]
    (report,) = outcome.written
    assert [row["name"] for row in report["vertebrae"]] == ["T12", "L1"]
    assert report["given_centroids"]["bytes"] == path.stat().st_size
    for label, point in MOVED.items():
        np.testing.assert_allclose(segmenter.given[label], point, atol=0.21)
    mask = read_image(tmp_path / "out" / "deep" / "b_seg.nii.gz").array
    assert set(np.unique(mask)) == {0, *MOVED} and mask[13, 12, 21] == 20
    written = json.loads((tmp_path / "out" / "deep" / "b_ctd.json").read_text())
    assert [record["label"] for record in written[1:]] == [19, 20]
    # Resuming: the same file is done, a changed one is done again, as is a scan without it.
    assert run(tmp_path, centroids=tmp_path / "corrected")[1].given is None
    correct(tmp_path, "deep/b_ctd.json", "deep/b.nii.gz", {20: POINTS[20]}, fmt)
    assert set(run(tmp_path, centroids=tmp_path / "corrected")[1].given) == {20}
    assert run(tmp_path)[1].calls == 1


def test_files_are_found_by_name_in_any_folder(tmp_path) -> None:
    write_scan(tmp_path / "in" / "rawdata" / "sub-1_ct.nii.gz")
    write_itk(tmp_path / "in" / "images" / "ct" / "x.mha")
    correct(tmp_path, "reader/sub-1_seg-vb_ctd.json", "rawdata/sub-1_ct.nii.gz")
    outcome, segmenter = run(tmp_path, centroids=tmp_path / "corrected", only="sub-1*")
    assert outcome.exit_code == 0 and set(segmenter.given) == set(MOVED)


def test_two_files_of_one_name_are_refused(tmp_path) -> None:
    write_scan(tmp_path / "in" / "x" / "a.nii.gz")
    for reader in ("one", "two"):
        correct(tmp_path, f"{reader}/a_ctd.json", "x/a.nii.gz")
    outcome, _ = run(tmp_path, centroids=tmp_path / "corrected")
    ((_, error),) = outcome.failures
    assert "2 centroid files" in error.what and error.remedy
    correct(tmp_path, "x/a_ctd.json", "x/a.nii.gz")
    assert run(tmp_path, centroids=tmp_path / "corrected")[0].exit_code == 0


WRONG = {
    "twice": ([20, 20], (5, 5, 5), "L1 more than once"),
    "outside": ([20], (5, 5, 500), "L1 would lie outside"),
    "unknown": ([99], (5, 5, 5), "unknown label"),
}


@pytest.mark.parametrize("reason", WRONG)
def test_files_that_cannot_be_right_are_refused(tmp_path, reason) -> None:
    labels, (x, y, z), text = WRONG[reason]
    write_scan(tmp_path / "in" / "a.nii.gz")
    records = [{"label": label, "X": x, "Y": y, "Z": z} for label in labels]
    (tmp_path / "corrected").mkdir()
    path = tmp_path / "corrected" / "a_ctd.json"
    path.write_text(json.dumps([{"direction": ["L", "P", "S"]}, *records]))
    outcome, _ = run(tmp_path, centroids=tmp_path / "corrected")
    ((_, error),) = outcome.failures
    assert text in error.what and error.where == str(path) and error.remedy


def test_a_file_without_a_vertebra_gives_an_empty_mask_and_the_sacrum_is_passed_over(
    tmp_path,
) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    correct(tmp_path, "a_ctd.json", "a.nii.gz", {26: (48.0, 52.0, 40.0)})
    outcome, segmenter = run(tmp_path, centroids=tmp_path / "corrected")
    assert segmenter.given == {} and outcome.written[0]["status"] == "no_spine"
    assert not read_image_labels(tmp_path / "out" / "a_seg.nii.gz").any()


def read_image_labels(path: Path) -> np.ndarray:
    import nibabel as nib

    return np.asarray(nib.load(path).dataobj)


def test_folders_that_cannot_be_meant_end_the_run_before_it_begins(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    run(tmp_path)
    (tmp_path / "empty").mkdir()
    for folder, text in (("absent", "folder"), ("out", "overwritten"), ("empty", "no centroid")):
        with pytest.raises(ConfigurationError, match=text):
            run(tmp_path, centroids=tmp_path / folder)


def test_outputs_below_the_folder_are_no_corrected_files(tmp_path) -> None:
    write_scan(tmp_path / "in" / "deep" / "a.nii.gz")
    run(tmp_path)
    with pytest.raises(ConfigurationError, match="no centroid file"):
        run(tmp_path, centroids=tmp_path)


def test_finding_alone_writes_no_mask_and_invents_no_measurement(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    outcome, _ = run(tmp_path, stages=FIND)
    (report,) = outcome.written
    assert not (tmp_path / "out" / "a_seg.nii.gz").exists()
    assert (tmp_path / "out" / "a_preview.png").is_file()
    assert report["outputs"]["mask"] is None
    assert "mask_empty" not in [flag["code"] for flag in report["flags"]]
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["L1", "L2", "L3"]
    assert {rows[0]["voxels"], rows[0]["volume_ml"]} == {""} and rows[0]["peak"] == "0.9"
    assert run(tmp_path, stages=FIND)[1].calls == 0
    assert run(tmp_path)[1].calls == 1


class Network:
    """Stands in for the networks of the three stages."""

    shortage = ""
    crop_bytes = 1

    def afresh(self) -> Network:
        return self


def test_the_segmenter_runs_only_the_stages_that_are_needed(monkeypatch) -> None:
    ran = []
    monkeypatch.setattr("vertseg.stages.network.StageNetwork", lambda *_: Network())
    segmenter = Segmenter(device="cpu", keep_heatmaps=True)

    def segment(image, vertebrae, network, at_once, on_vertebra, on_response):
        ran.append("segmentation")
        labels = np.zeros(image.grid.size, np.uint8)
        for v in vertebrae:
            labels[tuple(np.rint(image.grid.lps_to_index(v.point_lps_mm)).astype(int))] = v.label
        return labels

    monkeypatch.setattr("vertseg.stages.segmentation.segment_vertebrae", segment)

    def find_spine(image, network, keep):
        ran.append("spine")
        keep(np.ones((2, 3, 4), np.float32), image.grid)

    monkeypatch.setattr("vertseg.stages.spine.find_spine", find_spine)
    image = Image.from_array(phantom_scan(), np.diag([-4.0, -4, 4, 1]))
    given = [Centroid(label, MOVED[label]) for label in (20, 19)]
    result = segmenter.segment(image, given)
    assert ran == ["segmentation"] and result.segmented and result.status == "ok"
    assert [(v.name, v.voxels) for v in result.vertebrae] == [("T12", 1), ("L1", 1)]
    assert result.vertebrae[0].score is None and result.warnings == ()
    ran.clear()
    found = segmenter.find(image)
    assert ran == ["spine"] and not found.segmented and not found.labels.any()
    assert [heatmap.stage for heatmap in found.heatmaps] == ["spine"]
    segmenter = Segmenter(device="cpu")
    monkeypatch.setattr("vertseg.stages.spine.find_spine", lambda image, network, keep: keep)
    assert segmenter.find_spine(image).heatmaps == ()
    assert segmenter.find_spine(image).stages == ("spine",)


def test_markups_from_slicer_are_taken_and_two_files_of_a_scan_are_refused(tmp_path) -> None:
    write_scan(tmp_path / "in" / "deep" / "a.nii.gz")
    write_markups(
        tmp_path / "corrected" / "deep" / "a_ctd.mrk.json",
        [Centroid(label, point) for label, point in MOVED.items()],
    )
    outcome, segmenter = run(tmp_path, centroids=tmp_path / "corrected")
    assert outcome.exit_code == 0 and set(segmenter.given) == set(MOVED)
    np.testing.assert_allclose(segmenter.given[20], MOVED[20])
    correct(tmp_path, "deep/a_ctd.json", "deep/a.nii.gz")
    ((_, error),) = run(tmp_path, centroids=tmp_path / "corrected")[0].failures
    assert "2 centroid files" in error.what
