"""Reports that somebody has edited, or that lay there damaged: a sentence, never a traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from tests.support.fake_segmenter import POINTS, FakeSegmenter, write_scan
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.report.claims import sealed

ODD = [None, 3, -1.5, float("nan"), 10**400, True, "", "x\0y", "../../etc/x", "/etc/x", [], {}]
ODD += [[3], {"a": 1}, [[]], "=1", [{"file": 3}], {"mask": {"file": "../x"}}, {"k": [1]}]


def places(value, prefix=()):
    """Ways to all parts of a report."""
    yield prefix
    parts = value.items() if isinstance(value, dict) else ()
    parts = enumerate(value) if isinstance(value, list) else parts
    for name, part in parts:
        if not (isinstance(name, int) and name > 0):
            yield from places(part, (*prefix, name))


def changed(report: dict, way: tuple, value) -> object:
    if not way:
        return value
    copied = copy.deepcopy(report)
    part = copied
    for name in way[:-1]:
        part = part[name]
    part[way[-1]] = value
    return copied


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("edited")
    write_scan(folder / "in" / "a.nii.gz", (12, 13, 20), 8.0)
    run(folder)
    return folder, json.loads((folder / "out" / "a_report.json").read_text())


def run(folder: Path, **changes):
    options = Options(folder / "in", folder / "out", **changes)
    return run_batch(options, lambda _: FakeSegmenter(POINTS))


def test_no_edit_of_a_report_ends_a_run(done) -> None:
    folder, report = done
    ways = list(places(report))
    for number, way in enumerate(ways):
        for value in (ODD[number % len(ODD)], ODD[(7 * number + 3) % len(ODD)]):
            edited = changed(report, way, value)
            text = json.dumps(edited)
            (folder / "out" / "a_report.json").write_text(text)
            outcome = run(folder)
            assert outcome.exit_code in (0, 2), (way, value)
            for _, error in outcome.failures:
                assert "error of the program" not in error.what, (way, value, error)


@pytest.mark.parametrize("way", [("outputs", "mask"), ("earlier_outputs",), ("output_sha256",)])
def test_a_report_never_leads_out_of_the_output_folder(done, way) -> None:
    folder, report = done
    outside = folder / "outside.nii.gz"
    outside.write_bytes(b"not ours")
    for value in ("../outside.nii.gz", str(outside), {"mask": {"file": "../outside.nii.gz"}}):
        edited = sealed(changed(report, way, value))
        (folder / "out" / "a_report.json").write_text(json.dumps(edited))
        run(folder, overwrite=True, resume=False)
        assert outside.read_bytes() == b"not ours"
        report = json.loads((folder / "out" / "a_report.json").read_text())
