"""Peaks painted at known sub-voxel points are found there, and gathered into places."""

import numpy as np
import pytest

from vertseg.stages.peaks import find_candidates, find_places


def paint(
    shape: tuple[int, int, int], peaks: list[tuple[tuple[float, ...], float]], sigma: float = 3.0
) -> np.ndarray:
    grid = np.indices(shape).astype(np.float32)
    volume = np.zeros(shape, np.float32)
    for point, height in peaks:
        offset = grid - np.array(point, np.float32)[:, None, None, None]
        volume = np.maximum(volume, height * np.exp(-(offset**2).sum(0) / (2 * sigma**2)))
    return volume


def test_subvoxel_positions_of_several_peaks_in_one_channel() -> None:
    points = [((10.3, 11.7, 9.4), 0.9), ((12.0, 10.5, 25.25), 0.5), ((9.8, 12.2, 41.0), 0.3)]
    heatmap = np.stack([paint((24, 24, 50), points), np.zeros((24, 24, 50), np.float32)], -1)
    found = find_candidates(heatmap, 0.1)
    assert [candidate.label_index for candidate in found] == [0, 0, 0]
    for candidate, (point, height) in zip(found, points, strict=True):
        np.testing.assert_allclose(candidate.index_xyz, point, atol=0.02)
        assert candidate.value == pytest.approx(height, rel=0.05)


def test_positions_survive_noise() -> None:
    rng = np.random.default_rng(3)
    heatmap = paint((24, 24, 30), [((10.3, 11.7, 14.4), 0.8)])[..., None]
    heatmap = heatmap + rng.normal(0, 0.01, heatmap.shape).astype(np.float32)
    best = find_candidates(heatmap, 0.3)[0]
    np.testing.assert_allclose(best.index_xyz, (10.3, 11.7, 14.4), atol=0.25)


def test_peaks_at_the_border_and_plateaus() -> None:
    heatmap = paint((12, 12, 12), [((0.2, 5.0, 11.0), 1.0)])[..., None]
    (candidate,) = find_candidates(heatmap)
    np.testing.assert_allclose(candidate.index_xyz, (0.2, 5.0, 11.0), atol=0.05)
    plateau = np.zeros((9, 9, 9, 1), np.float32)
    plateau[3:6, 3:6, 3:6] = 0.7
    assert len(find_candidates(plateau)) == 1
    assert len(find_candidates(np.full((5, 5, 5, 1), 0.7, np.float32))) == 1


def test_nothing_above_the_threshold_gives_nothing() -> None:
    empty = np.zeros((8, 8, 8, 3), np.float32)
    assert find_candidates(empty) == []
    places = find_places(empty, (2, 2, 2))
    assert places.index_xyz.shape == (0, 3)
    assert places.scores.shape == (0, 3)
    assert find_candidates(empty - 1) == []


def test_strongest_of_a_channel_are_kept() -> None:
    points = [((8.0, 8.0, 8.0 + 12 * i), 0.2 + 0.1 * i) for i in range(5)]
    found = find_candidates(paint((16, 16, 70), points)[..., None], max_per_label=2)
    assert [round(candidate.value, 1) for candidate in found] == [0.6, 0.5]


def test_channels_are_gathered_into_places() -> None:
    shape = (20, 20, 50)
    upper, lower = (10.0, 10.0, 36.0), (10.0, 11.0, 24.0)
    heatmap = np.stack(
        [
            paint(shape, [(upper, 0.6), (lower, 0.2)]),
            paint(shape, [((10.5, 10.0, 35.0), 0.3), (lower, 0.7)]),
            paint(shape, []),
        ],
        -1,
    )
    places = find_places(heatmap, (2.0, 2.0, 2.0))
    np.testing.assert_allclose(places.scores, [[0.2, 0.7, 0], [0.6, 0.3, 0]], atol=0.01)
    np.testing.assert_allclose(places.index_xyz[0], lower, atol=0.1)
    np.testing.assert_allclose(places.index_xyz[1], (10.1, 10.0, 35.8), atol=0.1)


def test_mass_spread_thinly_over_channels_is_a_place() -> None:
    heatmap = np.repeat(paint((16, 16, 16), [((8.0, 8.0, 8.0), 0.04)])[..., None], 6, -1)
    places = find_places(heatmap, (2, 2, 2))
    np.testing.assert_allclose(places.index_xyz, [[8, 8, 8]], atol=0.05)
    np.testing.assert_allclose(places.scores, np.full((1, 6), 0.04), atol=0.001)


def test_the_overlap_of_two_neighbours_is_no_place() -> None:
    shape = (16, 16, 40)
    ends = [paint(shape, [((8.0, 8.0, z), 0.5)], sigma=5.0) for z in (14.0, 24.0)]
    assert np.stack(ends, -1).sum(-1)[8, 8, 19] > 0.5
    places = find_places(np.stack(ends, -1), (2.0, 2.0, 2.0))
    np.testing.assert_allclose(sorted(places.index_xyz[:, 2]), (14, 24), atol=0.1)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        find_candidates(np.zeros((4, 4, 4), np.float32))
    with pytest.raises(ValueError, match="threshold"):
        find_candidates(np.zeros((4, 4, 4, 1), np.float32), 0)
