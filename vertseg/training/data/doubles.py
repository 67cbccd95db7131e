"""One scan under two names: found by what it shows, not by what it is called.

VerSe'19 and VerSe'20 share 105 scans. Most tell so in their names; scans that were renamed,
reoriented or saved again do not, and would stand in two folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from vertseg.errors import InputError
from vertseg.geometry.grid import FloatArray, Grid
from vertseg.io.annotations import open_mask
from vertseg.io.read import read_image
from vertseg.training.data.dataset import DataCase

_EXTENT_SHARE = 0.01
_SIDE = 20
_ALIKE = 0.998
"""Correlation of 20x20x20 voxels; scans of two patients do not come near it."""


def find_doubles(cases: Sequence[DataCase]) -> list[tuple[str, str]]:
    """Pairs of names of cases whose scans show the same, in the order of the cases.

    Headers tell which scans are equally large; only of those voxels are read.
    """
    extents: dict[str, FloatArray] = {}
    paths: dict[str, Path] = {}
    for case in cases:
        extent = _extent_mm(case.files.scan)
        if case.files.scan is not None and extent is not None:
            extents[case.name], paths[case.name] = extent, case.files.scan
    seen: dict[str, FloatArray | None] = {}
    pairs = []
    for one, other in combinations(extents, 2):
        if not np.allclose(extents[one], extents[other], rtol=_EXTENT_SHARE):
            continue
        for name in (one, other):
            if name not in seen:
                seen[name] = _thumbnail(paths[name])
        if _are_alike(seen[one], seen[other]):
            pairs.append((one, other))
    return pairs


def _extent_mm(path: Path | None) -> FloatArray | None:
    """Size of the box around a scan along x, y and z; None if its header does not tell."""
    if path is None:
        return None
    try:
        return _size_of_box(open_mask(path)[1])
    except InputError:
        return None


def _size_of_box(grid: Grid) -> FloatArray:
    corners = grid.corners_lps_mm(0.5)
    return np.asarray(corners.max(axis=0) - corners.min(axis=0), np.float64)


def _thumbnail(path: Path) -> FloatArray | None:
    """HU at evenly spaced places in the box around a scan; None if it cannot be read."""
    try:
        image = read_image(path)
    except InputError:
        return None
    size = _size_of_box(image.grid)
    corner = image.grid.corners_lps_mm(0.5).min(axis=0)
    share = (np.arange(_SIDE) + 0.5) / _SIDE
    places = np.stack(np.meshgrid(share, share, share, indexing="ij"), axis=-1) * size + corner
    index = np.rint(image.grid.lps_to_index(places)).astype(int)
    index = np.clip(index, 0, np.array(image.grid.size) - 1)
    return np.asarray(image.array[tuple(np.moveaxis(index, -1, 0))], np.float64)


def _are_alike(one: FloatArray | None, other: FloatArray | None) -> bool:
    if one is None or other is None or not one.std() or not other.std():
        return False
    return bool(np.corrcoef(one.ravel(), other.ravel())[0, 1] > _ALIKE)
