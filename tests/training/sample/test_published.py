"""The published augmentation and samples: intervals, geometry, and no change without any."""

import dataclasses

import numpy as np
import pytest

from models import PRESETS
from models.published import SEGMENTATION, SPINE, VERTEBRAE
from tests.support.native_case import native_phantom
from vertseg.errors import ConfigurationError
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.stages.preprocess import resample
from vertseg.stages.segmentation import crop_grid, crop_input
from vertseg.training.sample.deformation import Augmentation, Deformation, draw_augmentation, weaker
from vertseg.training.sample.published import (
    PublishedRecipe,
    PublishedSources,
    landmark_sample,
    segmentation_sample,
    window_centre,
)

PAPER = PRESETS["paper"]
NOTHING = Augmentation(np.zeros(3), np.zeros(3), 1.0, np.zeros((3, 6, 6, 6)), 1.0, 0.0)
L2 = 21


def small(stage, size):
    return PublishedRecipe(stage, dataclasses.replace(getattr(PAPER, stage), size=size))


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return native_phantom(tmp_path_factory.mktemp("pool"))


@pytest.mark.parametrize("method", [SPINE, VERTEBRAE, SEGMENTATION])
def test_ten_thousand_draws_fill_the_published_intervals(method):
    """Translation 30 voxels, 15 degrees, 0.85 to 1.15, elastic 15 voxels, x 0.75-1.25, +- 0.25."""
    rng = np.random.default_rng(0)
    draws = [draw_augmentation(method, rng) for _ in range(10_000)]
    intervals = {
        "translation_voxels": (-30, 30),
        "rotation_rad": (-np.pi / 12, np.pi / 12),
        "scale": (0.85, 1.15),
        "elastic_voxels": (-15, 15),
        "gain": (0.75, 1.25),
        "shift": (-0.25, 0.25),
    }
    for name, (low, high) in intervals.items():
        values = np.stack([np.asarray(getattr(draw, name)) for draw in draws])
        reach = 0.002 * (high - low)
        assert low <= values.min(axis=0).min() and values.max(axis=0).max() <= high, name
        assert (values.min(axis=0) < low + reach).all(), name
        assert (values.max(axis=0) > high - reach).all(), name
        assert np.abs(values.mean(axis=0) - 0.5 * (low + high)).max() < 0.02 * (high - low), name


def test_weaker_limits_are_in_proportion():
    half = weaker(VERTEBRAE, 0.5)
    assert (half.translation_voxels, half.scale, half.gain) == (15.0, 0.075, 0.125)
    assert (half.rate, half.steps, half.sigma_decay) == (1e-8, 100_000, 100.0)


def test_the_grid_is_moved_turned_and_scaled_as_drawn():
    turn = np.array([0.0, 0.0, np.pi / 12])
    changed = dataclasses.replace(
        NOTHING, translation_voxels=np.array([30.0, 0, -10]), rotation_rad=turn, scale=1.1
    )
    grid = Deformation.of(changed, (5, 5, 5), 2.0, (10.0, 20.0, 30.0)).grid_lps_mm()
    np.testing.assert_allclose(grid[:, 2, 2, 2], [10 + 60, 20, 30 - 20])
    step = grid[:, 3, 2, 2] - grid[:, 2, 2, 2]
    np.testing.assert_allclose(step, 2.2 * np.array([np.cos(turn[2]), np.sin(turn[2]), 0]))


def test_elastic_points_move_the_grid_by_what_they_move():
    controls = np.zeros((3, 6, 6, 6))
    controls[1] = 15.0  # all points alike: a translation
    changed = dataclasses.replace(NOTHING, elastic_voxels=controls)
    size = (12, 14, 16)
    moved = Deformation.of(changed, size, 2.0, np.zeros(3)).grid_lps_mm()
    plain = Deformation.of(NOTHING, size, 2.0, np.zeros(3)).grid_lps_mm()
    np.testing.assert_allclose(
        moved - plain, np.array([0, 30.0, 0])[:, None, None, None] + 0 * plain
    )
    controls[1] = 0.0
    controls[1, 2, 3, 2] = 15.0  # a single one: at most (2/3) ** 3 of it
    changed = dataclasses.replace(NOTHING, elastic_voxels=controls)
    moved = Deformation.of(changed, size, 2.0, np.zeros(3)).grid_lps_mm() - plain
    assert moved[1].max() == pytest.approx(30 * (2 / 3) ** 3, rel=0.1)
    assert not moved[[0, 2]].any() and moved.min() == 0


def test_landmarks_are_found_where_the_grid_shows_them():
    rng = np.random.default_rng(3)
    for seed in range(5):
        changed = draw_augmentation(weaker(VERTEBRAE, 0.6), np.random.default_rng(seed))
        deformation = Deformation.of(changed, (32, 40, 48), 2.0, (5.0, -9.0, 60.0))
        voxels = rng.uniform(2, 29, (6, 3))
        places = deformation.to_lps_mm(voxels)
        again = deformation.to_lps_mm(deformation.to_voxels(places))
        np.testing.assert_allclose(again, places, atol=0.1)
        whole = rng.integers(0, 30, (6, 3))
        grid = deformation.grid_lps_mm()[:, whole[:, 0], whole[:, 1], whole[:, 2]].T
        np.testing.assert_allclose(deformation.to_lps_mm(whole), grid, atol=1e-9)


