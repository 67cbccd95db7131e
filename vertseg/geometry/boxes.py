"""Masks, and the boxes around their labels, found without looking twice at what is empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.geometry.grid import Grid, apply_affine

Box = tuple[slice, slice, slice]


def box_at(start: Sequence[int], size: Sequence[int]) -> Box:
    """The box of `size` voxels whose first one is `start`, both (3,).

    >>> box_at((1, 0, 2), (3, 4, 5))
    (slice(1, 4, None), slice(0, 4, None), slice(2, 7, None))
    """
    i, j, k = (slice(int(s), int(s) + n) for s, n in zip(start, size, strict=True))
    return i, j, k


def widened(box: Sequence[slice], size: Sequence[int], by: int = 1) -> Box:
    """The box and `by` more voxels on every side, within an array of `size` voxels (3,).

    >>> widened((slice(0, 2), slice(1, 2), slice(1, 3)), (3, 3, 3))
    (slice(0, 3, None), slice(0, 3, None), slice(0, 3, None))
    """
    i, j, k = (
        slice(max(part.start - by, 0), min(part.stop + by, n))
        for part, n in zip(box, size, strict=True)
    )
    return i, j, k


def empty_labels(grid: Grid) -> npt.NDArray[np.uint8]:
    """A mask of zeros (i, j, k), first index fastest as scans are read and masks are written."""
    return np.zeros(grid.size, np.uint8, order="F")


def label_boxes(labels: npt.NDArray[np.uint8]) -> dict[int, Box]:
    """The smallest box around each label but 0.

    Args:
        labels: uint8 (i, j, k); only the box around all of them is searched voxel by voxel.

    >>> mask = np.zeros((4, 4, 4), np.uint8)
    >>> mask[1, 2:4, 0] = 20
    >>> label_boxes(mask)
    {20: (slice(1, 2, None), slice(2, 4, None), slice(0, 1, None))}
    """
    whole = filled_box(labels)
    order = np.argsort(labels.strides)[::-1]  # the search is several times faster along memory
    found = ndimage.find_objects(labels[whole].transpose(order)) if whole[0].stop else []
    back = np.argsort(order)
    return {
        label: _moved((box[back[0]], box[back[1]], box[back[2]]), whole)
        for label, box in enumerate(found, start=1)
        if box is not None
    }


def filled_box(array: npt.NDArray[np.uint8 | np.bool_], margin: int = 0) -> Box:
    """The smallest box around what is not 0 in an array (i, j, k), `margin` voxels wider.

    It is empty if nothing is there.
    """
    box = [slice(0, 0)] * 3
    part = array
    for axis in np.argsort(array.strides)[::-1]:  # whole planes of memory first
        filled = np.flatnonzero(part.max(axis=tuple(a for a in range(3) if a != axis), initial=0))
        if filled.size == 0:
            return slice(0, 0), slice(0, 0), slice(0, 0)
        box[axis] = slice(int(filled[0]), int(filled[-1]) + 1)
        part = array[tuple(b if b.stop else slice(None) for b in box)]
    return widened(box, array.shape, margin)


def _moved(box: Box, into: Box) -> Box:
    i, j, k = (
        slice(part.start + by.start, part.stop + by.start)
        for part, by in zip(box, into, strict=True)
    )
    return i, j, k


def paste_region(target_grid: Grid, crop_grid: Grid) -> Box:
    """The box of target voxels that a crop can cover, its outer half voxels included.

    Returns:
        Slices into arrays of `target_grid`; empty ones if the crop lies outside.

    >>> scan = Grid.axis_aligned((0.0, 0.0, 0.0), (9, 9, 9), 1.0)
    >>> paste_region(scan, Grid.axis_aligned((0.0, 0.0, 4.0), (1, 2, 2), 2.0))
    (slice(3, 6, None), slice(2, 7, None), slice(6, 9, None))
    """
    to_target = crop_grid.index_map_to(target_grid)
    ends = [(-0.5, n - 0.5) for n in crop_grid.size]
    corners = apply_affine(to_target, np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 3))
    limit = np.asarray(target_grid.size)
    first = np.clip(np.ceil(corners.min(axis=0) - 1e-6).astype(int), 0, limit)
    stop = np.clip(np.floor(corners.max(axis=0) + 1e-6).astype(int) + 1, first, limit)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
    return (i, j, k)
