"""Names of files that are hard on screens, pictures and encodings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from tests.support.paths import ROOT
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import InputError

NAMES = (
    *("a b.c", "new\nline", "\x1b[31mred", "tab\t", "\u202ertl", "Größe_脊椎", "-rf", "%s%n{0}"),
    *("q'uo\"te<script>", "=cmd|calc", "comma,semi;", "x" * 240, os.fsdecode(b"\xff\xfe")),
)
RUN = """
import sys
from tests.support.fake_segmenter import POINTS, FakeSegmenter
from vertseg.cli import main
sys.exit(main(sys.argv[1:], lambda _: FakeSegmenter(POINTS)))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("names")
    write_scan(folder / "scan.nii.gz", (12, 13, 20), 8.0)
    (folder / "in").mkdir()
    for name in NAMES:
        (folder / "in" / f"{name}.nii.gz").hardlink_to(folder / "scan.nii.gz")
    return folder / "in", folder / "out"


def run_elsewhere(folders, **keywords) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", RUN, "--input", folders[0], "--output", folders[1]]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    ascii_only = {"PYTHONPATH": paths, "PYTHONIOENCODING": "ascii"}
    return subprocess.run(
        command, env=os.environ | ascii_only, stderr=subprocess.PIPE, check=False, **keywords
    )


def test_every_name_is_taken_and_resumed(folders) -> None:
    options = Options(*folders)
    outcome = run_batch(options, lambda _: FakeSegmenter(POINTS))
    assert [str(error) for _, error in outcome.failures] == []
    assert len(outcome.written) == len(NAMES)
    again = run_batch(options, lambda _: FakeSegmenter(POINTS))
    assert len(again.resumed) == len(NAMES)
    report = json.loads((folders[1] / "new\nline_report.json").read_text())
    assert report["case"] == "new\nline.nii.gz"


def test_screens_get_no_control_characters_and_any_encoding_will_do(folders) -> None:
    done = run_elsewhere(folders, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stderr
    shown = done.stdout + done.stderr
    assert rb"\x1b[31mred" in shown and rb"new\nline" in shown
    assert not set(shown.replace(b"\n", b"")) - set(range(32, 127))


def test_nobody_reads_the_table(folders) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run_elsewhere(folders, stdout=writer)
    os.close(writer)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr and b"BrokenPipe" not in done.stderr


def test_an_error_shows_no_control_characters() -> None:
    error = InputError("is bad", "/in/\x1b[2J\na.nii")
    assert str(error) == r"/in/\x1b[2J\na.nii: is bad"
