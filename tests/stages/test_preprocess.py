"""Resampling against analytic truth, scipy, and limits of memory and time."""

from __future__ import annotations

import time
import tracemalloc
from itertools import permutations, product

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from vertseg.geometry.boxes import paste_region
from vertseg.geometry.grid import Grid
from vertseg.geometry.resampling import resample_array
from vertseg.io.image import Image
from vertseg.stages.preprocess import resample, resample_to

ORIENTATIONS = [
    (axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
SOME = [
    *("(0, 1, 2)(1, 1, 1)", "(2, 0, 1)(-1, 1, -1)", "(1, 2, 0)(1, -1, 1)"),
    *("oblique", "mirrored oblique", "sheared"),
]
SLOPE_HU_PER_MM = np.array([3.0, -2.0, 5.0])


def grid_with(matrix: np.ndarray, size=(40, 44, 36)) -> Grid:
    """A grid whose middle lies at LPS (5, -7, 11)."""
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = np.array([5.0, -7.0, 11.0]) - matrix @ ((np.array(size) - 1) / 2)
    return Grid(size, affine)


def matrices() -> dict[str, np.ndarray]:
    """Index-to-world matrices of all kinds."""
    rotation = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    slight = Rotation.from_euler("xyz", [0.5, -0.3, 0.2], degrees=True).as_matrix()
    shear = np.array([[1, 0, 0.3], [0.1, 1, -0.2], [0, 0, 1.0]])
    oriented = {
        f"{axes}{signs}": np.eye(3)[:, list(axes)] * np.array(signs) * [0.8, 1.1, 1.7]
        for axes, signs in ORIENTATIONS
    }
    return oriented | {
        "oblique": rotation @ np.diag([0.8, 1.1, 1.7]),
        "slightly oblique": slight @ np.diag([0.8, 1.1, 1.7]),
        "mirrored oblique": rotation @ np.diag([-0.8, 1.1, 1.7]),
        "sheared": shear @ np.diag([0.8, 1.1, 1.7]),
        "sheared oblique": rotation @ shear @ np.diag([0.8, 1.1, 1.7]),
    }


def ramp(grid: Grid) -> np.ndarray:
    """A function linear in the world, 40 HU at the grids' common middle."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.size), indexing="ij"), axis=-1)
    offset = grid.index_to_lps(index) - [5.0, -7.0, 11.0]
    return (40 + offset @ SLOPE_HU_PER_MM).astype(np.float32)


@pytest.mark.parametrize("sigma_mm", [0.0, 0.75])
@pytest.mark.parametrize("name", matrices())
def test_linear_ramp_is_exact_under_any_affine(name: str, sigma_mm: float) -> None:
    source = grid_with(matrices()[name])
    image = Image.from_array(ramp(source), source.affine_ras)
    target = Grid.axis_aligned((5.0, -7.0, 11.0), (9, 8, 7), 1.5)
    found = resample(image, target, sigma_mm, normalise=False)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, ramp(target), atol=2e-3)


@pytest.mark.parametrize(
    ("spacing_mm", "size"),
    [
        ((0.2, 0.2, 0.2), (100, 100, 90)),
        ((0.2, 0.2, 8.0), (100, 100, 5)),
        ((0.9, 0.9, 5.0), (30, 30, 6)),
        ((8.0, 8.0, 8.0), (6, 6, 6)),
    ],
    ids=str,
)
@pytest.mark.parametrize("sigma_mm", [0.0, 0.75])
def test_linear_ramp_is_exact_for_small_and_large_voxels(spacing_mm, size, sigma_mm) -> None:
    source = grid_with(np.diag(spacing_mm) * [-1, -1, 1], size)
    image = Image.from_array(ramp(source), source.affine_ras)
    target = Grid.axis_aligned((5.0, -7.0, 11.0), (9, 8, 7), 1.5)
    found = resample(image, target, sigma_mm, normalise=False)
    np.testing.assert_allclose(found, ramp(target), atol=2e-3)


def test_a_scan_for_two_threads_has_no_seam() -> None:
    """More than 8 million voxels, and an odd number of planes: each plane is seen, and once."""
    grid = Grid((260, 260, 121), np.eye(4))
    array = np.broadcast_to(np.arange(121, dtype=np.float32), grid.size)
    found = resample_array(array, grid, Grid((3, 3, 121), np.diag([80.0, 80.0, 1.0, 1.0])))
    np.testing.assert_array_equal(found, array[:3, :3])


def test_normalised_values() -> None:
    source = grid_with(np.eye(3))
    values = np.zeros(source.size, np.int16)
    values[:10], values[10:20], values[20:30] = 1024, -3024, 12000
    image = Image.from_array(values, source.affine_ras)
    found = resample(image, source, 0.0)
    assert [found[i, 5, 5] for i in (5, 15, 25, 35)] == [0.5, -0.5, 1.0, 0.0]


@pytest.mark.parametrize("name", SOME)
def test_outside_is_air(name: str) -> None:
    source = grid_with(matrices()[name], (20, 20, 12))
    image = Image.from_array(np.where(ramp(source) > 40, 100, 101), source.affine_ras)
    target = Grid.axis_aligned((5.0, -7.0, 11.0), (40, 40, 40), 2.0)
    found = resample(image, target, 0.75)
    index = np.stack(np.meshgrid(*map(np.arange, target.size), indexing="ij"), axis=-1)
    inside = source.contains(target.index_to_lps(index))
    assert inside.any() and not inside.all()
    np.testing.assert_array_equal(found[~inside], -0.5)
    np.testing.assert_allclose(found[inside], 100.5 / 2048, atol=0.6 / 2048)
    away = Grid.axis_aligned((900.0, 0, 0), (4, 4, 4), 2.0)
    assert (resample(image, away) == -0.5).all()


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("sigma_mm", [0.75, 2.0])
def test_smoothing_is_that_of_scipy(name: str, sigma_mm: float) -> None:
    source = grid_with(matrices()[name], (30, 26, 22))
    values = np.random.default_rng(0).integers(-1500, 1500, source.size).astype(np.int16)
    image = Image.from_array(values, source.affine_ras)
    smooth = ndimage.gaussian_filter(
        np.maximum(values, -1024).astype(float), sigma_mm / np.array(source.spacing), mode="nearest"
    )
    target = Grid.axis_aligned((5.0, -7.0, 11.0), (12, 11, 30), (1.3, 2.1, 0.9))
    index = np.stack(np.meshgrid(*map(np.arange, target.size), indexing="ij"))
    points = source.lps_to_index(target.index_to_lps(np.moveaxis(index, 0, -1)))
    expected = ndimage.map_coordinates(smooth, np.moveaxis(points, -1, 0), order=1, mode="nearest")
    expected[~source.contains(target.index_to_lps(np.moveaxis(index, 0, -1)))] = -1024
    found = resample(image, target, sigma_mm, normalise=False)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_both_ways_of_sampling_agree() -> None:
    """A turn that is just too large, and one just small enough, to count as parallel."""
    values = np.random.default_rng(1).normal(0, 300, (30, 30, 30)).astype(np.float32)
    source = grid_with(np.diag([0.9, 1.1, 1.3]), (30, 30, 30))
    found = []
    for angle in (1e-6, 1e-4):
        turn = Rotation.from_euler("z", angle).as_matrix()
        target = grid_with(turn @ np.diag([1.0, 2.0, 1.2]), (20, 10, 20))
        found.append(resample_array(values, source, target, 0.75))
    np.testing.assert_allclose(found[0], found[1], atol=0.5)


def test_the_same_place_is_found_in_every_orientation() -> None:
    source = grid_with(np.diag([1.0, 1.0, 1.0]), (24, 24, 24))
    values = np.random.default_rng(2).integers(-1000, 1000, source.size).astype(np.int16)
    target = Grid.axis_aligned((4.0, -6.0, 12.0), (10, 12, 8), 1.3)
    expected = resample(Image.from_array(values, source.affine_ras), target)
    for axes, signs in ORIENTATIONS:
        turned = np.transpose(values, axes)[tuple(slice(None, None, s) for s in signs)]
        matrix = np.eye(3)[:, list(axes)] * np.array(signs)
        grid = grid_with(matrix, (24, 24, 24))
        found = resample(Image.from_array(turned, grid.affine_ras), target)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 40, 1), (1, 40, 40), (8, 8, 8), (40, 1, 40)])
def test_thin_volumes_reach_half_a_voxel(shape) -> None:
    spacing = np.where(np.array(shape) == 1, 5.0, 1.0)
    source = grid_with(np.diag(spacing), shape)
    values = np.full(shape, 200, np.int16)
    values[0, 0, 0] = 0
    image = Image.from_array(values, source.affine_ras)
    found = resample(image, Grid.axis_aligned((5.0, -7.0, 11.0), (5, 5, 5), 1.0), 0.75, False)
    np.testing.assert_allclose(found, 200, atol=1)


@pytest.mark.parametrize("name", SOME)
def test_response_returns_to_its_place(name: str) -> None:
    scan = grid_with(matrices()[name], (60, 50, 40))
    crop = Grid.axis_aligned((9.0, -10.0, 6.0), (16, 12, 14), 1.0)
    box = paste_region(scan, crop)
    pasted = resample_to(ramp(crop), crop, scan, box)
    assert pasted.shape == tuple(s.stop - s.start for s in box)
    whole = resample_to(ramp(crop), crop, scan)
    np.testing.assert_allclose(whole[box], pasted, atol=1e-3)
    whole[box] = 0
    assert not whole.any()  # nothing lies outside the box
    index = np.stack(np.meshgrid(*map(np.arange, scan.size), indexing="ij"), axis=-1)[box]
    in_crop = crop.lps_to_index(scan.index_to_lps(index))
    interior = ((in_crop >= 0) & (in_crop <= np.array(crop.size) - 1)).all(axis=-1)
    assert interior.sum() > 500
    np.testing.assert_allclose(pasted[interior], ramp(scan)[box][interior], atol=2e-3)
    assert (pasted[~crop.contains(scan.index_to_lps(index))] == 0).all()


def test_crop_that_hangs_over_the_edge_or_lies_outside() -> None:
    scan = grid_with(np.eye(3), (20, 20, 20))
    corner = Grid.axis_aligned(scan.origin, (10, 10, 10), 1.0)
    box = paste_region(scan, corner)
    assert box == (slice(0, 6), slice(0, 6), slice(0, 6))
    assert resample_to(np.ones((10, 10, 10)), corner, scan, box).min() == 1
    away = Grid.axis_aligned((500.0, 0.0, 0.0), (10, 10, 10), 1.0)
    box = paste_region(scan, away)
    assert resample_to(np.ones((10, 10, 10)), away, scan, box).size == 0


def test_arguments_are_checked() -> None:
    grid = grid_with(np.eye(3), (4, 4, 4))
    with pytest.raises(ValueError, match="size"):
        resample_array(np.zeros((4, 4, 5)), grid, grid)
    with pytest.raises(ValueError, match="sigma_mm"):
        resample_array(np.zeros((4, 4, 4)), grid, grid, -1.0)


def big_image(matrix: np.ndarray) -> Image:
    """512 x 512 x 600 voxels of int16."""
    size = (512, 512, 600)
    flat = np.resize(np.arange(-1000, 1000, dtype=np.int16), int(np.prod(size)))
    grid = grid_with(matrix, size)
    small = Image.from_array(np.arange(8).reshape(2, 2, 2), grid.affine_ras)
    return Image(flat.reshape(size, order="F"), grid, small.stored)


def seconds_of_a_sum(image: Image) -> float:
    """Processor seconds that it takes to read every voxel once."""
    start = time.process_time()
    for k in range(image.grid.size[2]):
        image.array[:, :, k].astype(np.float32).sum()
    return time.process_time() - start


@pytest.mark.parametrize(
    ("kind", "size", "spacing"),
    [
        ("parallel", (64, 64, 128), 8.0),
        ("parallel", (80, 80, 64), 1.5),
        ("oblique", (80, 80, 64), 1.5),
    ],
)
def test_large_scans_need_little_memory_and_few_looks_at_each_voxel(kind, size, spacing) -> None:
    turn = np.eye(3) if kind == "parallel" else matrices()["oblique"] / [0.8, 1.1, 1.7]
    image = big_image(turn @ np.diag([-0.7, -0.7, 1.0]))
    target = Grid.axis_aligned((5.0, -7.0, 11.0), size, spacing)
    once = seconds_of_a_sum(image)
    tracemalloc.start()
    start = time.process_time()
    found = resample(image, target)
    took, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.shape == size
    assert peak < 200 << 20  # the scan itself takes 300 MiB, in float64 1200
    assert took < 25 * once
