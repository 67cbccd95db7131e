"""Stage 2: which vertebra is where (Payer et al., VISAPP 2020, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.matrices import linear_kernel
from models.presets import StageConfig
from vertseg.geometry.boxes import Box, box_at
from vertseg.geometry.grid import Float32Array, FloatArray, Grid, PointLps
from vertseg.io.heatmap import KeepHeatmap
from vertseg.io.image import Image
from vertseg.labels import label_of
from vertseg.sequence.dens import with_c1_at_dens
from vertseg.sequence.doubts import NO_DOUBTS, Doubts
from vertseg.sequence.evidence import evidence_of_mask
from vertseg.sequence.solve import Numbering, SequenceResult, solve_sequence
from vertseg.stages.at_once import CALLS_AT_ONCE
from vertseg.stages.borders import are_seen, without_cut
from vertseg.stages.network import StageNetwork
from vertseg.stages.peaks import find_places
from vertseg.stages.preprocess import is_padding, resample
from vertseg.stages.spine import SpineRegion
from vertseg.stages.tiles import predict_tiles, tile_starts
from vertseg.system.threads import mapped_ahead

_MARGIN_MM = 30.0
_STEPS_AHEAD = 4
_MOST_ROUNDS = 6
_UPPERMOST = (label_of("C1"),)
_LOWERMOST = (label_of("L5"), label_of("L6"))

SCALES = (1.0, 0.93, 1.07)
"""Sizes of the voxels, over the stage's own, in which a scan of one window is looked at.

A few vertebrae bear little evidence of their levels; the mean over sizes names more of them right.
"""


@dataclass(frozen=True, eq=False)
class Search:
    """Places that the heatmaps propose, among which a chain is chosen, and again with more known.

    Attributes:
        image: the scan.
        points_lps_mm: (N, 3) places.
        scores: (N, L) height of every label's heatmap at every place.
        labels: (L,) of the channels.
        numbering: how numbering variants are treated.
    """

    image: Image
    points_lps_mm: FloatArray
    scores: FloatArray
    labels: tuple[int, ...]
    numbering: Numbering = Numbering.AUTO

    def chain(self, doubts: Doubts = NO_DOUBTS) -> SequenceResult:
        """The best chain, of whole and of cut vertebrae."""
        return self._solved(doubts) if doubts else self._without_doubts

    @cached_property
    def _without_doubts(self) -> SequenceResult:
        return self._solved(NO_DOUBTS)

    def _solved(self, doubts: Doubts) -> SequenceResult:
        return solve_sequence(
            self.points_lps_mm,
            self.scores,
            self.labels,
            inside=lambda points: are_seen(self.image, points),
            numbering=self.numbering,
            doubts=doubts,
        )

    def with_places(self, points_lps_mm: Sequence[PointLps]) -> Search:
        """The search with further places (n, 3), of which the masks alone tell something."""
        silent = np.full((len(points_lps_mm), len(self.labels)), evidence_of_mask(len(self.labels)))
        return replace(
            self,
            points_lps_mm=np.concatenate([self.points_lps_mm, np.array(points_lps_mm)]),
            scores=np.concatenate([self.scores, silent]),
        )

    def whole(self, doubts: Doubts = NO_DOUBTS) -> SequenceResult:
        """The best chain without the vertebrae that the border cuts, C1's point at the dens."""
        return with_c1_at_dens(without_cut(self.chain(doubts), self.image))


def find_vertebrae(image: Image, spine: SpineRegion, network: StageNetwork) -> SequenceResult:
    """The chain of whole vertebrae, see `search_vertebrae`."""
    return search_vertebrae(image, spine, network).whole()


