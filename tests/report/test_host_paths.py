"""What a report says of folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from vertseg.report.host_paths import without_host_paths

ROOTS = (Path("/data/study"), Path("/data/study/out"), Path("."))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/study/p1/a.nii.gz", "p1/a.nii.gz"),
        ("/data/study/out/a_seg.nii.gz: is full", "a_seg.nii.gz: is full"),
        ("the folder /data/study holds nothing.", "the folder study holds nothing."),
        ("No such file: '/home/jane/x/y.dcm'", "No such file: '…/y.dcm'"),
        ("/data/studyB/a.nii", "…/a.nii"),
        ("1/2 or 3/4, 5 km/h; p1/a/b.nii, ./x/y", "1/2 or 3/4, 5 km/h; p1/a/b.nii, ./x/y"),
    ],
)
def test_paths_begin_at_the_folders_that_were_given(text, expected) -> None:
    report = {"error": {"what": text}, "warnings": [text], "case": "/data/study/x"}
    found = without_host_paths(report, ROOTS)
    assert found == {"error": {"what": expected}, "warnings": [expected], "case": "/data/study/x"}
