"""Whole scans: right, wrong and flagged, wrong and not flagged."""

import json
from dataclasses import replace

from vertseg.evaluate.scores import VertebraScore
from vertseg.training.validate.whole_scans import is_right, misnamed, read_flags, whole_scans


def scan(case: str, *identified: bool) -> list[VertebraScore]:
    return [
        VertebraScore(case, 20 + i, annotated=True, predicted=True, identified=right)
        for i, right in enumerate(identified)
    ]


def test_scans_are_counted_before_and_after_flags() -> None:
    more = VertebraScore("a", 7, predicted=True)  # seen, but not annotated
    scores = [*scan("a", True, True), more, *scan("b", True, False), *scan("c", False, False)]
    scores += scan("d", True)
    flags = {"a": ["metal"], "b": ["level_shift"], "c": ["volume"], "d": ["spacing"]}
    assert is_right(scores[:3])
    table = whole_scans(scores, flags)
    for row in (
        "| all names right | 2 of 4 (50.0 %) |",
        "| all names right, or asked | 3 of 4 (75.0 %) |",
        "| right ones with a flag that asks for names | 1 of 2 (50.0 %) |",
        "| right ones with any flag to check | 2 of 2 (100.0 %) |",
        "| wrong ones without a flag that asks for names | 1 of 2 (50.0 %) |",
        "| vertebrae named right, or asked | 5 of 7 (71.4 %) |",
        "| scans with a wrong name, and no such flag | 1 of 2 (50.0 %) |",
        "| vertebrae with a wrong name, and not asked | 2 of 7 (28.6 %) |",
        "Not asked: c",
        "| metal | 1 of 2 (50.0 %) | 0 of 2 (0.0 %) |",
        "| volume | 0 of 2 (0.0 %) | 1 of 2 (50.0 %) |",
    ):
        assert row in table
    assert "Not asked" not in whole_scans(scan("a", True), {})


def test_a_vertebra_that_is_only_missing_has_no_wrong_name() -> None:
    missing = VertebraScore("a", 24, annotated=True)
    table = whole_scans([*scan("a", True, True), missing], {})
    assert "| scans with a wrong name, and no such flag | 0 of 0 |" in table
    assert "| vertebrae with a wrong name, and not asked | 0 of 3 (0.0 %) |" in table
    assert "Not asked: a" in table


def test_a_name_that_the_scan_lacks_is_a_wrong_one_where_a_vertebra_is_missing() -> None:
    """T11 is called T12, which is absent; what lies beyond the annotated ones is no error."""
    beyond, absent = (VertebraScore("a", label, predicted=True) for label in (17, 19))
    t11 = VertebraScore("a", 18, annotated=True)
    table = whole_scans([beyond, t11, absent, *scan("a", True, True)], {})
    assert "| scans with a wrong name, and no such flag | 1 of 1 (100.0 %) |" in table
    assert "| vertebrae with a wrong name, and not asked | 1 of 3 (33.3 %) |" in table
    found = replace(t11, predicted=True, identified=True)
    assert misnamed([beyond, found, absent, *scan("a", True)]) == []


def test_flags_to_check_are_read_from_reports(tmp_path) -> None:
    flags = [{"code": "spacing", "severity": "check"}, {"code": "metal", "severity": "note"}]
    (tmp_path / "a_report.json").write_text(json.dumps({"flags": flags}))
    assert read_flags(tmp_path) == {"a": ["spacing"]}
