"""Centroid files of both formats, against known frames and against real masks."""

from __future__ import annotations

import json
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from tests.support.paths import DATA
from vertseg.errors import InputError
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import (
    Centroid,
    centroids_from_json,
    centroids_to_json,
    read_centroids,
    write_centroids,
)

ORIENTATIONS = [
    (axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
FILES = [
    *("ct/derivatives/sub-totalseg/sub-totalseg", "masks/derivatives/sub-verse004/sub-verse004"),
    *("masks/derivatives/sub-verse010/sub-verse010", "masks/derivatives/sub-gl003/sub-gl003"),
    "masks/derivatives/sub-gl017/sub-gl017",
]


def grid_of(axes=(0, 1, 2), signs=(1, 1, 1)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(axes)] * np.array(signs) * [0.5, 1.0, 2.0]
    affine[:3, 3] = [-30.0, 12.0, 200.0]
    return Grid.from_affine_ras((40, 60, 30), affine)


def pir_grid() -> Grid:
    """Axes towards P, I, R with spacings 0.5, 1, 2 mm, first voxel's centre at LPS 0, 0, 0."""
    affine_lps = np.zeros((4, 4))
    affine_lps[1, 0], affine_lps[2, 1], affine_lps[0, 2], affine_lps[3, 3] = 0.5, -1.0, -2.0, 1.0
    return Grid((40, 60, 30), affine_lps)


def test_verse20_holds_indices_of_the_stored_array() -> None:
    grid = pir_grid()
    assert grid.axis_codes() == ("P", "I", "R")
    point = grid.index_to_lps([12.5, 30.0, 7.0])
    assert centroids_to_json([Centroid(20, tuple(point))], grid) == [
        {"direction": ["P", "I", "R"]},
        {"label": 20, "X": 12.5, "Y": 30.0, "Z": 7.0},
    ]


def test_verse19_holds_mm_downwards_backwards_leftwards() -> None:
    grid = pir_grid()
    # 30 voxels of 1 mm down, 12.5 of 0.5 mm back; 7 of 2 mm towards the right of 29 in all.
    point = grid.index_to_lps([12.5, 30.0, 7.0])
    records = centroids_to_json([Centroid(20, tuple(point))], grid, "verse19")
    assert records == [{"label": 20, "X": 30.0, "Y": 6.2, "Z": 44.0}]


@pytest.mark.parametrize("fmt", ["verse20", "verse19"])
@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_round_trip_in_48_orientations(axes, signs, fmt) -> None:
    grid = grid_of(axes, signs)
    points = grid.index_to_lps([[3.0, 5.0, 7.0], [20.4, 33.3, 11.9]])
    centroids = [Centroid(n, tuple(p)) for n, p in zip((19, 28), points, strict=True)]
    back, seen = centroids_from_json(centroids_to_json(centroids, grid, fmt), grid)
    assert seen == fmt
    assert [c.label for c in back] == [19, 28] and back[1].name == "T13"
    np.testing.assert_allclose([c.point_lps_mm for c in back], points, atol=0.11)


def test_one_verse19_file_fits_every_orientation_of_one_scan() -> None:
    array = np.zeros((12, 10, 8), np.int16)
    base = nib.Nifti1Image(array, np.diag([-1.0, -2.0, 3.0, 1.0]))
    point = (4.0, 8.0, 9.0)
    reference = None
    for axes, signs in ORIENTATIONS:
        image = base.as_reoriented(np.stack([axes, signs], axis=1))
        grid = Grid.from_affine_ras(image.shape, image.affine)
        records = centroids_to_json([Centroid(1, point)], grid, "verse19")
        reference = reference or records
        assert records == reference


def test_direction_other_than_the_arrays_is_understood() -> None:
    grid = grid_of()  # axes towards R, A, S
    payload = [{"direction": ["S", "P", "R"]}, {"label": 3, "X": 4.0, "Y": 10.0, "Z": 7.0}]
    (centroid,), fmt = centroids_from_json(payload, grid)
    assert fmt == "verse20"
    np.testing.assert_allclose(grid.lps_to_index(centroid.point_lps_mm), [7.0, 49.0, 4.0])


@pytest.mark.parametrize("fmt", ["verse20", "verse19"])
def test_no_vertebra(tmp_path, fmt) -> None:
    path = tmp_path / "none_ctd.json"
    write_centroids(path, [], grid_of(), fmt)
    expected = [{"direction": ["R", "A", "S"]}] if fmt == "verse20" else []
    assert json.loads(path.read_text()) == expected
    assert read_centroids(path, grid_of()) == ([], fmt)


def test_zero_is_not_negative() -> None:
    text = json.dumps(centroids_to_json([Centroid(1, (0.0, 0.01, 0.01))], pir_grid()))
    assert "-0.0" not in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1, 2]",
        "not json",
        "[" * 100_000,
        '[{"direction": ["P", "I"]}]',
        '[{"direction": ["P", "A", "R"]}]',
        '[{"direction": "PIR"}, {"label": 1, "X": 1, "Y": 1, "Z": 1}]',
        '[{"label": 1, "X": 1, "Y": 1}]',
        '[{"label": 1, "X": null, "Y": 1, "Z": 1}]',
        '[{"label": 1, "X": NaN, "Y": 1, "Z": 1}]',
        '[{"label": 77, "X": 1, "Y": 1, "Z": 1}]',
        '[{"label": 1.5, "X": 1, "Y": 1, "Z": 1}]',
    ],
)
def test_bad_files_are_named(tmp_path, text) -> None:
    path = tmp_path / "bad_ctd.json"
    path.write_text(text)
    with pytest.raises(InputError, match="bad_ctd.json"):
        read_centroids(path, grid_of())


def test_missing_and_binary_files(tmp_path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_centroids(tmp_path / "absent.json", grid_of())
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not JSON"):
        read_centroids(tmp_path / "binary.json", grid_of())


@pytest.mark.skipif(not DATA.is_dir(), reason="data folder absent")
@pytest.mark.parametrize("fmt", ["verse20", "verse19"])
@pytest.mark.parametrize("subject", FILES)
def test_real_centroids_lie_in_their_vertebra(subject, fmt) -> None:
    mask = nib.load(DATA / f"{subject}_seg-vert_msk.nii.gz")
    labels = np.asarray(mask.dataobj)
    grid = Grid.from_affine_ras(mask.shape, mask.affine)
    centroids, seen = read_centroids(DATA / f"{subject}_seg-subreg_ctd.json", grid)
    assert seen == "verse20" and len(centroids) >= 5
    centroids, seen = centroids_from_json(centroids_to_json(centroids, grid, fmt), grid)
    assert seen == fmt
    for centroid in centroids:
        index = np.rint(grid.lps_to_index(centroid.point_lps_mm)).astype(int)
        # The middle of the atlas' ring lies in the canal or in the dens of the axis.
        allowed = {0, 2} if centroid.label == 1 else {centroid.label}
        assert int(labels[tuple(index)]) in allowed, centroid
