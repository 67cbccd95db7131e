"""Discovery of scans and the names of their outputs."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from vertseg.batch.find import find_cases
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
    tree(tmp_path, "X.nii", "X.nii.gz", "Y.nii", "b/X.nii", "sub-A_ct.nii", "sub-A.nii.gz", "y.nii")
    found = find_cases(tmp_path)
    assert [case.name for case in found.cases] == ["Y.nii", "b/X.nii", "y.nii"]
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


def test_folder_that_cannot_be_searched(tmp_path, monkeypatch, caplog) -> None:
    tree(tmp_path, "a.nii", "locked/b.nii")
    listdir = os.listdir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    with caplog.at_level(logging.WARNING):
        assert names(tmp_path) == ["a.nii"]
    assert "locked cannot be searched" in caplog.text


def test_case_of_a_path() -> None:
    case = Case.from_path(Path("/in/s/SUB-1_CT.NII"), Path("/in"))
    assert case.bids and case.mask == Path("s/SUB-1_seg-vert_msk.nii.gz")
