"""Discovery of scans and the names of their outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tests.support.fake_segmenter import POINTS, FakeSegmenter, phantom_scan, write_scan
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.cli import main
from vertseg.errors import NoInputError
from vertseg.io.case import Case


def tree(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def names(root: Path, **options) -> list[str]:
    return [case.name for case in find_cases(root, **options).cases]


def test_plain_names(tmp_path) -> None:
    tree(tmp_path, "a/b c/X.v2.nii.gz")
    (case,) = find_cases(tmp_path).cases
    assert case.path == tmp_path / "a/b c/X.v2.nii.gz" and not case.bids
    outputs = [case.mask, case.centroids, case.report, case.preview]
    assert [p.as_posix() for p in outputs] == [
        "a/b c/X.v2_seg.nii.gz",
        "a/b c/X.v2_ctd.json",
        "a/b c/X.v2_report.json",
        "a/b c/X.v2_preview.png",
    ]


def test_bids_names(tmp_path) -> None:
    tree(tmp_path, "rawdata/sub-A/sub-A_ses-1_ct.nii.gz")
    (case,) = find_cases(tmp_path).cases
    assert case.bids
    assert case.mask.as_posix() == "rawdata/sub-A/sub-A_ses-1_seg-vert_msk.nii.gz"
    assert case.centroids.as_posix() == "rawdata/sub-A/sub-A_ses-1_seg-subreg_ctd.json"
    assert case.report.as_posix() == "rawdata/sub-A/sub-A_ses-1_report.json"


def test_suffixes_unicode_and_order(tmp_path) -> None:
    tree(tmp_path, "z.NII", "脊椎 1.nii.GZ", "b.nii", "notes.txt", "x.nii.gz.bak", "nii", "c.json")
    assert names(tmp_path) == ["b.nii", "z.NII", "脊椎 1.nii.GZ"]
    assert find_cases(tmp_path).cases[1].mask == Path("z_seg.nii.gz")


def test_labels_and_masks_are_left_out_and_said_so(tmp_path) -> None:
    scans = ["verse004.nii.gz", "rawdata/sub-b/sub-b_ct.nii.gz", "segovia.nii", "sub-seg_ct.nii"]
    others = [
        "verse004_seg.nii.gz",
        "rawdata/sub-b/sub-b_seg-vert_msk.nii.gz",
        "derivatives/sub-b/sub-b_ct.nii.gz",
        "verse004mask.nii.gz",
        "Y_Mask.nii",
        "liver label.nii",
        "labelsTr/case1.nii.gz",
        "masks/case2.nii.gz",
        "x-SEG.nii",
        "._verse004.nii.gz",
        "3-dseg.nii",
    ]
    tree(tmp_path, *scans, *others)
    found = find_cases(tmp_path)
    assert [case.name for case in found.cases] == sorted(scans)
    left_out = {s.path.relative_to(tmp_path).as_posix(): s.reason for s in found.skipped}
    assert sorted(left_out) == sorted(others)
    assert "derivatives" in left_out["derivatives/sub-b/sub-b_ct.nii.gz"]


def test_words_above_the_input_folder_do_not_count(tmp_path) -> None:
    root = tree(tmp_path / "derivatives" / "masks", "a.nii")
    assert names(root) == ["a.nii"]


def test_own_outputs_are_not_taken_for_inputs(tmp_path) -> None:
    tree(tmp_path, "X.nii.gz", "sub-A_ct.nii.gz")
    cases = find_cases(tmp_path).cases
    tree(tmp_path, *(case.mask.as_posix() for case in cases))
    assert find_cases(tmp_path).cases == cases


def test_a_single_file_is_always_taken(tmp_path) -> None:
    tree(tmp_path, "sub/X_seg.nii.gz", "y.txt")
    (case,) = find_cases(tmp_path / "sub/X_seg.nii.gz").cases
    assert case.mask == Path("X_seg_seg.nii.gz")
    with pytest.raises(NoInputError):
        find_cases(tmp_path / "y.txt")


def test_pattern(tmp_path) -> None:
    tree(tmp_path, "a/one.nii", "a/two.nii", "b/one.nii")
    assert names(tmp_path, only="one*") == ["a/one.nii", "b/one.nii"]
    assert names(tmp_path, only="a/*") == ["a/one.nii", "a/two.nii"]
    with pytest.raises(NoInputError, match="pattern 'three'"):
        find_cases(tmp_path, only="three")


def test_nothing_to_run_on(tmp_path) -> None:
    with pytest.raises(NoInputError, match="does not exist"):
        find_cases(tmp_path / "absent")
    with pytest.raises(NoInputError, match="holds no scan") as caught:
        find_cases(tmp_path)
    assert caught.value.exit_code == 3
    tree(tmp_path, "a_seg.nii")
    with pytest.raises(NoInputError, match=r"1 files were left out, such as a_seg\.nii"):
        find_cases(tmp_path)


def test_two_inputs_of_one_output_name_are_refused(tmp_path) -> None:
    tree(tmp_path, "X.nii", "X.nii.gz", "Y.nii", "b/X.nii", "sub-A_ct.nii", "sub-A.nii.gz")
    found = find_cases(tmp_path)
    assert [case.name for case in found.cases] == ["Y.nii", "b/X.nii"]
    texts = [str(error) for error in found.refused]
    assert len(texts) == 4
    assert "X.nii:" in texts[0] and "X.nii.gz" in texts[0] and "Rename" in texts[0]
    assert {error.exit_code for error in found.refused} == {2}


def test_links_and_folders_named_like_files(tmp_path) -> None:
    tree(tmp_path, "real/a.nii", "store/b.nii.gz", "in/folder.nii/c.nii")
    root = tmp_path / "in"
    (root / "link.nii").symlink_to(tmp_path / "real/a.nii")
    (root / "broken.nii").symlink_to(tmp_path / "nowhere")
    (root / "linked").symlink_to(tmp_path / "store")
    (root / "loop").symlink_to(root)
    assert names(root) == ["broken.nii", "folder.nii/c.nii", "link.nii", "linked/b.nii.gz"]


def test_folders_that_cannot_be_searched_are_refused_by_name(tmp_path, monkeypatch) -> None:
    tree(tmp_path, "a.nii", "locked/b.nii", "odd/x")
    listdir, stat = os.listdir, os.stat

    def refuse_to_list(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    def refuse_to_look(path, **keywords):
        if isinstance(path, Path) and path.name == "odd":
            raise OSError(5, "Input/output error")
        return stat(path, **keywords)

    monkeypatch.setattr(os, "listdir", refuse_to_list)
    monkeypatch.setattr(os, "stat", refuse_to_look)
    found = find_cases(tmp_path)
    assert [case.name for case in found.cases] == ["a.nii"]
    told = {Path(error.where).name: error.what for error in found.refused}
    assert told == {
        "locked": "cannot be searched: Permission denied",
        "odd": "cannot be accessed: Input/output error",
    }
    with pytest.raises(NoInputError, match="cannot be searched: Permission denied"):
        find_cases(tmp_path / "locked")


def test_a_folder_that_cannot_be_searched_changes_the_exit_code(tmp_path, monkeypatch) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    write_scan(source / "a.nii.gz")
    (source / "locked").mkdir()
    listdir = os.listdir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    outcome = run_batch(Options(source, output), lambda _: FakeSegmenter(POINTS))
    assert outcome.exit_code == 2 and len(outcome.written) == 1
    assert [report["case"] for report, _ in outcome.failures] == ["locked"]
    assert "locked" in (output / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_what_decides_is_the_content_not_the_name(tmp_path, suffix) -> None:
    ct = phantom_scan((16, 16, 16)) + np.arange(4096, dtype=np.int16).reshape(16, 16, 16) % 600
    volumes = {
        "maskell_john": ct,
        "zero_based_mask": (np.maximum(ct, -1024) + 1024).astype(np.uint16),
        "masks/p1": ct.astype(np.float32) + 0.5,
        "a_seg": (ct > 100).astype(np.uint8) * 20,
        "b_seg": (ct > 100).astype(np.float32) * 28,
        "c_mask": (ct > 100).astype(np.int16) * 2501,
        "d_mask": np.random.default_rng(0).random((16, 16, 16)).astype(np.float32),
    }
    for name, values in volumes.items():
        write_volume(tmp_path / f"{name}{suffix}", values)
    found = find_cases(tmp_path)
    scans = {"maskell_john", "zero_based_mask", "masks/p1"}
    assert {case.name.removesuffix(suffix) for case in found.cases} == scans
    reasons = {file.path.name: file.reason for file in found.skipped}
    assert set(reasons) == {f"{name}{suffix}" for name in ("a_seg", "b_seg", "c_mask", "d_mask")}
    assert set(reasons.values()) == {"named like a mask, with labels in it"}


def write_volume(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".mha":
        sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(values.T)), str(path))
    else:
        nib.save(nib.Nifti1Image(values, np.diag([2.0, 2, 2, 1])), path)


def test_what_is_left_out_is_named_in_log_table_and_page(tmp_path, capsys) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    write_scan(source / "a.nii.gz")
    write_volume(source / "deep" / "a_seg.nii.gz", np.ones((4, 4, 4), np.uint8))
    tree(source, "derivatives/x_ct.nii.gz", "broken_mask.nii")
    paths = ["--input", str(source), "--output", str(output)]
    assert main(paths, lambda _: FakeSegmenter(POINTS)) == 0
    said, page = capsys.readouterr(), (output / "index.html").read_text(encoding="utf-8")
    lines = (
        "1 file left out, named like a mask, with labels in it: deep/a_seg.nii.gz",
        "1 file left out, in a folder for labels, derivatives: derivatives/x_ct.nii.gz",
        "1 file left out, named like a mask, and cannot be read: broken_mask.nii",
    )
    for line in lines:
        assert line in said.err and line in said.out
        name = line.rpartition(": ")[2]
        assert f"<li>{name}: " in page
    assert "3 files of the input left out" in page


def test_case_of_a_path() -> None:
    case = Case.from_path(Path("/in/s/SUB-1_CT.NII"), Path("/in"))
    assert case.bids and case.mask == Path("s/SUB-1_seg-vert_msk.nii.gz")