def search_vertebrae(
    image: Image,
    spine: SpineRegion,
    network: StageNetwork,
    overlap: int | None = None,
    on_tile: Callable[[int, int], None] | None = None,
    keep: KeepHeatmap | None = None,
    numbering: Numbering = Numbering.AUTO,
) -> Search:
    """The search for whole vertebrae: tiles along the spine, merged by maximum.

    Where the chain would continue beyond the tiles, they are laid anew.

    Args:
        image: the scan.
        spine: what stage 1 found.
        network: SC-Net.
        overlap: voxels that neighbouring tiles share; the preset's if None.
        on_tile: called with (tiles done, tiles).
        keep: gets the heatmaps.
        numbering: how numbering variants are treated.
    """
    for _ in range(_MOST_ROUNDS):
        heatmap, grid = predict_heatmaps(image, spine, network, overlap, on_tile)
        search = _search(heatmap, grid, image, network, numbering)
        grown = _grown(spine, search.chain(), image, network, overlap)
        if grown is None:
            break
        spine = grown
    if keep is not None:
        keep(heatmap, grid)
    return search


def _search(
    heatmap: Float32Array, grid: Grid, image: Image, network: StageNetwork, numbering: Numbering
) -> Search:
    places = find_places(heatmap, grid.spacing, network.config.threshold)
    points = np.asarray(grid.index_to_lps(places.index_xyz)).reshape(-1, 3)
    seen = np.asarray(image.grid.contains(points)).reshape(-1)
    labels = network.config.labels
    return Search(image, points[seen], places.scores[seen], labels, numbering)


def _grown(
    spine: SpineRegion,
    chain: SequenceResult,
    image: Image,
    network: StageNetwork,
    overlap: int | None,
) -> SpineRegion | None:
    """The region extended to where the chain would continue, if no tile has looked there yet.

    Stage 1 may lose a part of the spine; the vertebrae beside it tell where to look.
    """
    config = network.config
    points = np.array([v.point_lps_mm for v in chain.vertebrae])
    if len(points) < 2:
        return None

    def depth_mm(region: SpineRegion, place: FloatArray) -> float:
        grid, tiles = plan_tiles(region, config, overlap)
        index = np.asarray(grid.lps_to_index(place))
        return max(depth_in(tile, index) for tile in tiles) * config.spacing_mm

    for end, before, last in ((0, 1, _UPPERMOST), (-1, -2, _LOWERMOST)):
        steps = np.arange(1, _STEPS_AHEAD + 1)[:, None]
        ahead = points[end] + steps * (points[end] - points[before])
        ahead = ahead[np.asarray(image.grid.contains(ahead)).reshape(-1)]
        if len(ahead) and chain.vertebrae[end].label not in last:
            now = depth_mm(spine, ahead[0])
            if now >= _MARGIN_MM:
                continue
            grown = spine.with_points(np.concatenate([points, ahead]))
            if depth_mm(grown, ahead[0]) > now + config.spacing_mm:
                return grown
    return None


def predict_heatmaps(
    image: Image,
    spine: SpineRegion,
    network: StageNetwork,
    overlap: int | None = None,
    on_tile: Callable[[int, int], None] | None = None,
) -> tuple[Float32Array, Grid]:
    """Heatmaps (x, y, z, labels), none below 0, of the whole spine and their grid.

    A scan that fits into one tile is processed at several sizes.
    """
    config = network.config
    grid, tiles = plan_tiles(spine, config, overlap)
    volume = resample(image, grid, config.smoothing_sigma_mm)
    if len(tiles) == 1:
        merged = _mean_over_scales(volume, image, grid, network)
        if on_tile is not None:
            on_tile(1, 1)
        return merged, grid
    symmetric = partial(_symmetric, network)
    return predict_tiles(symmetric, volume, tiles, len(config.labels), on_tile), grid


def _mean_over_scales(
    volume: Float32Array, image: Image, grid: Grid, network: StageNetwork
) -> Float32Array:
    """Mean of the maps of a window (x, y, z, labels), where they reach, over `SCALES`."""
    if is_padding(volume):
        return np.zeros((*grid.size, len(network.config.labels)), np.float32)

    def response_at(scale: float) -> Float32Array:
        if scale == 1.0:
            return _symmetric(network, volume)
        spacing = [scale * mm for mm in grid.spacing]
        scaled = Grid.axis_aligned(grid.centre_lps_mm, grid.size, spacing)
        return _symmetric(network, resample(image, scaled, network.config.smoothing_sigma_mm))

    count = np.zeros(grid.size, np.float32)
    total = np.zeros((*grid.size, len(network.config.labels)), np.float32)
    for scale, seen in zip(SCALES, mapped_ahead(response_at, SCALES, CALLS_AT_ONCE), strict=True):
        x, y, z = (rescaling_matrix(n, scale) for n in grid.size)
        total += _along_axes(seen, x, y, z)
        count += np.einsum("a,b,c->abc", x.sum(1), y.sum(1), z.sum(1))
    return np.asarray(total / count[..., None], np.float32)


