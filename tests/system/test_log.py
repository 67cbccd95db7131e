"""Lines of the log for programs."""

from __future__ import annotations

import json

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
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
