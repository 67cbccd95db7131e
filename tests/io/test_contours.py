"""Outlines of masks: filled again they give the mask, holes and corners included."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw
from scipy import ndimage

from vertseg.io.contours import contours_of

FINE = 8


def filled(polygons, shape) -> np.ndarray:
    """Voxels whose centres lie in the polygons, by Pillow on a finer grid."""
    inside = np.zeros((shape[0] * FINE, shape[1] * FINE), bool)
    for polygon in polygons:
        picture = Pillow.new("1", inside.shape[::-1])
        points = [((j + 0.5) * FINE, (i + 0.5) * FINE) for i, j in polygon]
        ImageDraw.Draw(picture).polygon(points, fill=1)
        inside ^= np.asarray(picture)
    return inside[FINE // 2 :: FINE, FINE // 2 :: FINE]


def area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def ring(shape=(30, 40)) -> np.ndarray:
    away = np.hypot(*(np.indices(shape) - np.array([[[15]], [[20]]])))
    return (away < 12) & (away > 6)


def test_a_ring_is_one_polygon_without_its_hole() -> None:
    mask = ring()
    (polygon,) = contours_of(mask)
    assert area(polygon) == pytest.approx(np.count_nonzero(mask), rel=0.02)
    np.testing.assert_array_equal(filled([polygon], mask.shape), mask)


@pytest.mark.parametrize("seed", range(12))
def test_any_mask_comes_back(seed) -> None:
    noise = np.random.default_rng(seed).normal(size=(40, 50))
    mask = ndimage.gaussian_filter(noise, 2) > 0.05
    polygons = contours_of(mask)
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)
    assert sum(map(area, polygons)) == pytest.approx(np.count_nonzero(mask), rel=0.03)


def test_parts_that_touch_by_a_corner_and_islands_in_holes() -> None:
    mask = np.zeros((12, 12), bool)
    mask[1:4, 1:4] = mask[4:7, 4:7] = True
    assert len(contours_of(mask)) == 2
    nested = ring()
    nested[14:17, 19:22] = True
    polygons = contours_of(nested)
    assert len(polygons) == 2
    np.testing.assert_array_equal(filled(polygons, nested.shape), nested)
    assert contours_of(np.zeros((3, 3), bool)) == []
