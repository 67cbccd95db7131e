"""Masks as surfaces: GLB with a named node for each vertebra, or STL files, LPS in millimetres.

The mask is sampled at 1 mm or finer and blurred a little; the surface is the level that encloses
the mask's own volume, smoothed by Taubin's filter (SIGGRAPH 1995), which does not shrink. So
surfaces are closed, and their volumes are those of the masks. Made by scikit-image and trimesh,
which are imported only here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from vertseg.errors import ConfigurationError
from vertseg.geometry.grid import FloatArray, Grid
from vertseg.geometry.resampling import resample_array
from vertseg.labels import Colour
from vertseg.system.atomic import PathLike, atomic_writer
from vertseg.version import VERSION

_NEEDED = ("skimage", "trimesh")
_COARSEST_MM = 1.0
_BLUR_MM, _MOST_BLUR_MM = 0.6, 1.0  # more would swallow thin processes
_MARGIN_MM = 4.0
_STEPS = 20  # of the filter; it moves a vertex by a fraction of a millimetre
_COORDINATES = {"coordinates": "LPS", "units": "mm", "notice": "Not a medical device"}


@dataclass(frozen=True, eq=False)
class Surface:
    """A closed surface.

    Attributes:
        vertices_lps_mm: (n, 3).
        faces: (m, 3) indices of vertices, counter-clockwise from outside.
    """

    vertices_lps_mm: FloatArray
    faces: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Node:
    """A surface with what a viewer shows of it.

    Attributes:
        name: such as ``L1``, or ``L1 body`` for a part.
        colour: red, green, blue in 0-255.
        surface: of the mask.
    """

    name: str
    colour: Colour
    surface: Surface


def check_mesh_packages(option: str) -> None:
    """Raise ConfigurationError where the packages that make meshes are absent."""
    absent = [name for name in _NEEDED if find_spec(name) is None]
    if absent:
        remedy = "Install vertseg[mesh], or leave the option out."
        raise ConfigurationError(f"needs the packages {' and '.join(absent)}", option, "", remedy)


def surface_of(mask: npt.NDArray[np.bool_], grid: Grid) -> Surface | None:
    """The surface of a mask; None where it is too small for one.

    Args:
        mask: (i, j, k); a box around it is enough.
        grid: where it lies.
    """
    from skimage.measure import marching_cubes

    fine = _fine_grid(grid)
    field = resample_array(mask.astype(np.uint8), grid, fine, _blur_mm(grid))
    volume_mm3 = int(np.count_nonzero(mask)) * grid.voxel_volume_mm3
    level = _level_around(field, volume_mm3 / fine.voxel_volume_mm3)
    if level is None:
        return None
    vertices, faces, _, _ = marching_cubes(field, level)
    return _smoothed(fine.index_to_lps(vertices), faces, volume_mm3)


def write_glb(path: PathLike, nodes: Sequence[Node]) -> None:
    """Write surfaces as one binary glTF file with a named, coloured node for each.

    The scene's ``extras`` say that coordinates are LPS and millimetres, not glTF's metres.

    Raises:
        OutputError: the file cannot be written.
    """
    import trimesh

    scene = trimesh.Scene(metadata={**_COORDINATES, "generator": f"vertseg {VERSION}"})
    for node in nodes:
        mesh = _trimesh(node.surface)
        mesh.visual = trimesh.visual.TextureVisuals(material=_material(node.colour))
        scene.add_geometry(mesh, node_name=node.name, geom_name=node.name)
    with atomic_writer(path) as stream:
        stream.write(scene.export(file_type="glb"))


def write_stl(path: PathLike, surface: Surface) -> None:
    """Write a surface as binary STL, whose header says LPS and mm as 3D Slicer reads it.

    Raises:
        OutputError: the file cannot be written.
    """
    triangles = surface.vertices_lps_mm[surface.faces].astype("<f4")
    records = np.zeros(
        len(triangles), np.dtype([("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    )
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    records["n"] = normals / np.where(lengths > 0, lengths, 1)
    records["v"] = triangles
    header = f"vertseg {VERSION} SPACE=LPS UNITS=mm not a medical device".encode().ljust(80)
    with atomic_writer(path) as stream:
        stream.write(header + np.uint32(len(records)).tobytes() + records.tobytes())


def _fine_grid(grid: Grid) -> Grid:
    """The same box with a margin, and voxels of at most 1 mm along each axis."""
    spacing = np.asarray(grid.spacing)
    step = np.minimum(spacing, _COARSEST_MM)
    margin = np.ceil(_MARGIN_MM / step)
    reach = (np.asarray(grid.size) * spacing) / step
    size = np.ceil(reach).astype(int) + 2 * margin.astype(int)
    affine = grid.affine_lps.copy()
    affine[:3, :3] *= step / spacing
    first = -0.5 + (0.5 - margin) * step / spacing
    affine[:3, 3] = grid.index_to_lps(first)
    return Grid((int(size[0]), int(size[1]), int(size[2])), affine)


def _blur_mm(grid: Grid) -> float:
    """Enough to round off the steps between voxels, thick slices included."""
    return min(max(_BLUR_MM, 0.5 * max(grid.spacing)), _MOST_BLUR_MM)


def _level_around(field: npt.NDArray[np.float32], voxels: float) -> float | None:
    """The level above which this many voxels lie; None where none would."""
    count = round(voxels)
    if count < 1 or count >= field.size or field.max() <= 0.0:
        return None
    level = float(np.partition(field, field.size - count, axis=None)[field.size - count])
    return min(max(level, 1e-3), 0.999 * float(field.max()))


def _smoothed(vertices: FloatArray, faces: npt.NDArray[Any], volume_mm3: float) -> Surface:
    """The surface after Taubin's filter, moved along its normals to enclose the volume."""
    from trimesh.smoothing import filter_taubin

    mesh = _trimesh(Surface(vertices, faces))
    if mesh.volume < 0:
        mesh.invert()
    filter_taubin(mesh, lamb=0.5, nu=0.53, iterations=_STEPS)
    for _ in range(2):
        mesh.vertices += mesh.vertex_normals * (volume_mm3 - mesh.volume) / mesh.area
    return Surface(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def _trimesh(surface: Surface) -> Any:
    import trimesh

    return trimesh.Trimesh(surface.vertices_lps_mm, surface.faces, process=False)


def _material(colour: Colour) -> Any:
    from trimesh.visual.material import PBRMaterial

    return PBRMaterial(baseColorFactor=(*colour, 255), metallicFactor=0.0, roughnessFactor=0.7)


def nodes_of(
    labels: npt.NDArray[np.uint8],
    grid: Grid,
    box: tuple[slice, slice, slice],
    members: Mapping[str, tuple[int, Colour]],
) -> list[Node]:
    """Nodes of the values of a mask within a box.

    Args:
        labels: (i, j, k).
        grid: where they lie.
        box: that holds all of the values.
        members: name of a node -> value in the mask, and colour.
    """
    crop, part = grid.crop(box), labels[box]
    found = ((name, colour, surface_of(part == n, crop)) for name, (n, colour) in members.items())
    return [Node(name, colour, surface) for name, colour, surface in found if surface is not None]
