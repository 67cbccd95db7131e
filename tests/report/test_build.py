"""Reports, flags and the summary."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.fake_segmenter import MANIFEST, POINTS, FakeSegmenter, fake_result, phantom_scan
from vertseg.errors import InputError
from vertseg.geometry.frames import SpineFrame
from vertseg.io.case import Case
from vertseg.io.image import Image
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of
from vertseg.measure import analyse
from vertseg.measure.body import Body
from vertseg.measure.flag import Flag, listed
from vertseg.measure.flags import quality_flags
from vertseg.measure.vertebra import Heights, Measurement
from vertseg.report.build import build_failure, build_report
from vertseg.report.files import read_report, write_report
from vertseg.report.run_info import OutputOptions, RunInfo
from vertseg.report.summary import COLUMNS, summary_text
from vertseg.report.words import found_in_words
from vertseg.sequence.offsets import load_statistics
from vertseg.stages import SPINE_ONLY
from vertseg.stages.result import Vertebra
from vertseg.system.fingerprint import Fingerprint, is_same_file, sha256_of
from vertseg.version import VERSION

CASE = Case(Path("in/sub/a.nii.gz"), Path("sub"), "a", False)
RUN = RunInfo.of(FakeSegmenter(), OutputOptions())
FINGERPRINT = Fingerprint(10, 20, "ab")


@pytest.fixture(scope="module")
def image() -> Image:
    return Image.from_array(phantom_scan(), np.diag([-4.0, -4.0, 4.0, 1.0]))


def report_of(result):
    outputs = {"mask": CASE.mask, "centroids": CASE.centroids}
    return build_report(CASE, FINGERPRINT, RUN, result, analyse(result), outputs, result.seconds)


def sound(label: int, volume_ml: float = 45.0, **changes) -> Measurement:
    values = {
        "label": label,
        "volume_ml": volume_ml,
        "trabecular_hu": 160.0,
        "trabecular_sd_hu": 30.0,
        "touches_border": "",
        "heights": Heights(25.0, 23.0, 25.0),
        "body": None,
        "metal_ml": 0.0,
        "centroid_in_mask": True,
    }
    return Measurement(**{**values, **changes})


def chain(labels, steps=None, peak=0.9) -> tuple[Vertebra, ...]:
    """Vertebrae at usual distances, or at given ones, one below the other."""
    steps = steps or [30.0] * len(labels)
    heights = -np.cumsum([0.0, *steps])
    return tuple(
        Vertebra(label, (0.0, 0.0, float(z)), peak, voxels=100)
        for label, z in zip(labels, heights, strict=False)
    )


def flags_of(image, vertebrae, rows=None, **changes) -> dict[str, Flag]:
    """Flags by code, each of which must say what to check."""
    result = fake_result(image, {}, **{"status": "ok", "vertebrae": vertebrae, **changes})
    rows = rows or [sound(vertebra.label) for vertebra in vertebrae]
    flags = {flag.code: flag for flag in quality_flags(result, rows)}
    assert all("heck" in flag.sentence for flag in flags.values())
    return flags


def test_a_report_survives_the_disk_and_holds_only_plain_json(image, tmp_path) -> None:
    report = report_of(fake_result(image, POINTS, margin=math.inf))
    path = tmp_path / "a_report.json"
    write_report(path, report)
    assert read_report(path) == report
    assert json.loads(path.read_text()) == report
    assert '"spacing_mm": [4.0, 4.0, 4.0]' in path.read_text()
    assert report["status"] == "ok" and report["case"] == "sub/a.nii.gz"
    assert report["sequence"]["margin_nats"] is None
    assert report["software"]["vertseg"] == VERSION
    assert report["weights"]["sha256"]["spine"] == MANIFEST["files"]["spine"]["sha256"]
    assert report["geometry"]["axes_towards"] == ["L", "P", "S"]
    first = report["vertebrae"][0]
    assert first["name"] == "L1" and first["centroid_lps_mm"] == list(POINTS[20])
    assert first["volume_ml"] == pytest.approx(first["voxels"] * 0.064, abs=0.01)
    assert "Not a medical device" in report["notice"]


def test_a_failure_says_what_where_and_what_to_do(tmp_path) -> None:
    report = build_failure(CASE, InputError("is broken", "a.nii.gz", "a scan", "Mend it."), RUN)
    write_report(tmp_path / "r.json", report)
    assert report["status"] == "failed"
    assert report["error"] == {
        "what": "is broken",
        "where": "a.nii.gz",
        "expected": "a scan",
        "remedy": "Mend it.",
    }


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other"}', "\x00"])
def test_what_is_no_report_is_none(tmp_path, text) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    assert read_report(path) is None
    assert read_report(tmp_path / "absent.json") is None


def test_the_summary_has_a_row_for_each_vertebra(image, tmp_path) -> None:
    found = report_of(fake_result(image, POINTS))
    none = report_of(fake_result(image, {}))
    (tmp_path / "summary.csv").write_text(summary_text([found, none]))
    lines = (tmp_path / "summary.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["case"], row["name"]) for row in rows] == [
        ("sub/a.nii.gz", name) for name in ("L1", "L2", "L3")
    ]
    assert float(rows[0]["z_lps_mm"]) == POINTS[20][2]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_text_of_the_summary_is_a_formula(tmp_path, image, start) -> None:
    report = report_of(fake_result(image, POINTS))
    name = f"{start}cmd|' /C calc'!A0\r=1"
    report = {**report, "case": name, "acquisition": {**report["acquisition"], "kernel": name}}
    (tmp_path / "summary.csv").write_text(summary_text([report]))
    with (tmp_path / "summary.csv").open(newline="", encoding="utf-8") as stream:
        (row, *_) = csv.DictReader(stream)
    assert row["case"] == row["kernel"] == f"'{name}".replace("\r", "\\r")
    assert float(row["x_lps_mm"]) == report["vertebrae"][0]["centroid_lps_mm"][0]


def test_fingerprints(tmp_path) -> None:
    path = tmp_path / "scan"
    path.write_bytes(b"abc")
    recorded = Fingerprint.of(path).as_dict()
    assert recorded["sha256"] == sha256_of(path)
    assert recorded["sha256"].startswith("ba7816bf")
    assert is_same_file(path, recorded)
    assert is_same_file(path, {**recorded, "modified_ns": 0})
    assert not is_same_file(path, {**recorded, "modified_ns": 0, "sha256": "00"})
    assert not is_same_file(path, {**recorded, "bytes": 4})
    assert not is_same_file(path, None)
    fingerprint = Fingerprint.of(path)
    assert fingerprint.still_fits(path)
    path.write_bytes(b"abcd")
    assert not fingerprint.still_fits(path)
    assert not fingerprint.still_fits(tmp_path / "absent")
    assert not is_same_file(tmp_path / "absent", recorded)


def test_a_sound_spine_is_not_flagged(image) -> None:
    assert flags_of(image, chain(range(18, 25))) == {}


@pytest.mark.parametrize(
    ("first", "last", "seen"),
    [
        *(("C2", "C5", True), ("C3", "C7", False), ("C6", "T3", True), ("T2", "T12", False)),
        *(("T11", "L2", True), ("L1", "L4", False), ("L3", "L5", True)),
    ],
)
def test_levels_that_cannot_be_counted_are_flagged(image, first, last, seen) -> None:
    found = chain(range(label_of(first), label_of(last) + 1))
    assert ("no_landmark" not in flags_of(image, found)) == seen


def test_flags_of_the_chain(image) -> None:
    labels = list(range(16, 25))
    steps = [25.6, 27.4, 29.7, 31.6, 33.1, 18.0, 33.9, 31.8]
    spacing = flags_of(image, chain(labels, steps))
    assert spacing["spacing"].vertebrae == ("L2", "L3") and "18 mm" in spacing["spacing"].sentence
    gap = flags_of(image, chain([18, 19, 21, 22], [30.0, 64.0, 33.0]))
    assert gap["gap"].vertebrae == ("T12", "L2")
    twice = flags_of(image, chain([3, 4, 5]), doubled=((4, 5),))
    assert twice["doubled"].vertebrae == ("C4", "C5") and twice["doubled"].severity == "check"
    assert "numbering_variant" in flags_of(image, chain([18, 20, 21]))
    assert "numbering_variant" in flags_of(image, chain([23, 24, 25]))
    shifted = flags_of(
        image, chain([20, 21]), level_shift_possible=True, margin=0.5, rival="L1-L2 may be L2-L3"
    )
    assert "L1-L2 may be L2-L3" in shifted["level_shift"].sentence
    assert shifted["level_shift"].severity == "check"
    alone = flags_of(image, chain([20, 21]), level_shift_possible=True, margin=-1.2, rival="")
    assert "are uncertain (margin -1.2 nats)" in alone["level_shift"].sentence
    turned = flags_of(image, chain([20, 21]), upside_down_possible=True)
    assert turned["upside_down"].severity == "check"
    bent = list(chain([20, 21, 22]))
    bent[2] = Vertebra(22, (30.0, 0.0, bent[1].point_lps_mm[2] - 25.0), 0.9, voxels=100)
    assert flags_of(image, bent)["curvature"].vertebrae == ("L2",)
    bent[2] = Vertebra(22, (22.0, 0.0, bent[1].point_lps_mm[2] - 25.0), 0.9, voxels=100)
    assert "curvature" not in flags_of(image, bent)  # 41 degrees, as some spines turn
    assert "(margin 0.5 nats)" in shifted["level_shift"].sentence
    assert flags_of(image, chain([20, 21], peak=0.1))["weak_evidence"].vertebrae == ("L1", "L2")
    assert set(flags_of(image, (), status="no_spine")) == {"no_spine"}
    assert flags_of(image, (), stages=SPINE_ONLY) == {}  # a spine whose vertebrae were not sought


def goes_on(image, labels, above: float, below: float, left_out=()) -> Flag | None:
    """The flag for a spine that goes on so many usual distances beyond a usual chain."""
    order = [n for n in ORDER_CRANIAL_TO_CAUDAL if n != 28]
    pairs = [(order[i], order[i + 1]) for i in range(len(order) - 1)]
    usual = {p: float(np.linalg.norm(load_statistics().neighbours[p].mean_mm)) for p in pairs}
    found = chain(labels, [usual[pair] for pair in pairs if set(pair) <= {*labels}])
    first, last = order.index(labels[0]), order.index(labels[-1])
    top = above * usual.get(pairs[first - 1] if first else (0, 0), 20.0)
    low = found[-1].point_lps_mm[2] - below * usual.get(pairs[min(last, len(pairs) - 1)], 30.0)
    course = tuple((0.0, 15.0, float(z)) for z in np.linspace(top, low, 9))
    return flags_of(image, found, spine_lps_mm=course, left_out=left_out).get("missing_at_end")


@pytest.mark.parametrize(
    ("first", "last", "above", "below", "left_out", "flagged"),
    [
        *(("T8", "T10", 3.7, 0.9, (), "T8"), ("T8", "T10", 1.2, 1.2, (), None)),
        *(("T8", "T10", 1.2, 1.6, (), "T10"), ("T8", "T8", 1.2, 2.1, (), "T8")),
        # What was found and left out belongs to the chain, at its own end.
        *(("T8", "T10", 2.2, 0.9, ("T7",), None), ("T8", "T10", 2.7, 0.9, ("T7",), "T8")),
        *(("T8", "T10", 2.2, 0.9, ("T11",), "T8"), ("C3", "T4", 1.0, 2.2, ("T5",), None)),
        # The skull lies above C1, and the sacrum below L5 and L6.
        *(("C1", "T2", 3.0, 1.0, (), None), ("C2", "T2", 1.9, 1.0, (), None)),
        *(("C2", "T2", 2.3, 1.0, (), "C2"), ("T9", "L5", 1.0, 6.0, (), None)),
        *(("T9", "L6", 1.0, 6.0, (), None), ("T9", "L4", 1.0, 6.0, (), "L4")),
    ],
)
def test_a_spine_that_goes_on_beyond_the_chain(
    image, first, last, above, below, left_out, flagged
) -> None:
    labels = range(label_of(first), label_of(last) + 1)
    flag = goes_on(image, labels, above, below, tuple(map(label_of, left_out)))
    assert (flag and flag.vertebrae) == (flagged and (flagged,))
    if flag:
        assert flag.severity == "check"
        assert re.search(rf"goes on \d+ mm (above|below) {flagged}: check", flag.sentence)


def test_a_course_that_is_only_the_ends_of_the_scan_says_nothing(image) -> None:
    course = ((0.0, 0.0, 300.0), (0.0, 0.0, -300.0))
    assert "missing_at_end" not in flags_of(image, chain([15, 16, 17]), spine_lps_mm=course)


def test_levels_in_a_row_are_a_range() -> None:
    assert listed(["T1"]) == "T1" and listed(["T1", "T2"]) == "T1 and T2"
    assert listed(["C6", "C7", "T1", "T2"]) == "C6–T2"
    assert listed(["C1", "C3", "C4", "T12", "L1", "L2"]) == "C1, C3, C4 and T12–L2"
    assert listed(["T11", "T12", "T13", "L1"]) == "T11–L1"
    assert listed(["T12", "T13", "L2"]) == "T12, T13 and L2"


@pytest.mark.parametrize(("step_mm", "asked"), [(10.2, False), (8.0, True)])
def test_two_millimetres_between_two_centres_of_a_neck_are_no_finding(
    image, step_mm, asked
) -> None:
    # C5 and C6 are 15 mm apart in the mean; 0.72 times that is 11 mm.
    found = chain(range(2, 9), [18.5, 15.8, 16.0, step_mm, 17.6, 18.8])
    assert ("spacing" in flags_of(image, found)) == asked


def of_size(size, spacing_mm) -> Image:
    """A scan of voxels of this size, nothing in it."""
    return Image.from_array(phantom_scan(size), np.diag([*spacing_mm, 1.0]))


@pytest.mark.parametrize(
    ("spacing_mm", "noted"),
    [((1, 1, 6.0), False), ((1, 1, 6.5), True), ((10.0, 1, 1), True), ((2, 5, 5), False)],
)
def test_slices_thicker_than_those_of_training_are_noted(spacing_mm, noted) -> None:
    for found, status in ((chain([20, 21]), "ok"), ((), "no_spine")):
        flag = flags_of(of_size((24, 26, 40), spacing_mm), found, status=status).get("thick_slices")
        assert (flag is not None) == noted
        if flag:
            assert flag.severity == "note" and f"{max(spacing_mm):g} mm apart" in flag.sentence


def test_a_scan_too_short_for_a_vertebra_is_told_apart() -> None:
    said = {
        planes: flags_of(of_size((24, 26, planes), (1, 1, 3.0)), (), status="no_spine")["no_spine"]
        for planes in (3, 40)
    }
    assert "only 9 mm from head to feet" in said[3].sentence and "HU" not in said[3].sentence
    assert "values are HU" in said[40].sentence


def test_doubtful_values_are_named_once(image, tmp_path) -> None:
    values = (np.random.default_rng(1).random((20, 20, 20)) * 900 + 5).astype(np.int16)
    limited = phantom_scan((24, 26, 40)).clip(-160, 240)
    for array, doubt in ((values, "do not look like Hounsfield"), (limited, "are limited to")):
        report = report_of(fake_result(Image.from_array(array, np.diag([4.0, 4, 4, 1])), {}))
        assert json.dumps(report).count(doubt) == 1
        assert [doubt in flag["sentence"] for flag in report["flags"]].count(True) == 1
        assert report["geometry"]["repairs"] == []


def test_levels_that_may_be_others_have_a_question_mark(image) -> None:
    with_last_rib = {label - 1: point for label, point in POINTS.items()}
    sure, doubtful = (
        report_of(fake_result(image, with_last_rib, level_shift_possible=possible))
        for possible in (False, True)
    )
    assert found_in_words(sure) == "3 vertebrae, T12–L2"
    assert found_in_words(doubtful) == "3 vertebrae, T12–L2?"
    assert found_in_words(report_of(fake_result(image, POINTS))) == "3 vertebrae, L1–L3?"


def test_flags_of_masks_and_bone(image) -> None:
    vertebrae = chain([20, 21, 22, 23, 24])

    def flags(**changes):
        return flags_of(image, vertebrae, [sound(20, **changes), *map(sound, (21, 22, 23, 24))])

    assert flags(volume_ml=12.0)["volume"].vertebrae == ("L1",)
    assert "The mask of L1 is small" in flags(volume_ml=12.0)["volume"].sentence
    all_small = flags_of(image, vertebrae, [sound(label, 12.0) for label in (20, 21, 22, 23, 24)])
    assert "The masks of L1–L5 are small" in all_small["volume"].sentence
    assert "large" in flags(volume_ml=115.0)["volume"].sentence
    assert "volume" not in flags(volume_ml=12.0, touches_border="S")
    for sides in ("S", "L"):
        cut = flags(touches_border=sides, cut_off=True)
        assert cut["cut_off"].vertebrae == ("L1",) and "touches_border" not in cut
        touching = flags(touches_border=sides)
        assert touching["touches_border"].vertebrae == ("L1",) and "cut_off" not in touching
    assert flags(volume_ml=0.0)["mask_empty"].vertebrae == ("L1",)
    assert flags(centroid_in_mask=False)["mask_centroid"].vertebrae == ("L1",)
    for offset_mm, codes in ((12.0, {"mask_centroid"}), (8.0, set())):
        middle = SpineFrame.along([0.0, offset_mm, 0.0], [0.0, 0.0, 1.0])
        up = np.array([0.0, 0.0, 1.0])
        body = Body(middle, 45.0, 34.0, 25.0, 23.0, 25.0, up, up)
        assert set(flags(body=body)) == codes
    assert flags(metal_ml=2.0)["metal"].vertebrae == ("L1",)
    assert "low_density" in flags(trabecular_hu=20.0)
    assert flags_of(image, vertebrae, left_out=(19,))["left_out"].vertebrae == ("T12",)
    doubtful = replace(image, intensities="unknown")
    for found, status, codes in ((vertebrae, "ok", set()), ((), "no_spine", {"no_spine"})):
        assert set(flags_of(doubtful, found, status=status)) == {"not_hounsfield"} | codes
    crushed = flags(heights=Heights(14.0, 13.0, 14.5))
    assert crushed["height_loss"].vertebrae == ("L1",)
    assert "not a diagnosis" in crushed["height_loss"].sentence
