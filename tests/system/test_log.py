"""Lines of the log for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from tests.support.itk_files import write_series
from tests.support.paths import ROOT
from vertseg.cli import main


def events(tmp_path, capsys, *options: str) -> list[dict]:
    arguments = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), *options]
    main(arguments, lambda _: FakeSegmenter(POINTS))
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_every_line_is_an_object_and_tells_how_far_a_run_is(tmp_path, capsys) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    (tmp_path / "in" / "b.nii").write_text("no scan\nat all")
    lines = events(tmp_path, capsys, "--log-format", "json")
    assert all({"time", "level", "event", "message"} <= line.keys() for line in lines)
    of_a = [line for line in lines if line.get("case") == "a.nii.gz"]
    assert [line["event"] for line in of_a] == ["start", *["stage"] * 4, "done"]
    assert (of_a[-2]["stage"], of_a[-2]["done"], of_a[-2]["total"]) == ("segmentation", 3, 3)
    assert of_a[-1]["seconds"] > 0 and (of_a[-1]["number"], of_a[-1]["of"]) == (1, 2)
    (failed,) = [line for line in lines if line["event"] == "failed"]
    assert (failed["case"], failed["code"], failed["error"]) == ("b.nii", 2, "InputError")
    again = events(tmp_path, capsys, "--log-format", "json", "--only", "a*")
    assert "complete" in [line["event"] for line in again]


def test_people_get_no_steps_unless_they_ask(tmp_path, capsys) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz")
    arguments = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    main(arguments, lambda _: FakeSegmenter(POINTS))
    said = capsys.readouterr().err
    assert "segmentation 3/3" not in said and "{" not in said and "[1/1]" in said


def test_steps_are_told_of_their_own_scan(tmp_path, capsys) -> None:
    """The last steps of a scan may come when the next one has begun."""
    for name in "abc":
        write_scan(tmp_path / "in" / f"{name}.nii.gz")
    lines = events(tmp_path, capsys, "--log-format", "json")
    for name in "abc":
        stages = [x for x in lines if x["event"] == "stage" and x["case"] == f"{name}.nii.gz"]
        steps = [(line["stage"], line["done"]) for line in stages]
        assert steps == [("read", 0), *(("segmentation", done) for done in (1, 2, 3))]


RUN = """
import logging, sys, warnings
from tests.support.fake_segmenter import FakeSegmenter
from vertseg.cli import main

warnings.simplefilter("always")

def libraries_warn(image):
    import nibabel
    warnings.warn("the header says MUELLER ANNA")
    warnings.warn("MUELLER ANNA", DeprecationWarning)
    for name in ("", "nibabel.global", "pydicom", "highdicom.base", "absl", "tensorflow"):
        logging.getLogger(name).error("patient MUELLER ANNA")

segmenter = FakeSegmenter({20: (20.0, 24.0, 29.0)}, before=libraries_warn)
sys.exit(main(sys.argv[1:], lambda _: segmenter))
"""
DICOM = ("seg", "rtstruct", "report", "preview")


@pytest.mark.parametrize("options", [("--log-format", "json"), ("--verbose",)])
def test_no_library_writes_the_name_of_a_patient(tmp_path, options) -> None:
    pytest.importorskip("highdicom")
    people = {"g0010_0010": "MUELLER ANNA", "g0008_0090": "DR SCHMIDT"}  # no caret, as is common
    write_series(tmp_path / "in" / "CT", g0020_0052="1.2.9", **people)
    arguments = ["--input", tmp_path / "in", "--output", tmp_path / "out", *options]
    arguments += [f"--dicom-{kind}" for kind in DICOM]
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert {f"CT_{kind}.dcm" for kind in ("seg", "rtstruct", "sr", "preview")} <= {
        file.name for file in Path(tmp_path / "out").iterdir()
    }
    for word in ("MUELLER", "ANNA", "SCHMIDT"):
        assert word not in done.stderr + done.stdout
    if "json" in options:
        assert all(json.loads(line)["event"] for line in done.stderr.splitlines())
    else:
        assert "highdicom/base.py, line" in done.stderr and "UserWarning" in done.stderr
