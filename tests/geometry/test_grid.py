"""Grid geometry: exact maps between indices and the world, for any affine."""

from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import aff2axcodes

from vertseg.geometry.grid import Grid

ORIENTATIONS = [
    (axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def oriented(axes: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    """RAS affine of one of the 48 axis orientations, with spacings 0.7, 1.3, 3 mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(axes)] * np.array(signs) * [0.7, 1.3, 3.0]
    affine[:3, 3] = [-20.5, 33.0, 410.25]
    return affine


def oblique_sheared() -> np.ndarray:
    return np.array(
        [[0.7, 0.2, -0.1, 5], [-0.1, 1.2, 0.4, -70], [0.05, -0.3, 2.5, 3], [0, 0, 0, 1]]
    )


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_48_orientations_round_trip(axes: tuple[int, ...], signs: tuple[int, ...]) -> None:
    affine = oriented(axes, signs)
    grid = Grid.from_affine_ras((9, 8, 7), affine)
    index = np.random.default_rng(0).uniform(-5, 15, (20, 3))
    np.testing.assert_allclose(grid.lps_to_index(grid.index_to_lps(index)), index, atol=1e-9)
    ras = nib.affines.apply_affine(affine, index)
    np.testing.assert_allclose(grid.index_to_lps(index), ras * [-1, -1, 1], atol=1e-9)
    assert grid.axis_codes() == aff2axcodes(affine)
    np.testing.assert_allclose(grid.spacing, (0.7, 1.3, 3.0))
    np.testing.assert_allclose(grid.affine_ras, affine)


def test_sheared_affine_is_exact() -> None:
    affine = oblique_sheared()
    grid = Grid.from_affine_ras((5, 6, 7), affine)
    index = np.random.default_rng(1).uniform(-3, 9, (4, 5, 3))
    np.testing.assert_allclose(grid.lps_to_index(grid.index_to_lps(index)), index, atol=1e-9)
    np.testing.assert_allclose(grid.spacing, np.linalg.norm(affine[:3, :3], axis=0))
    assert grid.voxel_volume_mm3 == pytest.approx(np.linalg.det(affine[:3, :3]))


def test_world_is_that_of_itk(tmp_path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    affine = oriented((2, 0, 1), (1, -1, -1))
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), affine), tmp_path / "a.nii")
    image = sitk.ReadImage(str(tmp_path / "a.nii"))
    grid = Grid.from_affine_ras((4, 5, 6), affine)
    index = (1.5, 3.0, 2.25)
    physical = image.TransformContinuousIndexToPhysicalPoint(index)
    np.testing.assert_allclose(grid.index_to_lps(index), physical, atol=1e-4)


def test_axis_aligned_is_centred_on_the_middle_of_the_extent() -> None:
    grid = Grid.axis_aligned((10.0, -20.0, 30.0), (64, 64, 128), 8)
    assert grid.axis_codes() == ("L", "P", "S")
    np.testing.assert_allclose(grid.index_to_lps([31.5, 31.5, 63.5]), [10, -20, 30])
    assert grid.centre_lps_mm == pytest.approx((10, -20, 30))
    low, high = grid.bounds_lps_mm()
    np.testing.assert_allclose(high - low, [63 * 8, 63 * 8, 127 * 8])
    np.testing.assert_allclose((low + high) / 2, [10, -20, 30])
    assert Grid.axis_aligned((0, 0, 0), (2, 2, 2), (1, 2, 3)).spacing == (1, 2, 3)


def test_crop_keeps_the_world() -> None:
    grid = Grid.from_affine_ras((9, 8, 7), oblique_sheared())
    part = grid.crop((slice(2, 5), slice(1, None), slice(None, 4)))
    assert part.size == (3, 7, 4)
    np.testing.assert_allclose(part.index_to_lps([1, 1, 1]), grid.index_to_lps([3, 2, 1]))
    np.testing.assert_allclose(part.index_map_to(grid)[:3, 3], [2, 1, 0], atol=1e-9)


def test_contains_takes_in_the_outer_half_voxels() -> None:
    grid = Grid.axis_aligned((0, 0, 0), (3, 3, 3), 2)
    points = [(0, 0, 0), (2.9, 0, 0), (3.1, 0, 0), (0, -2.9, 2.9), (0, 0, -3.1)]
    assert grid.contains(points).tolist() == [True, True, False, True, False]


def test_equality_closeness_and_hash() -> None:
    grid, same = (Grid.axis_aligned((0, 0, 0), (3, 4, 5), 2) for _ in range(2))
    shifted = Grid.axis_aligned((1e-4, 0, 0), (3, 4, 5), 2)
    assert grid == same and hash(grid) == hash(same)
    assert grid != shifted and grid.is_close(shifted) and not grid.is_close(shifted, 1e-5)
    assert not grid.is_close(grid.crop((slice(2), slice(4), slice(5))))


def test_a_grid_cannot_be_changed() -> None:
    affine = np.eye(4)
    grid = Grid((2, 2, 2), affine)
    affine[0, 3] = 5
    assert grid.origin == (0, 0, 0)
    with pytest.raises(ValueError, match="read-only"):
        grid.affine_lps[0, 0] = 2


@pytest.mark.parametrize(
    ("size", "affine"),
    [
        ((0, 2, 2), np.eye(4)),
        ((2, 2), np.eye(4)),
        ((2, 2, 2), np.eye(3)),
        ((2, 2, 2), np.diag([1.0, 1, 0, 1])),
        ((2, 2, 2), np.diag([1.0, np.nan, 1, 1])),
        ((2, 2, 2), np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])),
        ((2, 2, 2), np.diag([1.0, 1, 1, 2])),
    ],
)
def test_impossible_grids_are_refused(size, affine) -> None:
    with pytest.raises(ValueError, match="must be"):
        Grid(size, affine)
