"""C1's point: at the dens, whichever way the neck is bent."""

import numpy as np
import pytest

from tests.support.spine_simulation import mean_course
from vertseg.sequence.dens import FURTHEST_BEHIND_MM, with_c1_at_dens
from vertseg.sequence.solve import FoundVertebra, SequenceResult

LABELS = [1, 2, 3, 4, 5]


def turned(points: np.ndarray, sagittal_deg: float) -> np.ndarray:
    """Points (n, 3) of a neck that is bent about the left-right axis."""
    c, s = np.cos(np.radians(sagittal_deg)), np.sin(np.radians(sagittal_deg))
    return points @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T


def chain(points: np.ndarray, labels=LABELS, scale: float = 1.0) -> SequenceResult:
    found = (
        FoundVertebra(label, tuple(point), 0.8, mass=0.8, margin=9.0, place=place)
        for place, (label, point) in enumerate(zip(labels, points.tolist(), strict=True))
    )
    return SequenceResult(tuple(found), scale=scale, warnings=())


@pytest.mark.parametrize("bent_deg", [-40.0, 0.0, 40.0])
@pytest.mark.parametrize("scale", [0.85, 1.15])
def test_a_point_at_the_posterior_arch_goes_to_the_dens(bent_deg: float, scale: float) -> None:
    course = scale * turned(mean_course(LABELS), bent_deg)
    behind = course.copy()
    behind[0] += turned(np.array([[0.0, 20.0, 0.0]]), bent_deg)[0]
    result = with_c1_at_dens(chain(behind, scale=scale))
    found = np.array([v.point_lps_mm for v in result.vertebrae])
    np.testing.assert_allclose(found, course, atol=1.0)
    assert [(v.label, v.place) for v in result.vertebrae] == [(n + 1, n) for n in range(5)]
    assert "C1 was seen far behind the dens" in result.warnings[0]


@pytest.mark.parametrize("behind_mm", [-6.0, 0.0, 6.0])
def test_a_point_that_is_usual_stays(behind_mm: float) -> None:
    course = mean_course(LABELS)
    course[0, 1] += behind_mm
    given = chain(course)
    assert with_c1_at_dens(given) is given


def test_without_a_neck_below_it_nothing_is_known() -> None:
    course = mean_course(LABELS)
    course[0, 1] += FURTHEST_BEHIND_MM + 12.0
    for labels in ([1, 2], [2, 3], [1, 3]):
        given = chain(course[[n - 1 for n in labels]], labels)
        assert with_c1_at_dens(given) is given
    assert with_c1_at_dens(SequenceResult()) == SequenceResult()