def _along_axes(
    maps: Float32Array, x: Float32Array, y: Float32Array, z: Float32Array
) -> Float32Array:
    """Maps (i, j, k, labels) multiplied by matrices (i, i), (j, j), (k, k) that are mostly 0."""
    size, labels = len(maps), maps.shape[3]
    along_x = sparse.csr_array(x) @ maps.reshape(size, -1)
    along_yz = sparse.kron(sparse.csr_array(y), sparse.csr_array(z), format="csr")
    planes = [along_yz @ plane for plane in along_x.reshape(size, -1, labels)]
    return np.stack(planes).reshape(maps.shape)


def rescaling_matrix(size: int, scale: float) -> Float32Array:
    """Linear interpolation (size, size) along an axis from voxels `scale` times as large.

    It gives 0 beyond them.
    """
    middle = 0.5 * (size - 1)
    position = (np.arange(size) - middle) / scale + middle
    return linear_kernel(position[:, None] - np.arange(size)[None, :]).astype(np.float32)


def _symmetric(network: StageNetwork, tile: Float32Array) -> Float32Array:
    """Mean of the maps of a tile and of its mirror image: the labels have no side."""
    straight, mirrored = network(np.stack([tile, tile[::-1]])[..., None])
    straight += mirrored[::-1]
    straight *= np.float32(0.5)
    return straight


def plan_tiles(
    spine: SpineRegion, config: StageConfig, overlap: int | None
) -> tuple[Grid, list[Box]]:
    """A grid around all tiles, and the tiles: each centred on the part of the spine it shows.

    Voxels lie on a lattice fixed in the world, so that the same body gives the same voxels
    however the scan's own axes run. The overlap is the preset's if None.
    """
    size, spacing_mm = config.size, config.spacing_mm
    overlap = config.overlap if overlap is None else overlap
    low, high = spine.z_range_mm()
    middle = 0.5 * (low + high)
    length = max(int(np.ceil((high - low + 2 * _MARGIN_MM) / spacing_mm)), size[2])
    bottom = float(_on_lattice(middle - 0.5 * (length - 1) * spacing_mm, spacing_mm))
    starts = tile_starts(length, size[2], overlap)
    centres = []
    for start in starts:
        z_mm = bottom + start * spacing_mm
        centres.append(spine.centre_between(z_mm, z_mm + (size[2] - 1) * spacing_mm))
    corners = np.array(centres) - 0.5 * (np.array(size[:2]) - 1) * spacing_mm
    origin = _on_lattice(corners.min(axis=0), spacing_mm)
    shifts = np.rint((corners - origin) / spacing_mm).astype(int)
    x, y = (int(n) for n in shifts.max(axis=0) + size[:2])
    extent = np.array([x, y, length]) - 1
    centre = np.array([*origin, bottom]) + 0.5 * extent * spacing_mm
    grid = Grid.axis_aligned(centre, (x, y, length), (spacing_mm,) * 3)
    tiles = [box_at((*shift, z), size) for shift, z in zip(shifts, starts, strict=True)]
    return grid, tiles


def depth_in(tile: Box, index: FloatArray) -> float:
    """Voxels from a place (3,) to the nearest face of a tile; negative outside."""
    return float(min(min(i - s.start, s.stop - 1 - i) for i, s in zip(index, tile, strict=True)))


def _on_lattice(position_mm: npt.ArrayLike, spacing_mm: float) -> FloatArray:
    return np.rint(np.asarray(position_mm, float) / spacing_mm) * spacing_mm
