"""Standard streams that are closed, full or read by nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_segmenter import write_scan
from tests.support.paths import ROOT

RUN = """
import sys
from tests.support.fake_segmenter import POINTS, FakeSegmenter
from vertseg.cli import main
sys.exit(main(sys.argv[1:], lambda _: FakeSegmenter(POINTS)))
"""
WAYS = ["0<&- 1>&- 2>&-", "1>&-", "2>&-", "1>/dev/full 2>/dev/full", "2> >(true)"]


@pytest.mark.parametrize("redirected", WAYS)
def test_a_run_is_done_whoever_reads_what_it_says(tmp_path, redirected) -> None:
    write_scan(tmp_path / "in" / "a.nii.gz", (12, 13, 20), 8.0)
    command = [sys.executable, "-c", RUN, "--input", tmp_path / "in", "--output", tmp_path / "out"]
    shell = ["bash", "-c", f'"$@" {redirected}', "bash", *map(str, command)]
    done = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    check_outputs(tmp_path / "out")


def check_outputs(output: Path) -> None:
    """Nothing that was said has been written into a file."""
    assert json.loads((output / "a_report.json").read_text())["status"] == "ok"
    assert (output / "summary.csv").read_text().startswith("case,")
    assert (output / "index.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("argument", ["--version", "--help", "--unknown"])
def test_answers_to_nobody_keep_their_exit_code(argument) -> None:
    code = 1 if argument == "--unknown" else 0
    for redirected in ("1>&- 2>&-", "1>/dev/full 2>/dev/full"):
        command = f'"{sys.executable}" predict.py {argument} {redirected}'
        assert subprocess.run(["bash", "-c", command], cwd=ROOT).returncode == code
