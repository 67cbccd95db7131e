"""Cutting an axis into overlapping tiles, and merging what a network says on each of them."""

from collections.abc import Iterable

import numpy as np


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First indices of tiles that together cover every voxel of an axis.

    Tiles follow each other by ``tile - overlap`` voxels; the last one is flush with the end of the
    axis, so it may overlap its predecessor more. An axis shorter than a tile gets one tile at 0,
    which then reaches beyond the end (the caller pads, `merge_maximum` crops).

    Args:
        length: number of voxels along the axis, at least 1.
        tile: number of voxels of a tile, at least 1.
        overlap: voxels that neighbouring tiles share, ``0 <= overlap < tile``.

    Returns:
        Strictly increasing start indices; at least one.

    Raises:
        ValueError: when an argument is outside its range.

    Source: Payer et al., VISAPP 2020, section 3.2 (tiles of 128 that overlap by 96).
    """
    if length < 1 or tile < 1:
        raise ValueError(f"length and tile must be at least 1, got {length} and {tile}")
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap must lie in [0, tile={tile}), got {overlap}")
    last = max(length - tile, 0)
    return [*range(0, last, tile - overlap), last]


def merge_maximum(
    tiles: Iterable[tuple[int, np.ndarray]], length: int, axis: int = 2
) -> np.ndarray:
    """Voxelwise maximum of overlapping tiles along one axis.

    The merged array starts at minus infinity, so negative responses survive. Tiles are consumed
    one at a time: an iterator that predicts them needs memory for one tile and the result only.

    Args:
        tiles: pairs (start index, array); all arrays have the same shape and dtype (floating).
        length: size of the result along ``axis``; what a tile has beyond it is cropped.
        axis: the axis along which the tiles were cut (2, z, for arrays (x, y, z, channels)).

    Returns:
        Array of the tiles' dtype whose size along ``axis`` is ``length``.

    Raises:
        ValueError: no tile given, a negative start, or voxels that no tile covers.
    """
    merged: np.ndarray | None = None
    covered = np.zeros(length, bool)
    for start, tile in tiles:
        if start < 0:
            raise ValueError(f"a tile must start at 0 or later, got {start}")
        if merged is None:
            shape = [*tile.shape]
            shape[axis] = length
            merged = np.full(shape, -np.inf, tile.dtype)
        target = np.moveaxis(merged, axis, 0)[start : start + tile.shape[axis]]
        np.maximum(target, np.moveaxis(tile, axis, 0)[: len(target)], out=target)
        covered[start : start + tile.shape[axis]] = True
    if merged is None or not covered.all():
        missing = np.flatnonzero(~covered)
        raise ValueError(f"{len(missing)} of {length} positions are covered by no tile")
    return merged
