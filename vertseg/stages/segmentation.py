"""Stage 3: the voxels of each vertebra (Payer et al., VISAPP 2020, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from models.presets import StageConfig
from vertseg.geometry.boxes import Box, empty_labels, filled_box, paste_region
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Float32Array, Grid, PointLps
from vertseg.io.image import Image
from vertseg.stages.at_once import CALLS_AT_ONCE, ONE_BY_ONE, AtOnce
from vertseg.stages.fine import FineMask, fine_grid
from vertseg.stages.network import StageNetwork
from vertseg.stages.preprocess import is_padding, resample, resample_to
from vertseg.system.threads import mapped_ahead

Response = tuple[int, Float32Array, Grid]
OnResponse = Callable[[int, Float32Array, Grid], None]
Known = dict[tuple[bytes, PointLps], Response]
"""What the network has said of a crop, given its grid and the place in it."""
_FULL = 255


def segment_vertebrae(
    image: Image,
    vertebrae: Sequence[Centroid],
    network: StageNetwork,
    at_once: AtOnce = ONE_BY_ONE,
    on_vertebra: Callable[[int, int], None] | None = None,
    fine: list[FineMask] | None = None,
    on_response: OnResponse | None = None,
    known: Known | None = None,
) -> npt.NDArray[np.uint8]:
    """The label map on the scan's grid: each voxel gets the label with the largest response.

    Responses are resampled and compared only inside the box of each crop; two bytes per voxel
    are held, one of them only in the box around all crops, however many labels there are.

    Args:
        image: the scan.
        vertebrae: their labels and centroids.
        network: the segmentation U-Net.
        at_once: crops in a batch, and threads that take batches.
        on_vertebra: called with (vertebrae done, vertebrae).
        fine: gets the same mask at 1 mm; None if it is not wanted.
        on_response: called with each response, before they are merged.
        known: responses that are not sought again, whatever their labels; gets all others.
    """
    crops = [crop_grid(vertebra, network.config) for vertebra in vertebrae]
    merger = _Merger(image.grid, crops, network.config.threshold)
    fine_merger = _fine_merger(image.grid, crops, network.config) if fine is not None else None
    found = responses(image, vertebrae, network, at_once, known)
    for done, (label, response, grid) in enumerate(found, start=1):
        merger.add(label, response, grid)
        if fine_merger is not None:
            fine_merger.add(label, response, grid)
        if on_response is not None:
            on_response(label, response, grid)
        if on_vertebra is not None:
            on_vertebra(done, len(vertebrae))
    if fine is not None and fine_merger is not None:
        fine.append(FineMask(fine_merger.finish(), fine_merger.grid))
    return merger.finish()


def _fine_merger(grid: Grid, crops: Sequence[Grid], config: StageConfig) -> _Merger:
    """For voxels of 1 mm in the part of the scan that the crops reach."""
    whole = fine_grid(grid)
    return _Merger(whole.crop(reach_of(whole, crops)), crops, config.threshold)


def responses(
    image: Image,
    vertebrae: Sequence[Centroid],
    network: StageNetwork,
    at_once: AtOnce = ONE_BY_ONE,
    known: Known | None = None,
) -> Iterator[Response]:
    """As `vertebra_responses`, without seeking again those that are known.

    Args:
        image: the scan.
        vertebrae: their labels and centroids.
        network: the segmentation U-Net.
        at_once: crops in a batch, and threads that take batches.
        known: responses of the same crops, whatever their labels; gets all others. None if none
            are kept.
    """
    if known is None:
        return vertebra_responses(image, vertebrae, network, at_once)
    return _with_known(known, image, vertebrae, network, at_once)


def vertebra_responses(
    image: Image,
    vertebrae: Sequence[Centroid],
    network: StageNetwork,
    at_once: AtOnce = ONE_BY_ONE,
) -> Iterator[Response]:
    """Label, response (x, y, z) without islands, and its grid, of each vertebra in turn.

    Each batch is made, seen by the network and rid of islands in one thread, while another one is
    at the next batch; crops without anything in them, which lie outside the scan, are left out.

    Args:
        image: the scan.
        vertebrae: their labels and centroids.
        network: the segmentation U-Net.
        at_once: crops in a batch, and threads that take batches.
    """
    config = network.config

    def responses_of(part: Sequence[Centroid]) -> list[Response]:
        crops = [_crop(image, vertebra, config) for vertebra in part]
        crops = [crop for crop in crops if not is_padding(crop.values[..., 0])]
        if not crops:
            return []
        maps = network(np.stack([crop.values for crop in crops]))[..., 0]
        return [
            (
                c.vertebra.label,
                keep_main_part(map_, c.grid, c.vertebra.point_lps_mm, config.threshold),
                c.grid,
            )
            for c, map_ in zip(crops, maps, strict=True)
        ]

    size = at_once.crops
    parts = [vertebrae[start : start + size] for start in range(0, len(vertebrae), size)]
    for part in mapped_ahead(responses_of, parts, at_once.threads):
        yield from part


def _with_known(
    known: Known,
    image: Image,
    vertebrae: Sequence[Centroid],
    network: StageNetwork,
    at_once: AtOnce,
) -> Iterator[Response]:
    """As `vertebra_responses`, but of crops that are not `known` yet; these are entered."""
    keys = {v.label: _key(v, network.config) for v in vertebrae}
    new = [v for v in vertebrae if keys[v.label] not in known]
    made = vertebra_responses(image, new, network, at_once)
    entered = (_entered(known, keys[found[0]], found, network.config.threshold) for found in made)
    if len(new) == len(vertebrae):
        yield from entered
        return
    for _ in entered:
        pass
    for label, key in keys.items():
        if key in known:
            yield (label, *known[key][1:])


def _key(vertebra: Centroid, config: StageConfig) -> tuple[bytes, PointLps]:
    return crop_grid(vertebra, config).affine_lps.tobytes(), vertebra.point_lps_mm


def _entered(
    known: Known, key: tuple[bytes, PointLps], found: Response, threshold: float
) -> Response:
    """A response, which is entered without what never counts."""
    label, response, grid = found
    counts = filled_box(response > threshold, margin=1)
    if counts[0].stop:
        response, grid = response[counts].copy(), grid.crop(counts)
    known[key] = label, response, grid
    return found


def merge_responses(
    grid: Grid, responses: Sequence[Response], threshold: float
) -> npt.NDArray[np.uint8]:
    """The label map on `grid`: each voxel gets the label with the largest response.

    Args:
        grid: of the scan.
        responses: as returned by `vertebra_responses`.
        threshold: smallest response that counts.
    """
    merger = _Merger(grid, [crop for _, _, crop in responses], threshold)
    for label, response, crop in responses:
        merger.add(label, response, crop)
    return merger.finish()


def crop_grid(vertebra: Centroid, config: StageConfig) -> Grid:
    """The network's grid for a vertebra, shifted to its posterior parts."""
    centre = np.add(vertebra.point_lps_mm, config.shift_at(vertebra.label))
    return Grid.axis_aligned(centre, config.size, (config.spacing_at(vertebra.label),) * 3)


