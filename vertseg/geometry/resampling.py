"""Linear resampling between any two grids, with Gaussian smoothing beforehand, in little memory.

Voxels reach half a spacing around their centres: a point in the outer half voxel takes the edge's
value, points further out take the `outside` value. Smoothing acts along the source's own axes,
with the edge continued, as ``scipy.ndimage.gaussian_filter(mode="nearest")`` does.

Where the axes of both grids are parallel, smoothing and interpolation along one axis are one small
sparse matrix, and three products do it all, a few planes at a time. Else the source is smoothed
slab by slab and sampled.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from vertseg.geometry.grid import Float32Array, FloatArray, Grid, is_inside

_TRUNCATE = 4.0  # kernel radius in sigmas, scipy's default
_PARALLEL_VOXELS = 1e-3  # largest drift across the grid that still counts as parallel
_BLOCK_VOXELS = 8_000_000
_CHUNK_POINTS = 4_000_000
_CACHED_VOXELS = 1 << 17
_FOR_TWO_THREADS_VOXELS = 8_000_000  # crops of single vertebrae are made by two threads anyway


def resample_array(
    array: npt.NDArray[Any],
    source: Grid,
    target: Grid,
    sigma_mm: float = 0.0,
    outside: float = 0.0,
    lowest: float | None = None,
) -> Float32Array:
    """Values of an array on another grid.

    Args:
        array: any real type, of the size of `source`; never copied as a whole.
        source: where the array's voxels lie; oblique, mirrored or sheared as it may be.
        target: where values are wanted.
        sigma_mm: standard deviation of the Gaussian along each axis of `source`; 0 for none.
        outside: value of points outside `source`.
        lowest: values below are raised to it before anything else.

    Returns:
        float32 array of the size of `target`.

    Raises:
        ValueError: the array does not fit its grid, or sigma is negative.

    >>> ramp = np.arange(4, dtype=np.int16).reshape(4, 1, 1)
    >>> coarse = Grid((4, 1, 1), np.diag([2.0, 1.0, 1.0, 1.0]))
    >>> fine = Grid((7, 1, 1), np.eye(4))
    >>> resample_array(ramp, coarse, fine).ravel().tolist()
    [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    """
    if array.shape != source.size:
        raise ValueError(f"array must have its grid's size {source.size}, got {array.shape}")
    if not sigma_mm >= 0.0:
        raise ValueError(f"sigma_mm must not be negative, got {sigma_mm}")
    sigma_voxels = sigma_mm / np.asarray(source.spacing)
    to_source = target.index_map_to(source)
    axes = _parallel_axes(to_source, target)
    if axes is None:
        return _resample_oblique(array, to_source, target, sigma_voxels, outside, lowest)
    return _resample_parallel(array, to_source, target, axes, sigma_voxels, outside, lowest)


def _parallel_axes(to_source: FloatArray, target: Grid) -> list[int] | None:
    """For each target axis the source axis along which it runs; None if one runs aslant."""
    reach = np.abs(to_source[:3, :3]) * (np.asarray(target.size) - 1.0)
    axes = [int(axis) for axis in np.argmax(np.abs(to_source[:3, :3]), axis=0)]
    if sorted(axes) != [0, 1, 2]:
        return None
    reach[axes, [0, 1, 2]] = 0.0
    return axes if reach.sum(axis=1).max() < _PARALLEL_VOXELS else None


def _resample_parallel(
    array: npt.NDArray[Any],
    to_source: FloatArray,
    target: Grid,
    axes: list[int],
    sigma_voxels: FloatArray,
    outside: float,
    lowest: float | None,
) -> Float32Array:
    result = np.full(target.size, outside, dtype=np.float32)
    # Listed by source axis: what takes its voxels to the target's positions along it.
    weights: list[Any] = [None] * 3
    needed: list[slice] = [slice(0)] * 3
    filled: list[slice] = [slice(0)] * 3  # by target axis
    for t, s in enumerate(axes):
        positions = to_source[s, t] * np.arange(target.size[t]) + to_source[s, 3]
        inside = np.flatnonzero(is_inside(positions, array.shape[s]))
        if inside.size == 0:
            return result
        filled[t] = slice(int(inside[0]), int(inside[-1]) + 1)
        weights[s], needed[s] = _axis_weights(
            positions[filled[t]], array.shape[s], float(sigma_voxels[s])
        )
    values = _apply_along_axes(array[needed[0], needed[1], needed[2]], weights, lowest)
    result[filled[0], filled[1], filled[2]] = values.transpose(axes)
    return result


def _axis_weights(positions: FloatArray, length: int, sigma: float) -> tuple[Any, slice]:
    """Sparse matrix (positions, voxels) that smooths and interpolates, and the voxels it needs."""
    position = np.clip(positions, 0.0, length - 1.0)
    lower = np.floor(position).astype(int)
    upper_share = position - lower
    kernel = _gaussian_kernel(sigma)
    offsets = np.arange(kernel.size) - kernel.size // 2
    # Weight of (position, neighbour 0 or 1, kernel tap); beyond an edge the edge counts.
    share = np.stack([1.0 - upper_share, upper_share], axis=1)
    neighbour = np.minimum(lower[:, None] + [0, 1], length - 1)
    columns = np.clip(neighbour[:, :, None] + offsets, 0, length - 1)
    values = share[:, :, None] * kernel
    rows = np.broadcast_to(np.arange(positions.size)[:, None, None], columns.shape)
    first, last = int(columns.min()), int(columns.max())
    shape = (positions.size, last - first + 1)
    entries = (values.ravel(), (rows.ravel(), columns.ravel() - first))
    return sparse.csr_array(entries, shape=shape).astype(np.float32), slice(first, last + 1)


def _gaussian_kernel(sigma: float) -> FloatArray:
    """(2 r + 1,) weights that sum to 1, the same as scipy's."""
    radius = int(_TRUNCATE * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _apply_along_axes(
    array: npt.NDArray[Any], weights: list[Any], lowest: float | None
) -> Float32Array:
    """Multiply each axis of (i, j, k) by its matrix, some k planes at a time: float32 (a, b, c).

    So many planes at a time as stay in a processor's cache; a product has some overhead.
    """
    along_i, along_j, along_k = weights
    size_i, size_j, planes = array.shape
    reduced = np.empty((planes, along_i.shape[0], along_j.shape[0]), dtype=np.float32)
    step = max(1, _CACHED_VOXELS // (size_i * size_j))

    def reduce(first: int, last: int) -> None:
        for start in range(first, last, step):
            part = array[:, :, start : min(start + step, last)]
            reduced[start : start + part.shape[2]] = _reduced(part, along_i, along_j, lowest)

    if array.size < _FOR_TWO_THREADS_VOXELS:
        reduce(0, planes)
    else:
        middle = planes // 2
        with ThreadPoolExecutor(2, "resample") as pool:
            list(pool.map(reduce, (0, middle), (middle, planes)))
    result = (along_k @ reduced.reshape(planes, -1)).reshape(-1, *reduced.shape[1:])
    return np.asarray(result.transpose(1, 2, 0))


def _reduced(
    planes: npt.NDArray[Any], along_i: Any, along_j: Any, lowest: float | None
) -> Float32Array:
    """Planes (i, j, k) multiplied along their first two axes: (k, a, b)."""
    size_i, size_j, depth = planes.shape
    # As (j, k, i): of a volume in NIfTI's order, a line of i is contiguous.
    block = planes.transpose(1, 2, 0).astype(np.float32, order="C")
    if lowest is not None:
        np.maximum(block, np.float32(lowest), out=block)
    block = (along_j @ block.reshape(size_j, -1)).reshape(-1, depth, size_i)
    block = along_i @ block.transpose(2, 1, 0).reshape(size_i, -1)
    return np.asarray(block.reshape(len(block), depth, -1).transpose(1, 0, 2))


def _resample_oblique(
    array: npt.NDArray[Any],
    to_source: FloatArray,
    target: Grid,
    sigma_voxels: FloatArray,
    outside: float,
    lowest: float | None,
) -> Float32Array:
    result = np.full(target.size, outside, dtype=np.float32)
    step = max(1, _CHUNK_POINTS // (target.size[1] * target.size[2]))
    for start in range(0, target.size[0], step):
        part = result[start : start + step]
        index = np.ogrid[start : start + part.shape[0], 0 : part.shape[1], 0 : part.shape[2]]
        positions = [
            sum((row[a] * index[a] for a in range(3)), start=row[3]) for row in to_source[:3]
        ]
        inside = np.logical_and.reduce(
            [is_inside(p, n) for p, n in zip(positions, array.shape, strict=True)]
        )
        points = np.stack([position[inside] for position in positions])
        part[inside] = _sample(array, points, sigma_voxels, lowest)
    return result


def _sample(
    array: npt.NDArray[Any], points: FloatArray, sigma_voxels: FloatArray, lowest: float | None
) -> Float32Array:
    """Smoothed values at points (3, n) in voxels, all inside; one slab of k planes at a time."""
    ends = np.asarray(array.shape)[:, None] - 1.0
    points = np.clip(points, 0.0, ends)
    values = np.empty(points.shape[1], dtype=np.float32)
    thickness = max(16, _BLOCK_VOXELS // (array.shape[0] * array.shape[1]))
    slab_of_point = points[2].astype(int) // thickness
    radius = (_TRUNCATE * sigma_voxels + 0.5).astype(int)
    for slab in np.unique(slab_of_point):
        chosen = slab_of_point == slab
        of_slab = points[:, chosen]
        first = np.maximum(np.floor(of_slab.min(axis=1)).astype(int) - radius, 0)
        last = np.floor(of_slab.max(axis=1)).astype(int) + 1 + radius
        box = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
        block = array[box].astype(np.float32)
        if lowest is not None:
            np.maximum(block, np.float32(lowest), out=block)
        if radius.any():
            smoothed_axes = np.where(radius > 0, sigma_voxels, 0.0)
            ndimage.gaussian_filter(
                block, smoothed_axes, output=block, mode="nearest", truncate=_TRUNCATE
            )
        of_slab -= first[:, None]
        values[chosen] = ndimage.map_coordinates(block, of_slab, order=1, mode="nearest")
    return values
