"""Tiles cover every voxel for every length; merging takes the maximum."""

import numpy as np
import pytest

from vertseg.stages.tiles import merge_maximum, tile_starts


@pytest.mark.parametrize(("tile", "overlap"), [(128, 96), (128, 0), (16, 15), (7, 3), (1, 0)])
def test_every_voxel_is_covered_for_every_length(tile: int, overlap: int) -> None:
    for length in range(1, 420):
        starts = tile_starts(length, tile, overlap)
        covered = np.zeros(max(length, tile), int)
        for start in starts:
            covered[start : start + tile] += 1
        assert (covered[:length] >= 1).all()
        assert starts[0] == 0
        assert starts == sorted(set(starts))
        assert starts[-1] == max(length - tile, 0)
        steps = np.diff(starts)
        assert (steps <= tile - overlap).all()
        assert (steps[:-1] == tile - overlap).all()


def test_known_starts() -> None:
    assert tile_starts(128, 128, 96) == [0]
    assert tile_starts(129, 128, 96) == [0, 1]
    assert tile_starts(200, 128, 96) == [0, 32, 64, 72]
    assert tile_starts(60, 128, 96) == [0]


@pytest.mark.parametrize("arguments", [(0, 8, 2), (8, 0, 0), (8, 8, 8), (8, 8, -1)])
def test_bad_arguments_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="must"):
        tile_starts(*arguments)


def test_merge_equals_the_original_where_tiles_agree() -> None:
    volume = np.random.default_rng(1).normal(size=(3, 2, 37, 4)).astype(np.float32) - 5
    starts = tile_starts(37, 16, 12)
    tiles = ((start, volume[:, :, start : start + 16]) for start in starts)
    merged = merge_maximum(tiles, 37)
    assert merged.dtype == np.float32
    np.testing.assert_array_equal(merged, volume)


def test_merge_takes_the_maximum_and_crops_what_reaches_beyond() -> None:
    first, second = np.full((1, 1, 4), -2.0), np.full((1, 1, 4), -1.0)
    merged = merge_maximum([(0, first), (2, second)], 5)
    np.testing.assert_array_equal(merged[0, 0], [-2, -2, -1, -1, -1])


def test_merge_refuses_holes() -> None:
    with pytest.raises(ValueError, match="no tile"):
        merge_maximum([(0, np.zeros((1, 1, 4)))], 6)
    with pytest.raises(ValueError, match="no tile"):
        merge_maximum([], 6)
