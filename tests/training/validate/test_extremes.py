"""Extremes of posture: what they do to a straight course is known."""

import numpy as np
import pytest

from vertseg.training.factory.atlas import LEVEL_NAMES
from vertseg.training.validate.cases import EXTREME, FACTORY
from vertseg.training.validate.extremes import EXTREMES

STRAIGHT = np.stack([np.zeros(24), np.zeros(24), -20.0 * np.arange(24)], axis=1)


def angles_deg(course: np.ndarray, axis: int) -> np.ndarray:
    """How far each step leans along an axis; positive to the left or back."""
    steps = np.diff(course, axis=0)
    return np.degrees(np.arctan2(steps[:, axis], -steps[:, 2]))


@pytest.mark.parametrize(
    ("name", "axis", "upper", "lower", "limits"),
    [
        ("hyperlordosis", 1, "L4", "T12", (20, 40)),
        ("hyperkyphosis", 1, "T1", "T11", (25, 50)),
        ("scoliosis", 0, "T4", "T11", (35, 60)),
    ],
)
def test_curves_have_the_angle_that_was_drawn(name, axis, upper, lower, limits) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        course = EXTREMES[name](STRAIGHT, rng)
        leaning = angles_deg(course, axis)
        turn = leaning[LEVEL_NAMES.index(upper)] - leaning[LEVEL_NAMES.index(lower)]
        assert limits[0] <= (abs(turn) if name == "scoliosis" else turn) <= limits[1]
        np.testing.assert_allclose(np.linalg.norm(np.diff(course, axis=0), axis=1), 20.0)
        np.testing.assert_allclose(course.mean(0), STRAIGHT.mean(0), atol=1e-9)


def test_a_tall_c2_is_further_from_both_neighbours() -> None:
    steps = np.linalg.norm(
        np.diff(EXTREMES["tall C2"](STRAIGHT, np.random.default_rng(0)), axis=0), axis=1
    )
    assert (steps[:2] >= 1.15 * 20).all() and (steps[:2] <= 1.3 * 20).all()
    np.testing.assert_allclose(steps[2:], 20.0)


def test_every_extreme_has_its_turn_and_the_sets_differ() -> None:
    marks = [EXTREME.marks(number) for number in range(18)]
    assert {mark for _, mark in marks} == {*EXTREMES, "stub 12th ribs", "long 12th ribs"}
    assert ("neck", "tall C2") in marks
    assert EXTREME.subject(3) == "extreme003" and FACTORY.subject(3) == "factory003"
    assert EXTREME.seed != FACTORY.seed
