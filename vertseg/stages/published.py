"""The published inference, for comparison: one x and y, plain windows, one search, no clean-up.

Payer et al., VISAPP 2020, section 3; where it differs from its authors' code:
``models/PUBLISHED.md``. Neither mirror images nor several sizes are looked at, and nothing is left
out at the border of the scan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.geometry.boxes import Box, empty_labels, paste_region
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Float32Array, FloatArray, Grid
from vertseg.io.heatmap import KeepHeatmap
from vertseg.io.image import Image
from vertseg.sequence.published import VISIBLE, choose_sequence
from vertseg.sequence.solve import FoundVertebra, SequenceResult
from vertseg.stages.network import StageNetwork
from vertseg.stages.peaks import find_candidates
from vertseg.stages.preprocess import resample, resample_to
from vertseg.stages.segmentation import crop_grid, crop_input
from vertseg.stages.spine import seen_in
from vertseg.stages.tiles import predict_tiles, tile_starts

PlaceXY = tuple[float, float]

_FURTHER_SHARE = 0.1
"""Of a channel's highest maximum, from which on another one counts."""
_APART_MM = 14.0
_MOST_MAXIMA = 64


def find_spine_xy(
    image: Image, network: StageNetwork, keep: KeepHeatmap | None = None
) -> PlaceXY | None:
    """x and y (LPS mm) of the centre of mass of the spine's heatmap; None without any response.

    The grid lies in the middle of the scan and is as large as the stage's own.

    Args:
        image: the scan.
        network: of the spine stage.
        keep: gets the heatmap.
    """
    config = network.config
    low, high = _extent_lps_mm(image.grid)
    grid = Grid.axis_aligned(0.5 * (low + high), config.size, (config.spacing_mm,) * 3)
    volume = resample(image, grid, config.smoothing_sigma_mm)
    heatmap = np.maximum(network(volume[None, ..., None])[0, ..., 0], 0.0)
    heatmap[~seen_in(grid, image.grid)] = 0.0
    if keep is not None:
        keep(heatmap, grid)
    if heatmap.max() <= config.threshold:
        return None
    x, y, _ = grid.index_to_lps(ndimage.center_of_mass(heatmap)).tolist()
    return x, y


def find_vertebrae_at(
    image: Image,
    spine_xy: PlaceXY,
    network: StageNetwork,
    overlap: int | None = None,
    on_tile: Callable[[int, int], None] | None = None,
    keep: KeepHeatmap | None = None,
) -> SequenceResult:
    """The vertebrae along one x and y over the whole length of a scan.

    Args:
        image: the scan.
        spine_xy: LPS mm.
        network: of the vertebrae stage.
        overlap: voxels that neighbouring windows share; the preset's if None.
        on_tile: called with (windows done, windows).
        keep: gets the heatmaps.
    """
    config = network.config
    grid, tiles = plan_windows(image.grid, spine_xy, network, overlap)
    volume = resample(image, grid, config.smoothing_sigma_mm)

    def maps_of(tile: Float32Array) -> Float32Array:
        return network(tile[None, ..., None])[0]

    heatmap = predict_tiles(maps_of, volume, tiles, len(config.labels), on_tile)
    if keep is not None:
        keep(heatmap, grid)
    low, high = _extent_lps_mm(image.grid)
    maxima = heatmap_maxima(heatmap, grid, config.labels, config.threshold)
    return _as_result(choose_sequence(maxima, (float(low[2]), float(high[2]))))


def plan_windows(
    scan: Grid, spine_xy: PlaceXY, network: StageNetwork, overlap: int | None = None
) -> tuple[Grid, list[Box]]:
    """The grid along the whole scan at one x and y, and the windows in it."""
    config = network.config
    low, high = _extent_lps_mm(scan)
    x, y, z = config.size
    length = max(int(np.ceil((high[2] - low[2]) / config.spacing_mm)), z)
    centre = (*spine_xy, float(0.5 * (low[2] + high[2])))
    grid = Grid.axis_aligned(centre, (x, y, length), (config.spacing_mm,) * 3)
    starts = tile_starts(length, z, config.overlap if overlap is None else overlap)
    return grid, [(slice(0, x), slice(0, y), slice(start, start + z)) for start in starts]


def _extent_lps_mm(scan: Grid) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest corner (3,) of a scan with its outer voxels."""
    corners = scan.corners_lps_mm(0.5)
    return corners.min(axis=0), corners.max(axis=0)


def heatmap_maxima(
    heatmap: Float32Array, grid: Grid, labels: Sequence[int], threshold: float
) -> dict[int, list[Centroid]]:
    """Label -> maxima of its heatmap (x, y, z, labels), the highest first.

    Of a heatmap that says that its vertebra is visible these are several, at least 14 mm apart;
    of another one it is the highest alone, if it is above `threshold`.
    """
    found: dict[int, list[Centroid]] = {}
    for candidate in find_candidates(heatmap, threshold, _MOST_MAXIMA):
        label = labels[candidate.label_index]
        own = found.setdefault(label, [])
        x, y, z = grid.index_to_lps(candidate.index_xyz).tolist()
        place = Centroid(label, (x, y, z), candidate.value)
        if not own or (own[0].score or 0.0) > VISIBLE and _is_further(place, own):
            own.append(place)
    return found


def _is_further(place: Centroid, own: Sequence[Centroid]) -> bool:
    """Whether a maximum counts beside those that its label has already."""
    apart = [np.linalg.norm(np.subtract(place.point_lps_mm, c.point_lps_mm)) for c in own]
    high = (place.score or 0.0) > _FURTHER_SHARE * (own[0].score or 0.0)
    return high and bool(min(apart) >= _APART_MM)


def _as_result(sequence: Sequence[Centroid]) -> SequenceResult:
    if not sequence:
        return SequenceResult()
    vertebrae = tuple(
        FoundVertebra(
            c.label, c.point_lps_mm, c.score, mass=c.score or 0.0, margin=np.inf, place=row
        )
        for row, c in enumerate(sequence)
    )
    return SequenceResult(vertebrae, sum(v.mass for v in vertebrae), np.inf, warnings=())


def segment_as_published(
    image: Image,
    vertebrae: Sequence[Centroid],
    network: StageNetwork,
    on_vertebra: Callable[[int, int], None] | None = None,
) -> npt.NDArray[np.uint8]:
    """Each voxel gets the label with the largest response, where that exceeds the threshold.

    Args:
        image: the scan.
        vertebrae: to be segmented.
        network: the segmentation U-Net.
        on_vertebra: called with (vertebrae done, vertebrae).
    """
    config = network.config
    labels = empty_labels(image.grid)
    best = np.full(labels.shape, config.threshold, np.float32)
    for done, vertebra in enumerate(vertebrae, start=1):
        crop = crop_grid(vertebra, config)
        seen = crop_input(image, crop, vertebra.point_lps_mm, config)
        box = paste_region(image.grid, crop)
        response = resample_to(network(seen[None])[0, ..., 0], crop, image.grid, box)
        wins = response > best[box]
        best[box][wins] = response[wins]
        labels[box][wins] = vertebra.label
        if on_vertebra is not None:
            on_vertebra(done, len(vertebrae))
    return labels
