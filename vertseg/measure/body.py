"""Size and end plates of a vertebral body, measured in its mask.

The mask of the vertebra is sampled in a frame that follows the spine. Straight lines from inside
the body to the edge of the mask give its walls: the back wall in the median plane, where the spinal
canal lies behind it, the side walls around the middle of the depth, in front of the pedicles. Lines
parallel to the spine give the end plates, to which planes are fitted.

Heights are those of vertebral morphometry (Genant et al., J Bone Miner Res 1993;8:1137), taken in
the median plane: anterior, middle and posterior. They are medians over bands of the body's depth
and not the distance of six points, which lean on osteophytes and rounded edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.geometry.frames import SpineFrame
from vertseg.geometry.grid import FloatArray, Grid

_STEPS_MM = (2.0, 1.0)  # to find the directions, then to measure
_REACH_MM = np.array([34.0, 36.0, 30.0])  # left, back, up: half the sides of the sampled block
_BEYOND_MM = 10.0  # sampled beyond the walls and end plates, once it is known where they are
_MEDIAN_BAND_MM = 4.0
_MIDDLE_BAND_MM = 3.0
_MEDIAN_SHARE, _MEDIAN_LEAST_MM = 0.12, 2.0  # half the band in which heights are measured
_HEIGHT_BANDS = {"anterior": (0.10, 0.25), "middle": (0.42, 0.58), "posterior": (0.75, 0.90)}
_RUNS_ON_MM = 3.0  # beyond the side wall: this line is in a process
_END_PLATE_SHARE = 0.75  # of width and depth, on which the planes are fitted
_SMALLEST_SHARE_OF_LINES = 0.6
_PLAUSIBLE_MM = {"width": (8.0, 66.0), "depth": (7.0, 60.0), "height": (5.0, 55.0)}
_LARGEST_CORRECTION_DEG = 35.0


@dataclass(frozen=True, eq=False)
class Body:
    """The body of one vertebra.

    Attributes:
        frame: origin in the middle of the body; the third axis is the mean normal of the end
            plates.
        width_mm: left to right at the waist, around the middle of the depth.
        depth_mm: front to back in the median plane.
        anterior_mm: height of the median plane near the front, at 10-25 % of the depth.
        middle_mm: height in the middle, at 42-58 % of the depth.
        posterior_mm: height near the back, at 75-90 % of the depth.
        upper_normal_lps: (3,) unit normal of the upper end plate, upwards.
        lower_normal_lps: (3,) unit normal of the lower end plate, upwards.
    """

    frame: SpineFrame
    width_mm: float
    depth_mm: float
    anterior_mm: float
    middle_mm: float
    posterior_mm: float
    upper_normal_lps: FloatArray
    lower_normal_lps: FloatArray


def measure_body(mask: npt.NDArray[np.bool_], grid: Grid, frame: SpineFrame) -> Body | None:
    """Measure the body in the mask of a vertebra.

    Args:
        mask: (i, j, k), this vertebra only; a box around it is enough.
        grid: where the mask lies.
        frame: origin inside the body, axes along the spine.

    Returns:
        None where walls or end plates cannot be found: the origin is outside of the mask, or the
        mask is not a vertebral body.
    """
    first = _measure_once(mask, grid, frame, _STEPS_MM[0], _REACH_MM)
    if first is None:
        return None
    cosine = float(first.frame.axes_lps[2] @ frame.axes_lps[2])
    if cosine < np.cos(np.radians(_LARGEST_CORRECTION_DEG)):
        return None
    height_mm = max(first.anterior_mm, first.middle_mm, first.posterior_mm)
    half_mm = 0.5 * np.array([first.width_mm, first.depth_mm, height_mm])
    reach_mm = np.minimum(half_mm + _BEYOND_MM, _REACH_MM)
    return _measure_once(mask, grid, first.frame, _STEPS_MM[1], reach_mm)


def _measure_once(
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    frame: SpineFrame,
    step_mm: float,
    reach_mm: FloatArray,
) -> Body | None:
    block = _Block(mask, grid, frame, step_mm, reach_mm)
    left, back, up = block.axes
    everywhere = (-np.inf, np.inf)
    median, level = (-_MEDIAN_BAND_MM, _MEDIAN_BAND_MM), (-_MIDDLE_BAND_MM, _MIDDLE_BAND_MM)
    walls = _median_edges(block.sample((median, everywhere, level))[1], 1, back)
    if walls is None:
        return None
    front, depth = walls[0], walls[1] - walls[0]
    if not _plausible("depth", depth):
        return None
    forward = (front + 0.35 * depth, front + 0.55 * depth)
    sides = _side_walls(block.sample((everywhere, forward, level))[1], left)
    if sides is None:
        return None
    middle, width = (sides[0] + sides[1]) / 2, sides[1] - sides[0]
    if not _plausible("width", width):
        return None
    half = max(0.5 * _END_PLATE_SHARE * width, _MEDIAN_SHARE * width, _MEDIAN_LEAST_MM)
    plates = ((middle - half, middle + half), (front, front + depth), everywhere)
    (left, back, _), inside = block.sample(plates)
    share = 2.0 / _END_PLATE_SHARE
    across = np.add.outer(
        (share * (left - middle) / width) ** 2, (share * (back - front - depth / 2) / depth) ** 2
    )
    lower, upper = _edges(inside, 2, up)
    axes, sizes = (left, back), (middle, front, width, depth)
    return _assemble(frame, axes, sizes, across <= 1.0, (lower, upper))


def _assemble(
    frame: SpineFrame,
    axes: tuple[FloatArray, FloatArray],
    walls: tuple[float, float, float, float],
    on_plate: npt.NDArray[np.bool_],
    plates: tuple[FloatArray, FloatArray],
) -> Body | None:
    """The body from its walls and the (left, back) maps of its end plates' heights."""
    left, back = axes
    middle, front, width, depth = walls
    lower, upper = plates
    planes = [_fit_plane(plate, on_plate, left, back) for plate in plates]
    heights = []
    median = np.abs(left - middle) <= max(_MEDIAN_SHARE * width, _MEDIAN_LEAST_MM)
    for start, stop in _HEIGHT_BANDS.values():
        band = (back >= front + start * depth) & (back <= front + stop * depth)
        heights.append(_median_of((upper - lower)[np.ix_(median, band)]))
    low, high = planes
    if low is None or high is None or not all(_plausible("height", h) for h in heights):
        return None
    centre = np.array([middle, front + depth / 2, 0.0])
    centre[2] = (_height_of(low, centre) + _height_of(high, centre)) / 2
    normals = [frame.axes_lps.T @ _normal(plane) for plane in (high, low)]
    turned = SpineFrame.along(frame.to_lps(centre), normals[0] + normals[1])
    return Body(turned, width, depth, heights[0], heights[1], heights[2], normals[0], normals[1])


