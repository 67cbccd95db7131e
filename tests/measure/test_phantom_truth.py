"""Measurements of the parametric phantom's vertebrae against the numbers they are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.measure.angles import spine_angles, tilt_deg
from vertseg.measure.genant import genant_grade
from vertseg.measure.vertebra import Measurement, measure_vertebrae
from vertseg.phantom import box_grid, draw_subject, make_phantom
from vertseg.phantom.patch import cut_patch
from vertseg.phantom.spine import PosedVertebra
from vertseg.phantom.vertebra import IMAGED_MM, vertebra_box, vertebra_shape
from vertseg.phantom.vertebral_body import VertebralBody

SEED = 5


@pytest.fixture(scope="module", autouse=True)
def smooth_surfaces() -> Iterator[None]:
    """Without the waves on its surfaces, which tilt end plates by some degrees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vertseg.phantom.vertebra.RIPPLE_MM", 0.0)
        yield


def collapsed(name: str, share: float) -> PosedVertebra:
    """A vertebra that has lost this share of its front height."""
    sound = draw_subject(SEED).spine.vertebra(name)
    return replace(sound, variation=replace(sound.variation, collapse=share))


def measured(vertebra: PosedVertebra) -> Measurement:
    centre = vertebra.frame.origin
    grid: Grid = box_grid(centre - 70.0, centre + 70.0, 1.0)
    patch = cut_patch(grid, vertebra.frame, *vertebra_box(vertebra))
    assert patch is not None
    labels = np.zeros(grid.size, np.uint8)
    inside = vertebra_shape(patch, vertebra, 150.0).distance < 0
    labels[patch.slices][inside] = vertebra.label
    image = Image.from_array(np.where(labels > 0, 150, -80), grid.affine_ras)
    (row,) = measure_vertebrae(image, labels, [Centroid(vertebra.label, tuple(centre))])
    return row


def extent(vertebra: PosedVertebra, axis: int, at_mm: float) -> tuple[float, float]:
    """Where a line in the median plane, along depth 1 or height 2, enters and leaves the body."""
    along = np.linspace(-45.0, 45.0, 9001, dtype=np.float32)
    point = [np.zeros_like(along), np.full_like(along, at_mm), np.full_like(along, at_mm)]
    point[axis] = along
    distance = VertebralBody.of(vertebra).distance(*point)
    inside = along[distance < IMAGED_MM[vertebra.region]]
    return float(inside[0]), float(inside[-1])


def drawn_heights(vertebra: PosedVertebra) -> list[float]:
    """Anterior, middle and posterior height of the drawn body."""
    front, back = extent(vertebra, 1, 0.0)
    places = (front + share * (back - front) for share in (0.175, 0.5, 0.825))
    return [float(np.ptp(extent(vertebra, 2, place))) for place in places]


@pytest.mark.parametrize("name", ["T8", "T12", "L2"])
@pytest.mark.parametrize(("share", "grade"), [(0.0, 0), (0.2, 0), (0.5, 2), (0.75, 3)])
def test_heights_and_grade_are_those_drawn(name: str, share: float, grade: int) -> None:
    vertebra = collapsed(name, share)
    front, middle, back = drawn_heights(vertebra)
    ratio = min(front / back, middle / back / 0.9)
    assert grade == (3 if ratio < 0.60 else 2 if ratio < 0.75 else 1 if ratio < 0.80 else 0)
    row = measured(vertebra)
    assert row.heights is not None and row.body is not None
    found = (row.heights.anterior_mm, row.heights.middle_mm, row.heights.posterior_mm)
    np.testing.assert_allclose(found, (front, middle, back), atol=1.0)
    assert row.heights.anterior_ratio == pytest.approx(front / back, abs=0.04)
    assert genant_grade(row) == grade
    assert row.body.depth_mm == pytest.approx(np.ptp(extent(vertebra, 1, 0.0)), abs=2.0)


def plate_normals(vertebra: PosedVertebra) -> tuple[np.ndarray, np.ndarray]:
    """LPS normals of the drawn upper and lower end plate, upwards."""
    upper, lower = VertebralBody.of(vertebra).slope
    normals = (np.array([0.0, -slope, 1.0]) / np.hypot(1.0, slope) for slope in (upper, lower))
    first, second = (vertebra.frame.axes.T @ normal for normal in normals)
    return first, second


def test_angles_and_density_of_a_spine_are_those_drawn() -> None:
    spacing, field = (1.0, 1.0, 1.25), (110.0, 130.0)
    phantom = make_phantom(("L1", "L5"), spacing, SEED, field_mm=field, noise_hu=5.0)
    places = [Centroid(c.label, c.point_lps_mm) for c in phantom.centroids]
    rows = measure_vertebrae(phantom.image, phantom.vertebra_mask(), places)
    assert [row.label for row in rows] == [20, 21, 22, 23, 24]
    drawn = [plate_normals(phantom.subject.spine.vertebra(f"L{n}")) for n in range(1, 6)]
    for row, normals in zip(rows, drawn, strict=True):
        assert row.body is not None
        found = (row.body.upper_normal_lps, row.body.lower_normal_lps)
        for axis in (0, 1):
            tilts = [tilt_deg(normal, axis) for normal in found]
            np.testing.assert_allclose(tilts, [tilt_deg(n, axis) for n in normals], atol=4.0)
    angles = {angle.name: angle.degrees for angle in spine_angles(rows)}
    lordosis = tilt_deg(drawn[0][0], 1) - tilt_deg(drawn[-1][1], 1)
    assert angles["lumbar lordosis"] == pytest.approx(lordosis, abs=4.0)
    densities = [row.trabecular_hu for row in rows]
    np.testing.assert_allclose(densities, phantom.subject.trabecular_hu, rtol=0.15)
