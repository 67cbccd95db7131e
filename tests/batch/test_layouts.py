"""Layouts of other platforms: grand-challenge.org, and BIDS derivatives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from tests.support.itk_files import itk_image, write_itk
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch

UUID = "0d4b2f3e-6c1c-4d5f-9d8e-2f6a1f0c9b11"


def run(tmp_path: Path, points=None, **changes):
    options = Options(input=tmp_path / "in", output=tmp_path / "out", **changes)
    segmenter = FakeSegmenter(points or {})
    return run_batch(options, lambda _: segmenter), segmenter


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def list_sockets(path: Path, *slugs: str, word: str = "socket") -> None:
    entries = [
        {word: {"slug": f"{slug}-image", "relative_path": f"images/{slug}"}, "value": None}
        for slug in slugs
    ]
    entries.append({word: {"slug": "age", "relative_path": "age.json"}, "value": 70})
    path.write_text(json.dumps(entries))


def test_outputs_lie_where_the_platform_looks_for_them(tmp_path) -> None:
    stored = write_itk(tmp_path / "in" / "images" / "spine-ct" / f"{UUID}.mha")
    list_sockets(tmp_path / "in" / "inputs.json", "spine-ct")
    place = stored.TransformIndexToPhysicalPoint((5, 6, 9))
    outcome, _ = run(tmp_path, {20: place})
    assert outcome.exit_code == 0
    assert files(tmp_path / "out") == {
        f"images/spine-ct/{UUID}.mha",
        *("spine-ct.json", "spine-ct_report.json", "spine-ct_preview.png"),
        *("summary.csv", "index.html"),
    }
    mask = sitk.ReadImage(str(tmp_path / "out" / "images" / "spine-ct" / f"{UUID}.mha"))
    assert sitk.GetArrayFromImage(mask).T[5, 6, 9] == 20
    assert mask.GetDirection() == stored.GetDirection()
    centroids = json.loads((tmp_path / "out" / "spine-ct.json").read_text())
    assert centroids[1] == {"label": 20, "X": 5.0, "Y": 6.0, "Z": 9.0}
    report = json.loads((tmp_path / "out" / "spine-ct_report.json").read_text())
    assert report["outputs"]["mask"] == f"images/spine-ct/{UUID}.mha"
    assert run(tmp_path, {20: place})[1].calls == 0


@pytest.mark.parametrize("word", ["socket", "interface"])
def test_only_listed_sockets_are_taken(tmp_path, word) -> None:
    for slug in ("ct", "earlier-ct"):
        write_itk(tmp_path / "images" / slug / "a.mha")
    assert [case.slug for case in find_cases(tmp_path).cases] == ["ct", "earlier-ct"]
    list_sockets(tmp_path / "inputs.json", "ct", word=word)
    assert [case.slug for case in find_cases(tmp_path).cases] == ["ct"]


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', '[{"socket": 1}]', "[]"])
def test_a_list_that_says_nothing_is_passed_over(tmp_path, text) -> None:
    write_itk(tmp_path / "images" / "ct" / "a.mha")
    (tmp_path / "inputs.json").write_text(text)
    assert [case.slug for case in find_cases(tmp_path).cases] == ["ct"]


@pytest.mark.parametrize(
    "others",
    [
        ["images/ct/b.mha"],
        ["images/ct/b.nii.gz"],
        ["images/c.mha"],
        ["other/ct/b.mha"],
        ["images/ct/deep/b.mha"],
    ],
)
def test_other_folders_stay_what_they_are(tmp_path, others) -> None:
    for name in ("images/ct/a.mha", *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    cases = find_cases(tmp_path).cases
    assert len(cases) == 2 and not any(case.slug for case in cases)
    assert "images/ct/a_seg.mha" in [case.mask.as_posix() for case in cases]


def test_bids_outputs_are_described_once(tmp_path) -> None:
    write_scan(tmp_path / "in" / "sub-1" / "sub-1_ct.nii.gz")
    run(tmp_path, POINTS)
    path = tmp_path / "out" / "dataset_description.json"
    description = json.loads(path.read_text())
    assert description["DatasetType"] == "derivative" and description["BIDSVersion"]
    assert description["GeneratedBy"][0]["Name"] == "vertseg"
    path.write_text('{"Name": "ours"}')
    run(tmp_path, POINTS, resume=False)
    assert json.loads(path.read_text()) == {"Name": "ours"}


def test_other_outputs_are_not_described_as_bids(tmp_path) -> None:
    write_itk(tmp_path / "in" / "a.mha", itk_image(np.arange(2184).reshape(12, 13, 14) - 900.0))
    run(tmp_path, force=True)
    assert not (tmp_path / "out" / "dataset_description.json").exists()