def crop_input(
    image: Image, grid: Grid, point_lps_mm: PointLps, config: StageConfig
) -> Float32Array:
    """(x, y, z, 2): the scan, and a Gaussian that marks the vertebra to segment."""
    scan = resample(image, grid, config.smoothing_sigma_mm)
    index = np.asarray(grid.lps_to_index(point_lps_mm))
    marker = np.float32(1)
    for axis, size in enumerate(grid.size):
        along = np.exp(-0.5 * ((np.arange(size) - index[axis]) / config.sigma_px) ** 2)
        shape = [1, 1, 1]
        shape[axis] = size
        marker = marker * along.astype(np.float32).reshape(shape)
    return np.stack([scan, marker], axis=-1)


def keep_main_part(
    response: Float32Array, grid: Grid, point_lps_mm: PointLps, threshold: float
) -> Float32Array:
    """The response (x, y, z) without islands.

    What stays is the part with the largest volume near the centroid.

    Parts are joined through faces; a part counts with its voxels, ten times more where it lies
    within 12 mm of the centroid, so that a neighbour's larger piece never wins.
    """
    parts, count = ndimage.label(response > threshold)
    if count < 2:
        return response
    size = np.bincount(parts.ravel(), minlength=count + 1).astype(float)
    index = np.rint(np.asarray(grid.lps_to_index(point_lps_mm))).astype(int)
    reach = max(int(round(12.0 / grid.spacing[0])), 1)
    near = tuple(slice(max(i - reach, 0), i + reach + 1) for i in index)
    size += 9.0 * np.bincount(parts[near].ravel(), minlength=count + 1)
    size[0] = -1.0
    main = int(size.argmax())
    return np.where((parts == main) | (response <= threshold), response, np.float32(0))


