"""Distances of neighbours against those that are usual for a spine of their size."""

import numpy as np
import pytest

from tests.support.spine_simulation import mean_course
from vertseg.geometry.centroid import Centroid
from vertseg.sequence.steps import steps_of

LUMBAR = (18, 19, 20, 21, 22, 23, 24)


def spine(scale: float = 1.0) -> list[Centroid]:
    points = scale * mean_course(LUMBAR)
    return [Centroid.at(label, point) for label, point in zip(LUMBAR, points, strict=True)]


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.2])
def test_the_size_of_the_body_counts(scale) -> None:
    steps = steps_of(spine(scale))
    assert [step.row for step in steps] == list(range(6))
    assert not any(step.is_wide or step.is_short for step in steps)
    assert all(step.length_mm == pytest.approx(step.usual_mm) for step in steps)


def test_a_place_that_is_missing_and_one_that_is_doubled_show() -> None:
    found = spine()
    one_off = [*found[:3], *(Centroid(v.label - 1, v.point_lps_mm) for v in found[4:])]
    assert [step.row for step in steps_of(one_off) if step.is_wide] == [2]
    middle = np.add(found[2].point_lps_mm, (0, 0, -12))
    twice = [*found[:3], Centroid.at(21, middle), *found[4:]]
    assert [step.row for step in steps_of(twice) if step.is_short] == [2]


def test_pairs_that_never_follow_each_other_have_no_usual_step() -> None:
    gap = [v for v in spine() if v.label != 21]
    assert [step.row for step in steps_of(gap)] == [0, 1, 3, 4]
    assert not steps_of([]) and not steps_of(gap[:1])


def test_centroids_at_one_point_are_short() -> None:
    same = [Centroid(v.label, (0.0, 0.0, 0.0)) for v in spine()[:2]]
    assert [step.is_short for step in steps_of(same)] == [True]