def sample_mask(
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    frame: SpineFrame,
    step_mm: float,
    reach_mm: FloatArray,
) -> tuple[tuple[FloatArray, FloatArray, FloatArray], npt.NDArray[np.float32]]:
    """A mask in a frame, sampled linearly on both sides of the origin.

    Args:
        mask: (i, j, k).
        grid: where it lies.
        frame: whose axes the block follows.
        step_mm: between samples.
        reach_mm: (3,) left, back, up: half the sides of the block.

    Returns:
        Positions in mm along left, back and up, and the mask there, 0 to 1.
    """
    return _Block(mask, grid, frame, step_mm, reach_mm).sample(((-np.inf, np.inf),) * 3)


class _Block:
    """A block of samples in a frame, of which parts are sampled as they are needed.

    The arguments are those of `sample_mask`.
    """

    def __init__(
        self,
        mask: npt.NDArray[np.bool_],
        grid: Grid,
        frame: SpineFrame,
        step_mm: float,
        reach_mm: FloatArray,
    ) -> None:
        # float32: a mask has no finer edge, and a block takes half the memory.
        self._mask = mask.astype(np.float32)
        counts = np.round(reach_mm / step_mm).astype(int)
        left, back, up = (np.arange(-n, n + 1) * step_mm for n in counts)
        self.axes = (left, back, up)
        self._first = grid.lps_to_index(frame.to_lps(-counts * step_mm))
        self._steps = np.linalg.inv(grid.affine_lps)[:3, :3] @ frame.axes_lps.T * step_mm

    def sample(
        self, ranges: Sequence[tuple[float, float]]
    ) -> tuple[tuple[FloatArray, FloatArray, FloatArray], npt.NDArray[np.float32]]:
        """Positions between the ends of ranges in mm along left, back and up, and samples there."""
        starts, parts = [], []
        for positions, (low, high) in zip(self.axes, ranges, strict=True):
            chosen = np.flatnonzero((positions >= low) & (positions <= high))
            starts.append(chosen[0] if chosen.size else 0)
            parts.append(positions[chosen])
        left, back, up = parts
        inside = ndimage.affine_transform(
            self._mask,
            self._steps,
            self._first + self._steps @ starts,
            output_shape=(left.size, back.size, up.size),
            output=np.float32,
            order=1,
        )
        return (left, back, up), inside


