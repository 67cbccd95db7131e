"""Marks of a reviewer, and the commands for what was marked wrong."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from vertseg.errors import ConfigurationError
from vertseg.report.review import Mark, read_review, what_to_do

REPORTS = {
    "a b.nii.gz": {"vertebrae": [{}]},
    "deep/x[1].nii.gz": {"vertebrae": []},
    "c.nii.gz": {"vertebrae": [{}]},
}


def test_what_was_saved_is_read_and_spreadsheets_may_have_saved_it_again(tmp_path) -> None:
    text = '\ufeffcase,mark,word,time\r\n"a, b.nii.gz",wrong,"one, two",\r\nc.nii.gz,right,,\r\n'
    (tmp_path / "r.csv").write_text(text, encoding="utf-8", newline="")
    marks = read_review(tmp_path / "r.csv")
    assert marks == {"a, b.nii.gz": Mark("wrong", "one, two"), "c.nii.gz": Mark("right")}


@pytest.mark.parametrize(
    "text", ["name,said\na,b\n", "case,mark\na.nii.gz,bad\n", "case,mark\n,right\n"]
)
def test_another_file_is_refused(tmp_path, text) -> None:
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_review(tmp_path / "r.csv")
    assert caught.value.remedy
    with pytest.raises(ConfigurationError):
        read_review(tmp_path / "absent.csv")


def test_wrong_ones_are_listed_with_commands_that_a_shell_takes() -> None:
    marks = {
        "a b.nii.gz": Mark("wrong", "T13?"),
        "deep/x[1].nii.gz": Mark("wrong"),
        "c.nii.gz": Mark("right"),
        "gone.nii.gz": Mark("wrong"),
    }
    lines = list(what_to_do(REPORTS, marks, Path("in"), Path("my out")))
    assert lines[0] == "Review: 1 right, 3 wrong, 0 unsure, of 3 scans."
    commands = [shlex.split(line.split(": ", 1)[1]) for line in lines if "vertseg" in line]
    assert commands[0] == ["vertseg", "relabel", "my out", "--case", "a b.nii.gz", "--shift", "1"]
    assert commands[2][5:7] == ["--only", "deep/x[[]1].nii.gz"] and len(commands) == 3
    assert "gone.nii.gz" in lines[-1]