def test_an_unchanged_window_is_what_prediction_sees(scan):
    """HU are kept as whole numbers, so within half a unit of 2048."""
    phantom, case = scan
    recipe = small("vertebrae", (24, 20, 28))
    centre = 0.5 * np.sum(case.grid.bounds_lps_mm(), axis=0) + (0, 0, 110)
    sample = landmark_sample(case, centre, recipe, NOTHING)
    expected = resample(phantom.image, Grid.axis_aligned(centre, recipe.size, 2.0), 0.75)
    np.testing.assert_allclose(sample["image"][..., 0], expected, atol=0.51 / 2048)
    assert (expected == -0.5).any() and np.ptp(expected) > 0.1
    seen = sample["seen"] > 0
    assert [label for label, s in zip(recipe.config.labels, seen, strict=True) if s] == [
        *case.points_lps_mm
    ]
    grid = Grid.axis_aligned(centre, recipe.size, 2.0)
    points = grid.lps_to_index(np.array([*case.points_lps_mm.values()]))
    np.testing.assert_allclose(sample["landmarks"][seen], points, atol=1e-3)


def test_an_unchanged_crop_is_what_prediction_sees_and_its_target_is_binary(scan):
    phantom, case = scan
    recipe = small("segmentation", (88, 104, 72))
    sample = segmentation_sample(case, L2, recipe, NOTHING)
    point = tuple(case.points_lps_mm[L2])
    grid = crop_grid(Centroid(L2, point), recipe.config)
    expected = crop_input(phantom.image, grid, point, recipe.config)
    np.testing.assert_allclose(sample["image"], expected, atol=0.51 / 2048)
    assert set(np.unique(sample["target"])) == {0.0, 1.0}
    places = grid.index_to_lps(np.argwhere(sample["target"][..., 0] > 0))
    index = np.rint(phantom.grid.lps_to_index(places)).astype(int)
    assert (phantom.vertebra_mask()[tuple(index.T)] == L2).all()
    volume = sample["target"].sum()
    assert volume == pytest.approx((phantom.vertebra_mask() == L2).sum() * 64, rel=0.15)


def test_gain_and_shift_come_before_the_clip(scan):
    _, case = scan
    recipe = small("spine", (8, 8, 8))
    centre = 0.5 * np.sum(case.grid.bounds_lps_mm(), axis=0)
    plain = landmark_sample(case, centre, recipe, NOTHING)["image"]
    changed = dataclasses.replace(NOTHING, gain=1.25, shift=-0.25)
    image = landmark_sample(case, centre, recipe, changed)["image"]
    np.testing.assert_allclose(image, np.clip(1.25 * plain - 0.25, -1, 1), atol=1e-6)


def test_windows_lie_anywhere_along_a_long_scan_and_on_the_spine(scan):
    _, case = scan
    corners = case.grid.corners_lps_mm(0.5)
    low, high = corners.min(axis=0), corners.max(axis=0)
    recipe = small("vertebrae", (8, 8, 16))
    rng = np.random.default_rng(0)
    centres = np.array([window_centre(case, recipe, rng) for _ in range(500)])
    np.testing.assert_allclose(
        centres[:, :2] - np.mean([*case.points_lps_mm.values()], axis=0)[:2], 0, atol=1e-9
    )
    assert centres[:, 2].min() == pytest.approx(low[2] + 16, abs=1.0)
    assert centres[:, 2].max() == pytest.approx(high[2] - 16, abs=1.0)
    whole = small("vertebrae", (8, 8, 256))
    assert window_centre(case, whole, rng)[2] == pytest.approx(0.5 * (low[2] + high[2]))
    middle = window_centre(case, small("spine", (8, 8, 8)), rng)
    np.testing.assert_allclose(middle, 0.5 * (low + high))


def test_sources_leave_out_their_fold(tmp_path):
    native_phantom(tmp_path, seed=5, fold=0)
    native_phantom(tmp_path, seed=6, fold=1)
    recipe = small("segmentation", (8, 8, 8))

    def names(**options):
        return [case.name for case in PublishedSources(recipe, tmp_path, **options).cases]

    assert names() == ["phantom5", "phantom6"]
    assert names(fold=1) == ["phantom5"] and names(fold=1, held_back=True) == ["phantom6"]
    assert names(hold_out=("phantom5",)) == ["phantom6"]
    sample = PublishedSources(recipe, tmp_path).draw(np.random.default_rng(0))
    assert sample["image"].shape == (8, 8, 8, 2) and sample["image"].dtype == np.float32
    with pytest.raises(ConfigurationError, match="nothing to train"):
        names(fold=0, hold_out=("phantom6",))
    with pytest.raises(ConfigurationError, match="prepare --preset"):
        PublishedSources(recipe, tmp_path / "none")
