"""Several inputs, lists of inputs, and what a run says that it would do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.dicom_files import multi_frame, slices_of, write_dicom, write_slices
from tests.support.fake_segmenter import MANIFEST, POINTS, FakeSegmenter, write_scan
from vertseg.batch.find import find_cases
from vertseg.cli import main


def run(*arguments, points=POINTS) -> int:
    return main([str(one) for one in arguments], lambda _: FakeSegmenter(points))


def masks(folder: Path) -> list[str]:
    found = folder.rglob("*_seg.*") if folder.exists() else ()
    return sorted(path.relative_to(folder).as_posix() for path in found)


def test_scans_of_several_inputs_are_named_from_the_folder_that_holds_all(tmp_path) -> None:
    write_scan(tmp_path / "in" / "2020" / "p1" / "scan.nii.gz")
    write_scan(tmp_path / "in" / "2021" / "scan.nii.gz")
    write_scan(tmp_path / "in" / "2021" / "other.nii.gz")
    out = ("--output", tmp_path / "out")
    inputs = [tmp_path / "in" / "2020", tmp_path / "in" / "2021" / "scan.nii.gz"]
    assert run("--input", inputs[0], "--input", inputs[1], *out) == 0
    assert masks(tmp_path / "out") == ["2020/p1/scan_seg.nii.gz", "2021/scan_seg.nii.gz"]


def test_what_lies_in_two_inputs_counts_once(tmp_path, monkeypatch) -> None:
    write_scan(tmp_path / "in" / "deep" / "a.nii.gz")
    write_slices(tmp_path / "in" / "s")
    roots = [tmp_path / "in", tmp_path / "in" / "deep", tmp_path / "in" / "deep" / "a.nii.gz"]
    roots += [tmp_path / "in" / "s", tmp_path / "in"]
    assert [case.name for case in find_cases(roots).cases] == ["deep/a.nii.gz", "s"]
    monkeypatch.chdir(tmp_path)
    relative = [Path("in/deep/a.nii.gz"), tmp_path / "in" / "deep"]
    assert [case.name for case in find_cases(relative).cases] == ["a.nii.gz"]


def test_a_file_given_by_itself_is_taken_whatever_its_name(tmp_path) -> None:
    write_scan(tmp_path / "in" / "x_seg.nii.gz")
    write_dicom(tmp_path / "in" / "labels" / "frames.dcm", multi_frame())
    roots = [tmp_path / "in", tmp_path / "in" / "x_seg.nii.gz"]
    found = find_cases([*roots, tmp_path / "in" / "labels" / "frames.dcm"])
    assert [case.name for case in found.cases] == ["x_seg.nii.gz"]
    assert [left.reason for left in found.skipped] == ["in a folder for labels, labels"]
    (case,) = find_cases([tmp_path / "in" / "labels" / "frames.dcm"]).cases
    assert case.name == "frames"


def test_a_list_of_inputs(tmp_path) -> None:
    write_scan(tmp_path / "data" / "p1" / "a b.nii.gz")
    write_scan(tmp_path / "data" / "p2" / "ä.nii.gz")
    write_slices(tmp_path / "data" / "p3")
    text = "# scans\n\np1/a b.nii.gz\n  p2  \n" + str(tmp_path / "data" / "p3") + "\n"
    (tmp_path / "data" / "list.txt").write_text("\ufeff" + text, encoding="utf-8")
    options = ("--input-list", tmp_path / "data" / "list.txt", "--output", tmp_path / "out")
    assert run(*options) == 0
    expected = ["p1/a b_seg.nii.gz", "p2/ä_seg.nii.gz", "p3_seg.nii.gz"]
    assert masks(tmp_path / "out") == expected


@pytest.mark.parametrize("content", [None, "", "# nothing\n", b"\xff\xfe\x00"])
def test_lists_that_say_nothing_are_refused(tmp_path, capsys, content) -> None:
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SystemExit) as caught:
        run("--input-list", path, "--output", tmp_path / "out")
    assert caught.value.code == 1 and "list.txt" in capsys.readouterr().err


def test_an_input_that_is_missing_ends_the_run(tmp_path, capsys) -> None:
    write_scan(tmp_path / "a.nii.gz")
    inputs = ("--input", tmp_path / "a.nii.gz", "--input", tmp_path / "b.nii.gz")
    assert run(*inputs, "--output", tmp_path / "out") == 3
    assert "b.nii.gz: does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        run("--output", tmp_path / "out")
    assert caught.value.code == 1 and "--input-list" in capsys.readouterr().err


def test_a_listing_says_what_a_run_would_do_and_does_nothing(tmp_path, capsys) -> None:
    source = tmp_path / "in"
    write_scan(source / "done.nii.gz")
    out = ("--output", tmp_path / "out")
    weights = Path(__file__).parents[2] / "weights"
    assert run("--input", source, *out) == 0
    write_scan(source / "new.nii.gz")
    write_slices(source / "cut")[3].write_bytes(b"")
    write_slices(source / "mr", slices_of(Modality="MR"))
    (source / "broken.nii").write_bytes(b"no scan")
    write_scan(source / "new_seg.nii.gz", hu=np.ones((4, 4, 4), np.uint8))
    capsys.readouterr()
    before = sorted(tmp_path.rglob("*"))

    def never(_):
        raise AssertionError("a network was loaded")

    arguments = ["--input", str(source), *map(str, out), "--list", "--weights", str(weights)]
    assert main(arguments, never) == 2
    lines = capsys.readouterr().out.splitlines()
    assert sorted(tmp_path.rglob("*")) == before
    assert "to do     done.nii.gz: it was made with other weights" in lines  # by the stand-in
    assert "to do     new.nii.gz" in lines
    said = {line.split(": ")[0]: line for line in lines}
    assert "is a text file" in said["unusable  broken.nii"]
    assert "IM003.dcm is empty" in said["unusable  cut"]
    assert "modality MR" in said["unusable  mr"]
    assert any(line.startswith("left out") and "new_seg.nii.gz" in line for line in lines)
    assert lines[-1].startswith("2 to do, 0 complete, 3 unusable, 1 left out")


def test_a_listing_knows_what_is_complete(tmp_path, capsys, monkeypatch) -> None:
    known = SimpleNamespace(manifest=MANIFEST)
    monkeypatch.setattr("vertseg.batch.listing.load_weights", lambda _: known)
    write_scan(tmp_path / "in" / "a.nii.gz")
    arguments = ("--input", tmp_path / "in", "--output", tmp_path / "out")
    assert run(*arguments) == 0 and run(*arguments, "--list") == 0
    assert "complete  a.nii.gz" in capsys.readouterr().out
    (tmp_path / "out" / "a_seg.nii.gz").unlink()
    assert run(*arguments, "--list") == 0
    assert "to do     a.nii.gz: a_seg.nii.gz is missing" in capsys.readouterr().out