@dataclass(frozen=True, eq=False)
class _Crop:
    """What the network sees of one vertebra: values (x, y, z, 2) on a grid."""

    vertebra: Centroid
    grid: Grid
    values: Float32Array


def _crop(image: Image, vertebra: Centroid, config: StageConfig) -> _Crop:
    grid = crop_grid(vertebra, config)
    return _Crop(vertebra, grid, crop_input(image, grid, vertebra.point_lps_mm, config))


class _Merger:
    """Label with the largest response at each voxel that a crop can reach.

    Memory that is touched for the first time may cost more than the work in it, so there is little.
    """

    def __init__(self, grid: Grid, crops: Iterable[Grid], threshold: float) -> None:
        self.grid = grid
        reach = reach_of(grid, crops)
        self._whole = empty_labels(grid)
        self._labels = self._whole[reach]
        self._grid = grid.crop(reach)
        self._threshold = np.float32(threshold)
        # How far the response is from threshold to 1, in 255ths.
        self._best = empty_labels(self._grid)
        self._boxes: dict[int, Box] = {}

    def add(self, label: int, response: Float32Array, crop: Grid) -> None:
        """Enters the response of one vertebra."""
        # Further than a voxel from what exceeds the threshold, interpolation does not, either.
        counts = filled_box(response > self._threshold, margin=1)
        if not counts[0].stop:
            return
        response, crop = response[counts], crop.crop(counts)
        box = paste_region(self._grid, crop)
        part = resample_to(response, crop, self._grid, box)
        part -= self._threshold
        part *= np.float32(_FULL) / (1 - self._threshold)
        np.ceil(np.clip(part, 0, _FULL, out=part), out=part)
        value = part.astype(np.uint8, order="F")  # as the arrays that it is put into
        wins = value > self._best[box]
        np.copyto(self._best[box], value, where=wins)
        np.copyto(self._labels[box], np.uint8(label), where=wins)
        self._boxes[label] = box

    def finish(self) -> npt.NDArray[np.uint8]:
        """The merged labels, without the fragments that merging has cut off."""

        def drop(label: int) -> None:  # touches voxels of its own label alone
            drop_fragments(self._labels[self._boxes[label]], label)

        with ThreadPoolExecutor(CALLS_AT_ONCE, "fragments") as pool:
            list(pool.map(drop, self._boxes))
        return self._whole


def reach_of(grid: Grid, crops: Iterable[Grid]) -> Box:
    """The smallest box around the voxels that crops reach; a single voxel where they reach none."""
    boxes = [paste_region(grid, crop) for crop in crops]
    full = [box for box in boxes if all(part.start < part.stop for part in box)]
    full = full or [(slice(0, 1), slice(0, 1), slice(0, 1))]
    i, j, k = (
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*full, strict=True)
    )
    return i, j, k


def drop_fragments(labels: npt.NDArray[np.uint8], label: int, share: float = 0.1) -> None:
    """Clears, in a mask (i, j, k), parts of `label` below `share` of its largest part."""
    along_memory = labels.T  # of a mask as scans are read; labelling takes half the time then
    parts, count = ndimage.label(along_memory == label, np.ones((3, 3, 3)))
    if count < 2:
        return
    size = np.bincount(parts.ravel())
    size[0] = 0
    along_memory[(size < share * size.max())[parts] & (parts > 0)] = 0
