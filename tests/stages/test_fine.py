"""The mask at 1 mm beside that of thick slices."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.stages import segmentation
from vertseg.stages.fine import FineMask, fine_grid

COARSE = Grid((40, 36, 12), np.array(
    [[0, 2.0, 0, -30], [1.5, 0, 0, 10], [0, 0, -5.0, 80], [0, 0, 0, 1.0]]
))  # fmt: skip


def test_the_fine_grid_has_the_same_box_and_axes() -> None:
    fine = fine_grid(COARSE)
    np.testing.assert_allclose(fine.spacing, 1.0)
    assert fine.size == (60, 72, 60) and fine.axis_codes() == COARSE.axis_codes()
    np.testing.assert_allclose(fine.corners_lps_mm(0.5), COARSE.corners_lps_mm(0.5), atol=1e-6)
    odd = fine_grid(Grid((5, 5, 5), np.diag([0.7, 0.7, 0.7, 1.0])))
    assert odd.size == (4, 4, 4)  # 3.5 mm


def test_a_ball_is_round_at_1_mm_where_slices_are_5_mm_apart(monkeypatch) -> None:
    centre = np.array(COARSE.centre_lps_mm) + [3.0, -2.0, 1.0]
    crop = Grid.axis_aligned(centre, (48, 48, 48), 1.0)
    away = np.linalg.norm(
        crop.index_to_lps(np.moveaxis(np.indices(crop.size), 0, -1)) - centre, axis=-1
    )
    response = np.clip(0.5 + (14.0 - away) / 4.0, 0, 1).astype(np.float32)
    monkeypatch.setattr(segmentation, "vertebra_responses", lambda *_: iter([(20, response, crop)]))
    monkeypatch.setattr(segmentation, "crop_grid", lambda vertebra, config: crop)
    image = Image.from_array(
        np.random.default_rng(0).integers(0, 90, COARSE.size), COARSE.affine_ras
    )
    network = SimpleNamespace(config=SimpleNamespace(threshold=0.5))
    fine: list[FineMask] = []
    place = [Centroid.at(20, centre)]
    labels = segmentation.segment_vertebrae(image, place, network, fine=fine)
    alone = segmentation.segment_vertebrae(image, place, network)
    np.testing.assert_array_equal(labels, alone)  # asking for it changes nothing else
    (mask,) = fine
    points = mask.grid.index_to_lps(np.argwhere(mask.labels == 20))
    assert len(points) == pytest.approx(4 / 3 * np.pi * 14.0**3, rel=0.02)
    np.testing.assert_allclose(points.mean(axis=0), centre, atol=0.1)
    assert np.ptp(points[:, 2]) == pytest.approx(27.0, abs=1.0)
    assert not mask.only([21]).labels.any()