def _edges(
    inside: npt.NDArray[np.float32], axis: int, positions: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Where lines along an axis leave the mask on either side of the origin; NaN where not."""
    lines = np.moveaxis(inside, axis, -1)
    start = len(positions) // 2
    step_mm = positions[1] - positions[0]
    upper = _first_crossing(lines[..., start:])
    lower = _first_crossing(lines[..., start::-1])
    return positions[start] - lower * step_mm, positions[start] + upper * step_mm


def _first_crossing(lines: npt.NDArray[np.float32]) -> FloatArray:
    """Steps along the last axis until the mask ends, interpolated; NaN if outside or never."""
    outside = lines < 0.5
    after = outside.argmax(axis=-1)
    valid = outside.any(axis=-1) & (after > 0)
    before = np.maximum(after - 1, 0)
    inner = np.take_along_axis(lines, before[..., None], -1)[..., 0].astype(np.float64)
    outer = np.take_along_axis(lines, after[..., None], -1)[..., 0].astype(np.float64)
    fall = np.where(inner - outer > 0, inner - outer, 1.0)
    return np.where(valid, before + (inner - 0.5) / fall, np.nan)


def _median_edges(
    inside: npt.NDArray[np.float32], axis: int, positions: FloatArray
) -> tuple[float, float] | None:
    lower, upper = (_median_of(edge) for edge in _edges(inside, axis, positions))
    return (lower, upper) if np.isfinite([lower, upper]).all() else None


def _side_walls(
    inside: npt.NDArray[np.float32], positions: FloatArray
) -> tuple[float, float] | None:
    """Left and right wall; lines that run on into a transverse process, as in the neck, are out."""
    right, left = _edges(inside, 0, positions)
    walls = (-_nearest(-right.ravel()), _nearest(left.ravel()))
    return walls if np.isfinite(walls).all() else None


def _nearest(distances: FloatArray) -> float:
    """Median of the distances that are not much longer than the short ones; NaN without any."""
    if not distances.size:  # no sample lies in a band that thin
        return np.nan
    known = np.where(np.isfinite(distances), distances, np.inf)
    short = float(np.partition(known, known.size // 5)[known.size // 5])
    return float(np.median(known[known <= short + _RUNS_ON_MM])) if short < np.inf else np.nan


def _median_of(values: FloatArray) -> float:
    """Median of the finite values; NaN if too few are."""
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.size < _SMALLEST_SHARE_OF_LINES * values.size:
        return float("nan")
    return float(np.median(finite))


def _fit_plane(
    heights: FloatArray, on_plate: npt.NDArray[np.bool_], left: FloatArray, back: FloatArray
) -> FloatArray | None:
    """(3,) height = a + b left + c back, fitted twice, the second time without outliers."""
    keep = on_plate & np.isfinite(heights)
    if np.count_nonzero(keep) < max(12, _SMALLEST_SHARE_OF_LINES * np.count_nonzero(on_plate)):
        return None
    rows, columns = np.nonzero(keep)
    design = np.stack([np.ones(rows.size), left[rows], back[columns]], axis=1)
    values = heights[rows, columns]
    plane = np.linalg.lstsq(design, values, rcond=None)[0]
    residual = np.abs(values - design @ plane)
    near = residual <= max(2.5 * float(np.median(residual)), 0.5)
    return np.asarray(np.linalg.lstsq(design[near], values[near], rcond=None)[0])


def _height_of(plane: FloatArray, point: FloatArray) -> float:
    return float(plane[0] + plane[1] * point[0] + plane[2] * point[1])


def _normal(plane: FloatArray) -> FloatArray:
    normal = np.array([-plane[1], -plane[2], 1.0])
    return normal / np.linalg.norm(normal)


def _plausible(name: str, value_mm: float) -> bool:
    low, high = _PLAUSIBLE_MM[name]
    return low <= value_mm <= high  # False for NaN
