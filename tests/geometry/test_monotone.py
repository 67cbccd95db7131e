"""Monotone curves are those of scipy, and never swing over."""

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from vertseg.geometry.monotone import MonotoneCurve


@pytest.mark.parametrize("count", [2, 3, 4, 25])
def test_values_are_those_of_scipy(count: int) -> None:
    rng = np.random.default_rng(count)
    for values in (rng.normal(size=(count, 3)), np.round(rng.normal(size=(count, 3)))):
        places = np.cumsum(rng.uniform(0.5, 40, count))
        at = np.concatenate([places, rng.uniform(places[0], places[-1], (200,))])
        expected = PchipInterpolator(places, values, axis=0)(at)
        np.testing.assert_allclose(MonotoneCurve(places, values)(at), expected, atol=1e-9)


def test_any_shape_of_places() -> None:
    curve = MonotoneCurve([0.0, 1.0], [[0.0, 5.0], [2.0, 5.0]])
    np.testing.assert_allclose(curve(0.25), [0.5, 5.0])
    assert curve(np.zeros((2, 3))).shape == (2, 3, 2)
