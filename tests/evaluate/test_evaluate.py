"""The evaluation command on small folders with known answers."""

import csv
import io
import json
import math
from pathlib import Path

import nibabel
import numpy as np
import pytest

from vertseg.errors import InputError, NoInputError
from vertseg.evaluate import evaluate, main
from vertseg.evaluate.scores import average
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.annotations import find_case_files
from vertseg.io.centroids import write_centroids

AFFINE_RAS = np.diag([-2.0, -2.0, 3.0, 1.0])
SHAPE = (20, 20, 40)


def write_case(
    folder: Path, name: str, levels: dict[int, int], bids: bool, shift: int = 0, mask: bool = True
) -> None:
    """A case with vertebrae as 4-voxel cubes around given heights (index along z)."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = np.zeros(SHAPE, np.uint8)
    centroids = []
    grid = Grid.from_affine_ras(SHAPE, AFFINE_RAS)
    for label, z in levels.items():
        labels[8 + shift : 12 + shift, 8:12, z - 2 : z + 2] = label
        x, y, z_mm = grid.index_to_lps((9.5 + shift, 9.5, z - 0.5))
        centroids.append(Centroid(label, (x, y, z_mm)))
    endings = ("_seg-vert_msk", "_seg-subreg_ctd") if bids else ("_seg", "_ctd")
    if mask:
        nibabel.save(nibabel.Nifti1Image(labels, AFFINE_RAS), folder / f"{name}{endings[0]}.nii.gz")
    write_centroids(folder / f"{name}{endings[1]}.json", centroids, grid)


def mean_of(scores: list, region: str, measure: str) -> tuple[float, float, int]:
    entry = next(a for a in average(scores) if (a.region, a.measure) == (region, measure))
    return entry.mean, entry.scan_mean, entry.undefined


def test_both_layouts_averages_and_counts(tmp_path: Path) -> None:
    truth, results = tmp_path / "truth", tmp_path / "results"
    write_case(truth, "verse004", {19: 30, 20: 20, 21: 10}, bids=False)
    write_case(results, "verse004", {19: 30, 20: 20, 21: 10}, bids=False)
    write_case(truth / "derivatives/sub-a", "sub-a", {23: 20, 24: 10}, bids=True)
    write_case(results / "sub-a", "sub-a", {24: 10, 25: 4}, bids=True, shift=1)
    scores, absent = evaluate(truth, results)
    assert absent == []
    assert mean_of(scores, "all", "identification") == (80.0, 75.0, 0)
    assert mean_of(scores, "all", "precision") == (80.0, 75.0, 0)
    assert mean_of(scores, "all", "distance") == (pytest.approx(0.5), pytest.approx(1.0), 1)
    assert mean_of(scores, "lumbar", "identification")[0] == 75.0
    mean, scan_mean, undefined = mean_of(scores, "all", "dice")
    assert (mean, scan_mean, undefined) == (pytest.approx(3.75 / 5), pytest.approx(0.6875), 0)
    assert mean_of(scores, "all", "hausdorff") == (pytest.approx(0.5), pytest.approx(1.0), 1)


def test_an_empty_result_misses_everything(tmp_path: Path) -> None:
    write_case(tmp_path / "truth", "a", {20: 20, 21: 10}, bids=False)
    write_case(tmp_path / "results", "a", {}, bids=False)
    scores, _ = evaluate(tmp_path / "truth", tmp_path / "results")
    assert mean_of(scores, "all", "identification")[0] == 0
    assert mean_of(scores, "all", "dice") == (0, 0, 0)
    mean, _, undefined = mean_of(scores, "all", "hausdorff")
    assert math.isnan(mean) and undefined == 2
    assert math.isnan(mean_of(scores, "all", "precision")[0])


def test_centroids_alone_are_enough(tmp_path: Path) -> None:
    write_case(tmp_path / "truth", "a", {20: 20}, bids=True, mask=False)
    write_case(tmp_path / "results", "a", {20: 20}, bids=True)
    scores, _ = evaluate(tmp_path / "truth" / "a_seg-subreg_ctd.json", tmp_path / "results")
    assert [score.identified for score in scores] == [True]
    assert math.isnan(scores[0].dice)


def test_scans_without_a_result(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        write_case(tmp_path / "truth", name, {20: 20, 21: 10}, bids=False)
    write_case(tmp_path / "results", "a", {20: 20, 21: 10}, bids=False)
    scores, absent = evaluate(tmp_path / "truth", tmp_path / "results")
    assert absent == ["b"] and mean_of(scores, "all", "identification")[0] == 100
    scores, _ = evaluate(tmp_path / "truth", tmp_path / "results", count_missing=True)
    assert mean_of(scores, "all", "identification")[0] == 50
    arguments = ["--reference", str(tmp_path / "truth"), "--prediction", str(tmp_path / "results")]
    assert main(arguments) == 0
    assert "1 scans without a result left out: b" in caplog.text


def test_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_case(tmp_path / "truth", "a", {20: 20, 21: 10}, bids=False)
    write_case(tmp_path / "results", "a", {20: 20}, bids=False)
    arguments = ["--reference", str(tmp_path / "truth"), "--prediction", str(tmp_path / "results")]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "50.0 +- 50.0 | 50.0 +- 0.0" in text
    assert "1 of 2 annotated vertebrae identified in 1 scans; 1 missing" in text
    assert "(1 undefined)" in text
    assert main([*arguments, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("| region | vertebrae | identification % |")
    assert main([*arguments, "--format", "csv", "--output", str(tmp_path / "t.csv")]) == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text(encoding="utf-8"))))
    assert [(row["name"], row["identified"], row["dice"]) for row in rows] == [
        ("L1", "1", "1.0000"),
        ("L2", "0", "0.0000"),
    ]
    assert main([*arguments, "--format", "json"]) == 0
    payload = json.loads(capsys.readouterr().out)
    assert payload["vertebrae"][1]["hausdorff_mm"] is None
    assert {entry["region"] for entry in payload["averages"]} == {"lumbar", "all"}


def test_two_sets_of_results_stand_side_by_side(tmp_path: Path, capsys) -> None:
    """Only of scans that both have; here the second one has missed a vertebra."""
    for name in ("a", "b"):
        write_case(tmp_path / "truth", name, {20: 20, 21: 10}, bids=False)
        write_case(tmp_path / "one", name, {20: 20, 21: 10}, bids=False)
    write_case(tmp_path / "two", "a", {20: 20}, bids=False)
    arguments = ["--reference", str(tmp_path / "truth"), "--prediction", str(tmp_path / "one")]
    assert main([*arguments, "--compare", str(tmp_path / "two")]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()]
    cells = {(row[0].strip("| "), row[1]): row[2:4] for row in rows if len(row) > 4}
    assert cells["lumbar", "a"] == ["2", "100.0 +- 0.0 / 100.0 +- 0.0"]
    assert cells["lumbar", "b"] == ["2", "50.0 +- 50.0 / 50.0 +- 0.0"]
    assert ("all", "b") in cells


def test_trouble_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_case(tmp_path / "truth", "a", {20: 20}, bids=False)
    with pytest.raises(NoInputError, match="no result for any case"):
        write_case(tmp_path / "other", "b", {20: 20}, bids=False)
        evaluate(tmp_path / "truth", tmp_path / "other")
    with pytest.raises(InputError, match="same name"):
        write_case(tmp_path / "truth" / "copy", "a", {20: 20}, bids=False)
        find_case_files(tmp_path / "truth")
    missing = str(tmp_path / "nowhere")
    assert main(["--reference", missing, "--prediction", missing]) == 3
    assert "does not exist" in caplog.text


def test_masks_on_different_grids_are_refused(tmp_path: Path) -> None:
    for side, affine in (("truth", AFFINE_RAS), ("results", np.diag([-2.0, -2.0, 2.0, 1.0]))):
        (tmp_path / side).mkdir()
        labels = np.full((4, 4, 4), 20, np.uint8)
        nibabel.save(nibabel.Nifti1Image(labels, affine), tmp_path / side / "a_seg.nii.gz")
    with pytest.raises(InputError, match="one grid"):
        evaluate(tmp_path / "truth", tmp_path / "results")


def test_sacrum_and_other_labels_are_ignored(tmp_path: Path) -> None:
    write_case(tmp_path / "truth", "a", {24: 20, 26: 10}, bids=False)
    write_case(tmp_path / "results", "a", {24: 20}, bids=False)
    scores, _ = evaluate(tmp_path / "truth", tmp_path / "results")
    assert [score.name for score in scores] == ["L5"]
