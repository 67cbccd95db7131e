"""Vertebrae that are known as closed surfaces: label maps of them, to set into posed bodies."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.errors import ConfigurationError
from vertseg.geometry.grid import FloatArray
from vertseg.labels import STRUCTURES, is_vertebra
from vertseg.training.data.real_files import whole_vertebrae
from vertseg.training.volumes import RealVolume

_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
_MARGIN_VOXELS = 3
_ASIDE = np.array([1.3e-4, 2.7e-4, 0.0])
"""In voxels: no line along z then runs through an edge of a triangle."""

_LABELS = {v.name: v.label for v in STRUCTURES if is_vertebra(v.label)}


def read_surfaces(
    atlas: Path, spacing_mm: float, hold_out: Collection[str] = ()
) -> list[RealVolume]:
    """The sets of surfaces beside an atlas as masks, with the landmarks of their vertebrae.

    A set is a folder ``meshes_NAME`` with ``L1.ply``, ``L2.ply`` ... in one frame: RAS, in mm, of a
    person who stands upright. The vertebrae of the atlas itself, in ``meshes``, are no such set:
    they are what its labels show.

    Args:
        atlas: folder of the atlas.
        spacing_mm: of the masks.
        hold_out: names of sets that are left out.

    Raises:
        ConfigurationError: there are surfaces, and the package that reads them is missing.
    """
    found = []
    for folder in sorted(atlas.glob("meshes_*")):
        name = folder.name.removeprefix("meshes_")
        files = {_LABELS[p.stem]: p for p in sorted(folder.glob("*.ply")) if p.stem in _LABELS}
        if files and name not in hold_out:
            volume = _label_map({label: _read(path) for label, path in files.items()}, spacing_mm)
            found.append(RealVolume(name, volume, whole_vertebrae(volume)))
    return found


Triangles = tuple[FloatArray, npt.NDArray[np.int64]]
"""Vertices (n, 3) and indices of those of each triangle (m, 3)."""


def _read(path: Path) -> Triangles:
    """The surface in a file, in LPS mm."""
    if find_spec("trimesh") is None:
        remedy = "Install vertseg[mesh], or train without the folders meshes_* of the atlas."
        raise ConfigurationError("needs the package trimesh", str(path), "", remedy)
    import trimesh

    mesh = trimesh.load_mesh(path, process=False)
    return np.asarray(mesh.vertices, float) * _RAS_TO_LPS, np.asarray(mesh.faces, np.int64)


def _label_map(surfaces: dict[int, Triangles], spacing_mm: float) -> npt.NDArray[np.uint8]:
    """Labels (x, y, z); what lies in two surfaces belongs to the one that it is deeper in."""
    vertices = np.concatenate([points for points, _ in surfaces.values()])
    low = vertices.min(axis=0) - _MARGIN_VOXELS * spacing_mm
    size = np.ceil(np.ptp(vertices, axis=0) / spacing_mm).astype(int) + 2 * _MARGIN_VOXELS + 1
    labels, deepest = np.zeros(size, np.uint8), np.zeros(size, np.float32)
    for label, (points, faces) in surfaces.items():
        filled = fill_surface((points - low) / spacing_mm, faces, (size[0], size[1], size[2]))
        box = ndimage.find_objects(filled.astype(np.uint8))[0]
        depth = ndimage.distance_transform_edt(np.pad(filled[box], 1))[1:-1, 1:-1, 1:-1]
        wins = depth > deepest[box]
        labels[box][wins], deepest[box][wins] = label, depth[wins]
    return labels


def fill_surface(
    vertices: FloatArray, faces: npt.NDArray[np.int64], size: tuple[int, int, int]
) -> npt.NDArray[np.bool_]:
    """The voxels whose centre a closed surface encloses.

    A line along z crosses the surface an odd number of times below such a voxel.

    Args:
        vertices: (n, 3) in voxels.
        faces: (m, 3) indices of vertices.
        size: of the result (x, y, z), which the surface does not leave.
    """
    crossed = np.zeros((size[0], size[1], size[2] + 1), np.uint8)
    corners = (vertices + _ASIDE)[faces]
    for part in np.array_split(corners, max(1, len(corners) // 20_000)):
        triangle, x, y = _columns(part)
        a, ab, ac = part[triangle, 0], *(part[triangle, k] - part[triangle, 0] for k in (1, 2))
        area = ab[:, 0] * ac[:, 1] - ac[:, 0] * ab[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):  # upright triangles have no area
            u = ((x - a[:, 0]) * ac[:, 1] - ac[:, 0] * (y - a[:, 1])) / area
            v = (ab[:, 0] * (y - a[:, 1]) - (x - a[:, 0]) * ab[:, 1]) / area
            hit = (u >= 0) & (v >= 0) & (u + v <= 1)
            height = np.ceil(a[:, 2] + u * ab[:, 2] + v * ac[:, 2])[hit].astype(int)
        np.add.at(crossed, (x[hit], y[hit], height), 1)
    return (np.cumsum(crossed, axis=2, dtype=np.uint8)[:, :, :-1] % 2).astype(bool)


def _columns(corners: FloatArray) -> tuple[npt.NDArray[np.int64], ...]:
    """Each triangle (n, 3 corners, 3) with every line (x, y) that may cross it."""
    low = np.ceil(corners[:, :, :2].min(axis=1)).astype(int)
    high = np.floor(corners[:, :, :2].max(axis=1)).astype(int)
    counts = np.maximum(high - low + 1, 0)
    many = counts.prod(axis=1)
    triangle = np.repeat(np.arange(len(corners)), many)
    place = np.arange(len(triangle)) - np.repeat(np.cumsum(many) - many, many)
    across = counts[triangle, 1]
    return triangle, low[triangle, 0] + place // across, low[triangle, 1] + place % across
