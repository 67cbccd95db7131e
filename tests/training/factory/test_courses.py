"""Courses completed from those of other scans."""

import numpy as np

from vertseg.training.factory.courses import LEVELS, Course, complete


def _bent(turn_deg: float, at: int) -> np.ndarray:
    """A straight course (24, 3) that turns forward by `turn_deg` at the level `at`."""
    angle = np.deg2rad(np.where(np.arange(LEVELS - 1) < at, 0.0, turn_deg))
    steps = 25.0 * np.stack([0 * angle, -np.sin(angle), -np.cos(angle)], axis=1)
    return np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])


def _turns_deg(points: np.ndarray) -> np.ndarray:
    steps = np.diff(points, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    return np.degrees(np.arccos(np.clip((steps[1:] * steps[:-1]).sum(1), -1.0, 1.0)))


def test_runs_are_joined_where_they_go_the_same_way():
    """Donors lean by 0 to 60 degrees as a whole: only those that lean like the course may go on."""
    leaning = [_bent(turn, 0) for turn in np.linspace(0, 60, 200)]
    donors = [Course(f"d{i}", f"d{i}", points) for i, points in enumerate(leaning)]
    part = _bent(30.0, 0)
    part[12:] = np.nan
    for seed in range(20):
        whole = complete(Course("c", "c", part), donors, np.random.default_rng(seed))
        assert _turns_deg(whole).max() < 3.0


def test_a_course_with_a_wrong_point_gives_nothing_to_others():
    donors = [Course(f"d{i}", f"d{i}", _bent(8.0, 15)) for i in range(4)]
    broken = _bent(0.0, 0)
    broken[18] += [0.0, 40.0, 0.0]
    assert donors[0].likely and not Course("b", "b", broken).likely
    part = _bent(0.0, 0)
    part[12:] = np.nan
    for seed in range(20):
        many = [*donors, Course("b", "b", broken)]
        whole = complete(Course("c", "c", part), many, np.random.default_rng(seed))
        assert _turns_deg(whole).max() < 9.0


def test_where_all_donors_are_broken_one_of_them_still_goes_on():
    broken = _bent(60.0, 18)
    part = _bent(0.0, 0)
    part[12:] = np.nan
    whole = complete(Course("c", "c", part), [Course("b", "b", broken)], np.random.default_rng(0))
    np.testing.assert_allclose(_turns_deg(whole), _turns_deg(broken), atol=1e-3)
