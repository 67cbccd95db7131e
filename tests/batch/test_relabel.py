"""Other level names for finished results: all outputs together, or none."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, phantom_scan, write_scan
from tests.support.itk_files import write_itk
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.cli import main
from vertseg.errors import OutputError


def run(tmp_path: Path, segmenter=None, **changes):
    segmenter = segmenter or FakeSegmenter(POINTS)
    options = Options(input=tmp_path / "in", output=tmp_path / "out", **changes)
    return run_batch(options, lambda _: segmenter), segmenter


def relabel(tmp_path: Path, *arguments: str, case: str = "a") -> int:
    return main(["relabel", str(tmp_path / "out"), "--case", case, *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def mask_of(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_all_outputs_change_together_and_the_old_ones_are_kept(tmp_path, capsys) -> None:
    write_scan(tmp_path / "in" / "deep" / "a.nii.gz")
    write_scan(tmp_path / "in" / "b.nii.gz")
    run(tmp_path, markups=True)
    out = tmp_path / "out" / "deep"
    before = contents(out)
    assert relabel(tmp_path, "--shift", "-1", "--by", "A. Reader", case="deep/a.nii.gz") == 0
    assert "3 vertebrae, T12" in capsys.readouterr().out
    old, new = mask_of_bytes(before["a_seg.nii.gz"], tmp_path), mask_of(out / "a_seg.nii.gz")
    for was, now in ((20, 19), (21, 20), (22, 21)):
        assert np.array_equal(old == was, new == now)
    records = json.loads((out / "a_ctd.json").read_text())
    assert [record["label"] for record in records[1:]] == [19, 20, 21]
    assert '"label": "T12"' in (out / "a_ctd.mrk.json").read_text()
    report = json.loads((out / "a_report.json").read_text())
    assert [row["name"] for row in report["vertebrae"]] == ["T12", "L1", "L2"]
    (step,) = report["changed_by_person"]
    assert step["change"] == "--shift -1" and step["by"] == "A. Reader"
    assert (step["from"], step["to"]) == (["L1", "L2", "L3"], ["T12", "L1", "L2"])
    assert "changed_by_person" in [flag["code"] for flag in report["flags"]]
    assert (out / "a_preview.png").read_bytes() != before["a_preview.png"]
    for name, content in before.items():
        assert (out / f"{name}.before").read_bytes() == content
    rows = list(csv.DictReader((tmp_path / "out" / "summary.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["L1", "L2", "L3", "T12", "L1", "L2"]
    assert "T12–L2" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def mask_of_bytes(content: bytes, tmp_path: Path) -> np.ndarray:
    (tmp_path / "old.nii.gz").write_bytes(content)
    return mask_of(tmp_path / "old.nii.gz")


def test_a_later_run_leaves_it_alone_and_a_second_change_keeps_the_first_files(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    run(tmp_path)
    first = contents(tmp_path / "out")
    assert relabel(tmp_path, "--shift", "1") == 0
    outcome, segmenter = run(tmp_path)
    assert segmenter.calls == 0 and len(outcome.resumed) == 1
    assert relabel(tmp_path, "--shift", "-1") == 0
    report = json.loads((tmp_path / "out" / "a_report.json").read_text())
    assert [row["name"] for row in report["vertebrae"]] == ["L1", "L2", "L3"]
    assert [step["change"] for step in report["changed_by_person"]] == ["--shift 1", "--shift -1"]
    assert (tmp_path / "out" / "a_report.json.before").read_bytes() == first["a_report.json"]
    assert run(tmp_path, resume=False)[1].calls == 1


def test_nothing_changes_where_it_cannot_be_done(tmp_path, monkeypatch, caplog) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    run(tmp_path)
    before = contents(tmp_path / "out")

    def full(*_) -> None:
        raise OutputError("cannot be written: No space left on device", "somewhere")

    with monkeypatch.context() as patch:
        patch.setattr("vertseg.batch.case_job.write_preview", full)
        assert relabel(tmp_path, "--shift", "1") == 2
    assert contents(tmp_path / "out") == before
    assert relabel(tmp_path, "--shift", "9") == 1  # beyond L6
    assert relabel(tmp_path, "--rival") == 1  # none is named
    assert relabel(tmp_path, "--shift", "1", case="other") == 1
    assert relabel(tmp_path, "--as", "T13") == 1  # of which level?
    assert contents(tmp_path / "out") == before
    hu = phantom_scan()
    hu[0, 0, 0] = 7
    write_scan(tmp_path / "in" / "a.nii.gz", hu=hu)
    assert relabel(tmp_path, "--shift", "1") == 2  # another scan
    (tmp_path / "in" / "a.nii.gz").unlink()
    write_scan(tmp_path / "in" / "b.nii.gz")
    assert relabel(tmp_path, "--shift", "1") == 1
    assert contents(tmp_path / "out") == before


def test_the_rival_of_the_report_is_taken(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    run(tmp_path)
    path = tmp_path / "out" / "a_report.json"
    report = json.loads(path.read_text())
    rival = [{"label": n, "rival_label": n + 1} for n in (20, 21, 22)]
    path.write_text(json.dumps({**report, "sequence": {"rival_labels": rival}}))
    assert relabel(tmp_path, "--rival") == 0
    assert set(np.unique(mask_of(tmp_path / "out" / "a_seg.nii.gz"))) == {0, 21, 22, 23}


def test_a_corrected_mask_keeps_its_voxels_and_both_folders_may_have_moved(tmp_path) -> None:
    write_itk(tmp_path / "in" / "a.mha")
    run(tmp_path)
    (tmp_path / "moved").mkdir()
    for name in ("in", "out"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    assert relabel(tmp_path / "moved", "--from", "L3", "--as", "L4") == 0
    report = json.loads((tmp_path / "moved" / "out" / "a_report.json").read_text())
    assert [row["name"] for row in report["vertebrae"]] == ["L1", "L2", "L4"]
    assert "gap" in [flag["code"] for flag in report["flags"]]
    (tmp_path / "moved" / "in").rename(tmp_path / "scans")
    arguments = ("--shift", "1", "--input", str(tmp_path / "scans"))
    assert relabel(tmp_path / "moved", "--shift", "1") == 1
    assert relabel(tmp_path / "moved", *arguments) == 0


def test_reports_name_the_folder_of_the_scans_only_where_it_lies_beside(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    beside = Options(input=tmp_path / "in", output=tmp_path / "out")
    assert beside.root_from_output == "../in"
    far = Options(input=tmp_path / "in", output=tmp_path / "some" / "where" / "out")
    assert far.root_from_output is None
    run_batch(far, lambda _: FakeSegmenter(POINTS))
    arguments = ["relabel", str(far.output), "--case", "a", "--shift", "1"]
    assert main(arguments) == 1
    assert main([*arguments, "--input", str(tmp_path / "in")]) == 0


@pytest.mark.parametrize("option", ["--shift", "--from", "--as"])
def test_bad_options_end_with_code_1(tmp_path, option, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        relabel(tmp_path, option, "X9")
    assert caught.value.code == 1 and "See --help" in capsys.readouterr().err


def test_a_crop_keeps_the_place_of_its_voxels(tmp_path, capsys) -> None:
    write_scan(tmp_path / "in" / "deep" / "a.nii.gz")
    run(tmp_path)
    arguments = ["crop", str(tmp_path / "out"), "--case", "a", "--levels", "L1-L2"]
    assert main([*arguments, "--margin", "8"]) == 0
    scan, mask = map(Path, capsys.readouterr().out.split())
    assert scan == tmp_path / "out" / "crops" / "deep" / "a_L1-L2.nii.gz"
    whole = nib.load(tmp_path / "in" / "deep" / "a.nii.gz")
    part, labels = nib.load(scan), nib.load(mask)
    np.testing.assert_array_equal(part.affine, labels.affine)
    first = np.rint(np.linalg.inv(whole.affine) @ part.affine[:, 3]).astype(int)[:3]
    box = tuple(slice(a, a + n) for a, n in zip(first, part.shape, strict=True))
    np.testing.assert_array_equal(part.get_fdata(), whole.get_fdata()[box])
    kept = mask_of(tmp_path / "out" / "deep" / "a_seg.nii.gz")
    assert (np.isin(kept, (20, 21)).sum()) == np.isin(labels.get_fdata(), (20, 21)).sum()
    assert part.shape[2] < whole.shape[2]
    assert main([*arguments[:-1], "T1-T3"]) == 1


class LeavesOut(FakeSegmenter):
    """Has left out T12 above and L4 below."""

    def __call__(self, image, on_progress=None, found=None):
        return replace(super().__call__(image, on_progress), left_out=(19, 23))


def test_what_was_left_out_is_renamed_with_its_neighbour(tmp_path) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    run(tmp_path, LeavesOut(POINTS))
    assert relabel(tmp_path, "--shift", "-1") == 0
    flags = json.loads((tmp_path / "out" / "a_report.json").read_text())["flags"]
    assert [f["vertebrae"] for f in flags if f["code"] == "left_out"] == [["T11", "L3"]]
