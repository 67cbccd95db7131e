"""Vertebra centroids and their file formats.

``verse20`` (VerSe 2020, BIDS derivatives): a list that begins with ``{"direction": [...]}``; X, Y,
Z are voxel indices along the axes that run towards the letters of ``direction``.
``verse19`` (VerSe 2019): a plain list in a 1 mm isotropic frame; X runs superior to inferior,
Y anterior to posterior, Z right to left, each in mm from the first voxel's centre.
``markups`` (3D Slicer, see `vertseg.io.markups`) is read, too: points in the world.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from vertseg.errors import InputError
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.directions import OPPOSITE
from vertseg.geometry.grid import FloatArray, Grid, PointLps
from vertseg.io.markups import is_markups, markups_from_json
from vertseg.labels import STRUCTURES
from vertseg.system.atomic import PathLike, write_json

CentroidFormat = Literal["verse20", "verse19"]
AnyFormat = Literal["verse20", "verse19", "markups"]
Record = dict[str, Any]

_VERSE19_DIRECTION = ("I", "P", "L")
_KNOWN_LABELS = frozenset(structure.label for structure in STRUCTURES)
_LARGEST_FILE_BYTES = 16 << 20
_REMEDY = "Give a VerSe'19 or VerSe'20 centroid file, or 3D Slicer Markups (.mrk.json)."


class HasGrid(Protocol):
    """Anything that lies on a grid, such as an image."""

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""


def centroids_to_json(
    centroids: Iterable[Centroid], grid: Grid, fmt: CentroidFormat = "verse20"
) -> list[Record]:
    """Centroids as the list that the file holds, rounded to one decimal.

    Args:
        centroids: in the order in which they are to be listed.
        grid: grid of the image *as stored*, whose indices ``verse20`` counts.
        fmt: ``"verse20"`` or ``"verse19"``.

    >>> grid = Grid.axis_aligned((0.0, 0.0, 0.0), (11, 11, 11), 2.0)
    >>> found = [Centroid(20, (0.0, 2.0, -4.0))]
    >>> centroids_to_json(found, grid)
    [{'direction': ['L', 'P', 'S']}, {'label': 20, 'X': 5.0, 'Y': 6.0, 'Z': 3.0}]
    >>> centroids_to_json(found, grid, "verse19")
    [{'label': 20, 'X': 14.0, 'Y': 12.0, 'Z': 10.0}]
    """
    direction = grid.axis_codes() if fmt == "verse20" else _VERSE19_DIRECTION
    step_mm = _steps(grid, direction, fmt)
    records: list[Record] = [{"direction": list(direction)}] if fmt == "verse20" else []
    for centroid in centroids:
        index = _index_to_frame(grid.lps_to_index(centroid.point_lps_mm), grid, direction)
        # Adding 0.0 turns -0.0 into 0.0.
        x, y, z = (round(float(value), 1) + 0.0 for value in index * step_mm)
        records.append({"label": centroid.label, "X": x, "Y": y, "Z": z})
    return records


def centroids_from_json(
    payload: Any, grid: Grid, where: str = ""
) -> tuple[list[Centroid], AnyFormat]:
    """Centroids from a decoded file; the format is recognised by its entries.

    Args:
        payload: what ``json.load`` returned.
        grid: grid of the image that the file belongs to.
        where: file name for messages.

    Raises:
        InputError: not a centroid list, unknown label, coordinate missing or not finite.

    >>> grid = Grid.axis_aligned((0.0, 0.0, 0.0), (11, 11, 11), 2.0)
    >>> payload = [{"direction": ["L", "P", "I"]}, {"label": 20, "X": 5, "Y": 6, "Z": 7}]
    >>> centroids, fmt = centroids_from_json(payload, grid)
    >>> centroids[0].point_lps_mm, fmt
    ((0.0, 2.0, -4.0), 'verse20')
    """
    if is_markups(payload):
        return markups_from_json(payload, where), "markups"
    if not isinstance(payload, list) or not all(isinstance(item, dict) for item in payload):
        raise InputError("not a centroid list", where, "a JSON list of objects", _REMEDY)
    directions = [item["direction"] for item in payload if "direction" in item]
    fmt: CentroidFormat = "verse20" if directions else "verse19"
    direction = _checked_direction(directions[0], where) if directions else _VERSE19_DIRECTION
    step_mm = _steps(grid, direction, fmt)
    centroids = []
    for item in payload:
        if "direction" in item:
            continue
        label, point = _checked_record(item, where)
        index = _frame_to_index(np.array(point) / step_mm, grid, direction)
        centroids.append(Centroid.at(label, grid.index_to_lps(index)))
    return centroids, fmt


def read_centroids(
    path: str | os.PathLike[str], image_or_grid: HasGrid | Grid
) -> tuple[list[Centroid], AnyFormat]:
    """Read a centroid file in any of the formats and say which it was.

    Args:
        path: JSON file.
        image_or_grid: image, or its grid, that the file belongs to.

    Raises:
        InputError: unreadable, not JSON, or not a centroid list.
    """
    grid = image_or_grid if isinstance(image_or_grid, Grid) else image_or_grid.grid
    where = str(path)
    try:
        if Path(path).stat().st_size > _LARGEST_FILE_BYTES:
            raise InputError("the file is too large for a centroid list", where, remedy=_REMEDY)
        payload = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where) from error
    except (ValueError, RecursionError) as error:
        raise InputError("is not JSON", where, remedy=_REMEDY) from error
    return centroids_from_json(payload, grid, where)


def _checked_direction(direction: Any, where: str) -> tuple[str, ...]:
    letters = tuple(str(c).upper() for c in direction) if isinstance(direction, list) else ()
    axes = {min(c, OPPOSITE.get(c, c)) for c in letters}
    if len(letters) != 3 or axes != {"L", "A", "I"}:
        expected = 'three axes such as ["P", "I", "R"]'
        raise InputError(f"direction is {direction!r}", where, expected, _REMEDY)
    return letters


def _checked_record(item: Record, where: str) -> tuple[int, PointLps]:
    try:
        label = float(item["label"])
        x, y, z = float(item["X"]), float(item["Y"]), float(item["Z"])
    except (KeyError, TypeError, ValueError) as error:
        expected = "numbers label, X, Y, Z"
        raise InputError(f"bad centroid entry {item!r}", where, expected, _REMEDY) from error
    if label not in _KNOWN_LABELS:
        raise InputError(f"unknown label {item['label']!r}", where, "a label of 1-28", _REMEDY)
    if not all(map(math.isfinite, (x, y, z))):
        raise InputError(f"coordinate not finite in {item!r}", where, "finite numbers", _REMEDY)
    return int(label), (x, y, z)


def _axes_of(grid: Grid, direction: Sequence[str]) -> tuple[list[int], list[bool]]:
    """For each letter the array axis that runs along it, and whether it runs the other way."""
    codes = grid.axis_codes()
    axes = [next(a for a in range(3) if codes[a] in (c, OPPOSITE[c])) for c in direction]
    return axes, [codes[a] != c for a, c in zip(axes, direction, strict=True)]


def _steps(grid: Grid, direction: Sequence[str], fmt: CentroidFormat) -> FloatArray:
    """(3,) file units for one voxel along each axis: voxels in verse20, millimetres in verse19."""
    axes, _ = _axes_of(grid, direction)
    return np.ones(3) if fmt == "verse20" else np.asarray(grid.spacing)[axes]


def _index_to_frame(index: FloatArray, grid: Grid, direction: Sequence[str]) -> FloatArray:
    """(3,) index in the array, as the index after its axes are reordered to run as `direction`."""
    axes, flipped = _axes_of(grid, direction)
    last = np.asarray(grid.size) - 1.0
    return np.where(flipped, last[axes] - index[axes], index[axes])


def _frame_to_index(position: FloatArray, grid: Grid, direction: Sequence[str]) -> FloatArray:
    """The inverse of `_index_to_frame`."""
    axes, flipped = _axes_of(grid, direction)
    last = np.asarray(grid.size) - 1.0
    index = np.empty(3)
    index[axes] = np.where(flipped, last[axes] - position, position)
    return index


def write_centroids(
    path: PathLike,
    centroids: Iterable[Centroid],
    image: HasGrid | Grid,
    fmt: CentroidFormat = "verse20",
) -> None:
    """Write a centroid file for an image (or its grid), see `vertseg.io.centroids`.

    Raises:
        OutputError: the file cannot be written.
    """
    grid = image if isinstance(image, Grid) else image.grid
    write_json(path, centroids_to_json(centroids, grid, fmt), indent=None)
