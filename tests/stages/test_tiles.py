"""Tiles cover every voxel for every length; what is predicted on them is merged by maximum."""

import numpy as np
import pytest

from vertseg.geometry.boxes import box_at
from vertseg.stages.tiles import predict_tiles, tile_starts


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


def test_tiles_of_a_local_operation_give_that_of_the_whole() -> None:
    volume = np.random.default_rng(1).uniform(0.1, 1.0, (3, 2, 37)).astype(np.float32)
    tiles = [box_at((0, 0, z), (3, 2, 16)) for z in tile_starts(37, 16, 12)]
    seen = []
    maps = predict_tiles(both_signs, volume, tiles, 2, lambda *count: seen.append(count))
    assert maps.dtype == np.float32
    np.testing.assert_array_equal(maps[..., 0], volume)
    np.testing.assert_array_equal(maps[..., 1], 0)  # none below 0
    assert seen == [(done, len(tiles)) for done in range(1, len(tiles) + 1)]


def test_overlapping_tiles_are_merged_by_maximum_and_padding_is_left_out() -> None:
    volume = np.full((1, 1, 6), -0.5, np.float32)
    volume[..., 1:3] = 0.1
    volume[..., 2] = 0.2
    tiles = [box_at((0, 0, z), (1, 1, 2)) for z in (0, 1, 2, 4)]
    maps = predict_tiles(lambda tile: np.full((*tile.shape, 1), tile.max()), volume, tiles, 1)
    np.testing.assert_allclose(maps[0, 0, :, 0], [0.1, 0.2, 0.2, 0.2, 0, 0])


def both_signs(tile: np.ndarray) -> np.ndarray:
    return np.stack([tile, -tile], axis=-1)
