"""Overlapping tiles: where they lie along an axis, and what a network says on all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vertseg.geometry.boxes import Box
from vertseg.geometry.grid import Float32Array
from vertseg.stages.at_once import CALLS_AT_ONCE
from vertseg.stages.preprocess import is_padding
from vertseg.system.threads import mapped_ahead


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """First indices of tiles that together cover every voxel of an axis.

    Tiles follow each other by ``tile - overlap`` voxels; the last one is flush with the end of the
    axis, so it may overlap its predecessor more. An axis shorter than a tile gets one tile at 0,
    which then reaches beyond the end.

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


def predict_tiles(
    network: Callable[[Float32Array], Float32Array],
    volume: Float32Array,
    tiles: Sequence[Box],
    channels: int,
    on_tile: Callable[[int, int], None] | None = None,
) -> Float32Array:
    """The voxelwise maximum of what a network says on each tile, none below 0.

    Tiles with nothing in them are left out. While one tile is predicted, another one is merged.

    Args:
        network: from a tile (x, y, z) to its maps (x, y, z, channels); called by several threads.
        volume: (x, y, z) network input.
        tiles: boxes within `volume`.
        channels: number of maps that the network returns.
        on_tile: called with (tiles done, tiles).

    Returns:
        (x, y, z, channels); 0 where no tile was predicted.
    """
    merged = np.zeros((*volume.shape, channels), np.float32)

    def maps_of(tile: Box) -> Float32Array | None:
        seen = volume[tile]
        return None if is_padding(seen) else network(seen)

    found = mapped_ahead(maps_of, tiles, CALLS_AT_ONCE)
    for done, (tile, maps) in enumerate(zip(tiles, found, strict=True), start=1):
        if maps is not None:
            np.maximum(merged[tile], maps, out=merged[tile])
        if on_tile is not None:
            on_tile(done, len(tiles))
    return merged
