"""The published inference with networks that know the truth."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from models import PRESETS
from vertseg.geometry.grid import Grid
from vertseg.phantom import make_phantom
from vertseg.stages import published
from vertseg.stages.published import (
    find_spine_xy,
    find_vertebrae_at,
    heatmap_maxima,
    plan_windows,
    segment_as_published,
)

PAPER = PRESETS["paper"]


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(("T12", "L4"), 3.0, 2, field_mm=(150.0, 150.0), noise_hu=0.0)


def gaussian(grid, point, sigma_px):
    index = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="ij"), axis=-1)
    square = ((index - grid.lps_to_index(point)) ** 2).sum(-1)
    return np.exp(-0.5 * square / sigma_px**2).astype(np.float32)


def test_one_x_and_y_for_the_whole_scan(phantom):
    config = dataclasses.replace(PAPER.spine, size=(24, 24, 40))
    kept = []

    def network(batch):
        low, high = phantom.grid.bounds_lps_mm()
        grid = Grid.axis_aligned(0.5 * (low + high), config.size, (8.0,) * 3)
        maps = [gaussian(grid, c.point_lps_mm, 1.5) for c in phantom.centroids]
        return (np.max(maps, axis=0) - 0.01)[None, ..., None]  # a little below 0 elsewhere

    class Network(SimpleNamespace):
        __call__ = staticmethod(network)

    found = find_spine_xy(phantom.image, Network(config=config), lambda *a: kept.append(a))
    middle = np.mean([c.point_lps_mm for c in phantom.centroids], axis=0)[:2]
    np.testing.assert_allclose(found, middle, atol=2.0)
    heatmap, grid = kept[0]
    assert heatmap.shape == (24, 24, 40) and heatmap.min() == 0.0


def test_no_response_is_no_spine(phantom):
    class Nothing(SimpleNamespace):
        def __call__(self, batch):
            return 0.09 * np.ones_like(batch)

    config = dataclasses.replace(PAPER.spine, size=(8, 8, 16))
    assert find_spine_xy(phantom.image, Nothing(config=config)) is None


def test_windows_reach_over_the_whole_scan_and_overlap_as_published():
    scan = Grid.axis_aligned((5.0, 6.0, 7.0), (100, 100, 300), (1.0, 1.0, 2.0))
    network = SimpleNamespace(config=PAPER.vertebrae)
    grid, tiles = plan_windows(scan, (11.0, 22.0), network)
    assert grid.size == (96, 96, 300) and set(grid.spacing) == {2.0}
    np.testing.assert_allclose(grid.centre_lps_mm, (11.0, 22.0, 7.0))
    starts = [tile[2].start for tile in tiles]
    assert starts == [0, 32, 64, 96, 128, 160, 172] and tiles[-1][2].stop == 300
    grid, tiles = plan_windows(
        scan.crop((slice(0, 9), slice(0, 9), slice(0, 20))), (0.0, 0.0), network
    )
    assert grid.size == (96, 96, 128) and len(tiles) == 1


def test_each_window_is_looked_at_once_and_the_maximum_counts(phantom):
    config = dataclasses.replace(PAPER.vertebrae, size=(16, 16, 24), spacing_mm=4.0, overlap=12)
    points = [c.point_lps_mm for c in phantom.centroids]
    xy = tuple(np.mean(points, axis=0)[:2])
    grid, tiles = plan_windows(phantom.grid, xy, SimpleNamespace(config=config))
    truth = np.zeros((*grid.size, 25), np.float32)
    for c in phantom.centroids:
        truth[..., c.label - 1] = gaussian(grid, c.point_lps_mm, 2.0)
    calls = []

    class Network(SimpleNamespace):
        def __call__(self, batch):
            assert batch.shape == (1, 16, 16, 24, 1)
            calls.append(1)
            start = next(t[2].start for t in tiles if np.array_equal(volume[t], batch[0, ..., 0]))
            return truth[:, :, start : start + 24][None]

    volume = published.resample(phantom.image, grid, config.smoothing_sigma_mm)
    chain = find_vertebrae_at(phantom.image, xy, Network(config=config))
    assert len(calls) == len(tiles) > 2
    assert [v.label for v in chain.vertebrae] == [c.label for c in phantom.centroids]
    for found, c in zip(chain.vertebrae, phantom.centroids, strict=True):
        np.testing.assert_allclose(found.point_lps_mm, c.point_lps_mm, atol=0.5)
    assert chain.warnings == () and not chain.level_shift_possible


def test_several_maxima_of_a_channel():
    grid = Grid.axis_aligned((0.0, 0.0, 0.0), (12, 12, 60), (2.0, 2.0, 2.0))
    heatmap = np.zeros((12, 12, 60, 3), np.float32)
    for z, height in ((10, 1.0), (15, 0.7), (30, 0.4), (50, 0.07)):
        heatmap[..., 0] = np.maximum(
            heatmap[..., 0], height * gaussian(grid, grid.index_to_lps((6, 6, z)), 1.2)
        )
    heatmap[6, 6, 10, 1], heatmap[6, 6, 40, 1] = 0.2, 0.19
    maxima = heatmap_maxima(heatmap, grid, (7, 8, 9), 0.05)
    assert [round(c.score, 2) for c in maxima[7]] == [1.0, 0.4]  # too near, and below a tenth
    assert [round(c.score, 2) for c in maxima[8]] == [0.2]  # hardly visible: the highest alone
    assert 9 not in maxima


def test_the_largest_response_above_the_threshold_wins_and_islands_stay(phantom):
    config = dataclasses.replace(PAPER.segmentation, size=(24, 24, 24), spacing_mm=2.0)
    upper, lower = phantom.centroids[1:3]

    class Network(SimpleNamespace):
        def __call__(self, batch):
            assert batch.shape == (1, 24, 24, 24, 2)
            response = batch[..., 1:].copy()  # high around the centroid
            response[0, :3, :3, :3] = 0.9  # an island
            return response

    labels = segment_as_published(phantom.image, [upper, lower], Network(config=config))
    assert set(np.unique(labels)) == {0, upper.label, lower.label}
    index = np.rint(phantom.grid.lps_to_index(upper.point_lps_mm)).astype(int)
    assert labels[tuple(index)] == upper.label
    corner = Grid.axis_aligned(np.add(upper.point_lps_mm, (0, 20, 0)), config.size, (2.0,) * 3)
    island = np.rint(phantom.grid.lps_to_index(corner.index_to_lps((1, 1, 1)))).astype(int)
    assert labels[tuple(island)] == upper.label
    radius = config.sigma_px * np.sqrt(2 * np.log(2)) * 2.0
    ball = 4 / 3 * np.pi * radius**3 / phantom.grid.voxel_volume_mm3
    assert (labels == lower.label).sum() == pytest.approx(ball, rel=0.5)
