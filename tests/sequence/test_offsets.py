"""Offset statistics: known answers on made-up courses, and the stored table against the data."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import DATA
from vertseg.labels import label_of
from vertseg.sequence.offsets import TABLE, load_statistics
from vertseg.training.data.course_tables import Course, read_courses
from vertseg.training.data.offset_table import (
    REGULAR,
    compute_table,
    count_variants,
    main,
    offsets,
    scan_scale,
)

needs_data = pytest.mark.skipif(
    not (DATA / "centroids_vid.csv").is_file(), reason="the data folder is not here"
)


def straight_course(labels: list[int], step_mm: float, name: str = "a") -> Course:
    points = {label: np.array([0.0, 0.0, -step_mm * i]) for i, label in enumerate(labels)}
    return Course(name, "verse", "landmarks_verse20", points)


def test_offsets_of_neighbours_and_over_one_vertebra() -> None:
    with_t12 = straight_course([18, 19, 20, 21], 20.0).points_lps_mm
    without = straight_course([18, 20, 21], 20.0).points_lps_mm
    courses = [with_t12, without]
    np.testing.assert_allclose(offsets(courses, (18, 20)), [[0, 0, -20]])
    np.testing.assert_allclose(offsets(courses, (18, 20), middle=19), [[0, 0, -40]])
    np.testing.assert_allclose(offsets(courses, (20, 21)), [[0, 0, -20]] * 2)


def test_implausible_offsets_are_left_out() -> None:
    upside_down = straight_course([20, 21], -30.0).points_lps_mm
    too_far = straight_course([20, 21], 70.0).points_lps_mm
    assert offsets([upside_down, too_far], (20, 21)).shape == (0, 3)


def test_scale_is_the_mean_ratio_drawn_to_one() -> None:
    course = straight_course([20, 21, 22, 23], 36.0)
    means = dict.fromkeys(REGULAR, 30.0)
    assert scan_scale(course, means) == pytest.approx((0.5 + 3 * 1.2) / 3.5)
    assert scan_scale(straight_course([20], 36.0), means) == 1.0


def test_variants_are_counted() -> None:
    courses = [
        straight_course([18, 19, 20], 25.0),
        straight_course([18, 20, 21, 22, 23, 24, 25], 25.0),
        straight_course([19, 28, 20, 21, 22, 23, 24], 25.0),
    ]
    variants = count_variants(courses)
    assert (variants["L6"]["scans"], variants["L6"]["of"]) == (1, 2)
    assert (variants["T13"]["scans"], variants["T13"]["of"]) == (1, 3)
    assert (variants["no T12"]["scans"], variants["no T12"]["of"]) == (1, 3)


def test_table_of_scaled_copies_has_their_common_shape() -> None:
    rng = np.random.default_rng(0)
    labels = [*range(1, 25)]
    shape = np.cumsum(
        np.stack([np.zeros(24), np.linspace(3, -3, 24), -np.linspace(15, 35, 24)], 1), 0
    )
    courses = []
    for i, scale in enumerate(rng.normal(1, 0.07, 300)):
        points = scale * (shape + rng.normal(0, 0.3, shape.shape))
        courses.append(Course(str(i), "verse", "x", dict(zip(labels, points, strict=True))))
    table = compute_table(courses)
    l1_l2 = table["neighbours"]["L1-L2"]
    np.testing.assert_allclose(l1_l2["mean_mm"], shape[20] - shape[19], rtol=0.02, atol=0.1)
    np.testing.assert_allclose(np.diag(l1_l2["covariance_mm2"]), [0.18, 0.18, 0.18], atol=0.08)
    assert table["scale"]["sd"] == pytest.approx(0.07, abs=0.01)


def test_the_stored_table_is_complete_and_usable() -> None:
    statistics = load_statistics()
    order = {*REGULAR, (24, 25), (19, 28), (28, 20), (18, 20), (6, 8)}
    assert set(statistics.neighbours) == order
    assert {(label, label + 2) for label in range(1, 23)} <= set(statistics.skips)
    for offset in [*statistics.neighbours.values(), *statistics.skips.values()]:
        assert np.linalg.eigvalsh(offset.covariance_mm2).min() > 0.5
        assert offset.mean_mm[2] < -10
    assert all(0 < prior < 0.15 for prior in statistics.variant_priors.values())
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    assert table["licence"] == "CC BY-SA 4.0"
    assert any("VerSe" in source for source in table["sources"])


@needs_data
def test_the_stored_table_is_what_the_data_give(tmp_path: Path) -> None:
    main(["--data", str(DATA), "--output", str(tmp_path / "table.json")])
    made = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert made == json.loads(TABLE.read_text(encoding="utf-8"))


@needs_data
def test_courses_are_unique_and_agree_with_published_counts() -> None:
    courses = read_courses(DATA)
    assert len({course.scan for course in courses}) == len(courses)
    newest = [course for course in courses if course.table == "landmarks_verse20"]
    assert len(newest) == 113
    assert sum(label_of("L6") in course.points_lps_mm for course in newest) == 16
    assert sum(label_of("T13") in course.points_lps_mm for course in newest) == 2
    landmarks = [course for course in courses if course.table.startswith("landmarks")]
    assert len(landmarks) == 140  # 79 + 113, of which 52 are in both
    points = [course.points_lps_mm for course in landmarks]
    lengths = np.linalg.norm(offsets(points, (20, 21)), axis=1)
    assert lengths.mean() == pytest.approx(33.1, abs=0.1)


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="centroids_vid.csv"):
        read_courses(tmp_path)
