"""Every report that the program writes fits the schema in the package."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from tests.support.paths import ROOT
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.cli import main
from vertseg.report.validity import is_report
from vertseg.stages import FIND, SPINE_ONLY

SCHEMA = json.loads((ROOT / "vertseg" / "data" / "report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def reports(tmp_path: Path, points=POINTS, **changes) -> list[dict]:
    if not (tmp_path / "in").exists():
        write_scan(tmp_path / "in" / "a.nii.gz")
    options = Options(input=tmp_path / "in", output=tmp_path / "out", **changes)
    run_batch(options, lambda _: FakeSegmenter(points))
    return written(tmp_path)


def written(tmp_path: Path) -> list[dict]:
    return [json.loads(p.read_text()) for p in sorted((tmp_path / "out").rglob("*_report.json"))]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"points": {}},
        {"stages": SPINE_ONLY},
        {"stages": FIND},
        {"parts": True, "markups": True},
    ],
    ids=["usual", "no spine", "spine only", "no masks", "parts"],
)
def test_reports_of_runs_fit(tmp_path, changes) -> None:
    for report in reports(tmp_path, **changes):
        VALIDATOR.validate(report)
        assert is_report(report)


def test_a_failure_and_a_change_by_a_person_fit(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.nii").write_text("no scan")
    write_scan(tmp_path / "in" / "a.nii.gz")
    reports(tmp_path)
    assert main(["relabel", str(tmp_path / "out"), "--case", "a", "--shift", "1"]) == 0
    changed, failed = written(tmp_path)
    assert failed["status"] == "failed" and changed["changed_by_person"]
    for report in (changed, failed):
        VALIDATOR.validate(report)


def test_every_column_of_a_vertebra_is_in_the_schema(tmp_path) -> None:
    (report,) = reports(tmp_path)
    listed = SCHEMA["properties"]["vertebrae"]["items"]["properties"]
    assert set(report["vertebrae"][0]) == set(listed) - {"parts"}


def test_a_spoilt_report_does_not_fit(tmp_path) -> None:
    (report,) = reports(tmp_path)
    for name in ("vertebrae", "input", "case", "outputs"):
        assert not VALIDATOR.is_valid({k: v for k, v in report.items() if k != name})
    report["vertebrae"][0]["label"] = 26
    assert not VALIDATOR.is_valid(report)
