"""Surfaces of masks: closed, as large as the mask, where the mask is; read back by trimesh."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from vertseg.geometry.grid import Grid
from vertseg.io.mesh import Node, nodes_of, surface_of, write_glb, write_stl

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("skimage")

CENTRE = np.array([12.0, -40.0, 305.0])
GRIDS = {
    "1 mm": Grid.axis_aligned(CENTRE, (60, 60, 60), 1.0),
    "thick slices": Grid.axis_aligned(CENTRE, (80, 80, 14), (0.7, 0.7, 4.0)),
    "mirrored": Grid((50, 50, 50), np.array(
        [[-1.2, 0, 0, 42], [0, 0, -1.2, -10], [0, 1.2, 0, 275], [0, 0, 0, 1.0]]
    )),
}  # fmt: skip


def shape(grid: Grid) -> np.ndarray:
    """A ball with a thin rod, as a body with a process."""
    points = grid.index_to_lps(np.moveaxis(np.indices(grid.size), 0, -1)) - CENTRE
    ball = np.linalg.norm(points, axis=-1) <= 14.0
    rod = (np.hypot(points[..., 0], points[..., 2]) <= 2.5) & (np.abs(points[..., 1]) <= 24.0)
    return ball | (rod & (points[..., 1] > 0))


def as_trimesh(surface):
    return trimesh.Trimesh(surface.vertices_lps_mm, surface.faces, process=False)


@pytest.mark.parametrize("name", GRIDS)
def test_surfaces_are_closed_and_as_large_as_the_mask(name) -> None:
    grid = GRIDS[name]
    mask = shape(grid)
    mesh = as_trimesh(surface_of(mask, grid))
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(np.count_nonzero(mask) * grid.voxel_volume_mm3, rel=0.02)
    middle = grid.index_to_lps(np.argwhere(mask)).mean(axis=0)
    np.testing.assert_allclose(mesh.center_mass, middle, atol=0.3)
    assert mesh.bounds[1, 1] == pytest.approx(CENTRE[1] + 24.0, abs=2.0)  # the rod is whole


def test_a_mask_that_touches_its_box_is_closed_and_an_empty_one_has_none() -> None:
    grid = Grid.axis_aligned(CENTRE, (12, 10, 8), 1.0)
    mesh = as_trimesh(surface_of(np.ones(grid.size, bool), grid))
    assert mesh.is_watertight and mesh.volume == pytest.approx(960.0, rel=0.02)
    assert surface_of(np.zeros(grid.size, bool), grid) is None


def test_glb_names_and_colours_nodes_and_says_its_coordinates(tmp_path) -> None:
    grid = GRIDS["1 mm"]
    labels = np.where(shape(grid), np.uint8(20), np.uint8(0))
    whole = tuple(slice(0, n) for n in grid.size)
    nodes = nodes_of(labels, grid, whole, {"L1": (20, (0, 165, 75)), "L2": (21, (1, 2, 3))})
    assert [node.name for node in nodes] == ["L1"]
    write_glb(tmp_path / "x.glb", [*nodes, Node("L1 body", (255, 0, 0), nodes[0].surface)])
    scene = trimesh.load(tmp_path / "x.glb")
    assert set(scene.graph.nodes_geometry) == {"L1", "L1 body"}
    assert scene.geometry["L1"].volume == pytest.approx(np.count_nonzero(labels), rel=0.02)
    np.testing.assert_allclose(scene.geometry["L1"].center_mass[2], CENTRE[2], atol=0.3)
    data = (tmp_path / "x.glb").read_bytes()
    header = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
    assert header["scenes"][0]["extras"]["coordinates"] == "LPS"
    assert header["scenes"][0]["extras"]["units"] == "mm"
    colours = [m["pbrMetallicRoughness"]["baseColorFactor"] for m in header["materials"]]
    np.testing.assert_allclose(colours[0], [0, 165 / 255, 75 / 255, 1], atol=0.01)


def test_stl_is_read_back_and_its_header_says_lps(tmp_path) -> None:
    grid = GRIDS["thick slices"]
    surface = surface_of(shape(grid), grid)
    write_stl(tmp_path / "x.stl", surface)
    mesh = trimesh.load(tmp_path / "x.stl")
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(as_trimesh(surface).volume, rel=1e-4)
    assert b"SPACE=LPS" in (tmp_path / "x.stl").read_bytes()[:80]
