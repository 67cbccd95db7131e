"""Smooth curves through points."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from vertseg.geometry.curve import monotone_curve


@pytest.mark.parametrize("count", [2, 3, 4, 24])
def test_is_the_curve_that_scipy_draws(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(20):
        knots = np.cumsum(rng.uniform(0.5, 40.0, count))
        places = np.round(rng.normal(0.0, 3.0, (count, 3)))  # with flat parts and turns
        at = np.concatenate([knots, rng.uniform(knots[0], knots[-1], 200)])
        expected = PchipInterpolator(knots, places, axis=0)(at)
        np.testing.assert_allclose(monotone_curve(at, knots, places), expected, atol=1e-9)


def test_the_course_of_a_preview_does_not_load_the_interpolation_of_scipy() -> None:
    code = """
import sys
import numpy as np
from vertseg.geometry.grid import Grid
from vertseg.report.reformat import Course
Course([[0, 0, 0], [1, 2, 30], [0, 4, 60]], Grid((9, 9, 9), np.eye(4))).at([10.0, 70.0])
assert "scipy.interpolate" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
