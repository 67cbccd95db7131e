"""The table and the picture of growth say what the figures say."""

import numpy as np
import pytest

from tests.bench.growth import exponent, table
from tests.bench.growth_picture import picture


def rows(power: float) -> list[dict[str, float]]:
    values = {"vertebrae": 5, "seconds": 1, "peak_gib": 1.5, "beyond_input_gib": 1}
    return [
        {"size": size, "megavoxels": size**2, "processor_s": 0.01 * size**power, **values}
        for size in (100, 200, 400)
    ]


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_exponent(power) -> None:
    assert exponent(rows(power), "size") == pytest.approx(power)
    assert exponent(rows(power), "megavoxels") == pytest.approx(power / 2)
    assert f"slices to the power of {power:.2f}" in table("slices", rows(power))


def test_picture_has_a_line_for_each_series() -> None:
    shown = np.asarray(picture({"slices": rows(1.0), "pixels": rows(2.0)})).reshape(-1, 3)
    colours = {tuple(colour) for colour in np.unique(shown, axis=0).tolist()}
    assert {(31, 119, 180), (214, 39, 40)} <= colours
