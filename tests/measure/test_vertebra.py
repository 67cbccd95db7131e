"""Measurements of vertebrae of known size, density and tilt."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from tests.support.paths import DATA
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.frames import SpineFrame, frames_along
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import read_centroids
from vertseg.io.image import Image
from vertseg.measure.angles import spine_angles
from vertseg.measure.body import measure_body
from vertseg.measure.border import border_faces, sides_of
from vertseg.measure.genant import genant_grade
from vertseg.measure.place import axial_axis, place_row
from vertseg.measure.rows import vertebra_rows
from vertseg.measure.vertebra import Heights, Measurement, measure_vertebrae
from vertseg.phantom import box_grid
from vertseg.stages.result import Vertebra

WIDTH, DEPTH, FRONT, BACK = 40.0, 30.0, 20.0, 26.0
CORE_HU, SHELL_HU = 150, 500


def height_at(share: float) -> float:
    """Height of the wedge at a share of its depth."""
    return FRONT + share * (BACK - FRONT)


def vertebra(local: np.ndarray, shrink_mm: float = 0.0) -> np.ndarray:
    """A wedge on an ellipse, and behind the canal a block for the arch; (..., 3) left, back, up."""
    left, back, up = np.moveaxis(local, -1, 0)
    ellipse = (left / (WIDTH / 2 - shrink_mm)) ** 2 + (back / (DEPTH / 2 - shrink_mm)) ** 2 <= 1
    body = ellipse & (np.abs(up) <= height_at(back / DEPTH + 0.5) / 2 - shrink_mm)
    arch = (np.abs(left) <= 20) & (back >= 31) & (back <= 45) & (np.abs(up) <= 10)
    return body | arch


def scan_of(frames: list[SpineFrame], affine_ras: np.ndarray, size) -> tuple[Image, np.ndarray]:
    grid = Grid.from_affine_ras(size, affine_ras)
    world = grid.index_to_lps(np.moveaxis(np.indices(size), 0, -1))
    hu, labels = np.full(size, -80, np.int16), np.zeros(size, np.uint8)
    hu[0] = 40
    for label, frame in enumerate(frames, 20):
        local = frame.from_lps(world)
        labels[vertebra(local)] = label
        hu[vertebra(local)] = SHELL_HU
        hu[vertebra(local, shrink_mm=3.0)] = CORE_HU
    return Image.from_array(hu, affine_ras), labels


AFFINES = {
    "upright": np.diag([1.0, 1.0, 1.0, 1.0]) + np.outer([1, 1, 1, 0], [0, 0, 0, -60.0]),
    "mirrored": np.diag([-1.2, 1.0, -0.9, 1.0]) + np.outer([1, -0.9, 1, 0], [0, 0, 0, 60.0]),
}


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("tilt", [0.0, 0.45])
def test_known_wedge(name: str, tilt: float) -> None:
    frame = SpineFrame.along([2.0, -3.0, 1.0], [0.1, tilt, 1.0])
    image, labels = scan_of([frame], AFFINES[name], (110, 125, 130))
    off = frame.to_lps([1.5, 2.0, -2.0])  # the network is a few mm off
    (row,) = measure_vertebrae(image, labels, [Centroid(20, tuple(off))])
    assert row.body is not None and row.heights is not None
    assert row.body.width_mm == pytest.approx(WIDTH, abs=2.0)
    assert row.body.depth_mm == pytest.approx(DEPTH, abs=1.5)
    assert row.heights.anterior_mm == pytest.approx(height_at(0.175), abs=1.2)
    assert row.heights.middle_mm == pytest.approx(height_at(0.5), abs=1.0)
    assert row.heights.posterior_mm == pytest.approx(height_at(0.825), abs=1.2)
    assert row.trabecular_hu == pytest.approx(CORE_HU, abs=1)
    assert row.body.frame.axes_lps[2] @ frame.axes_lps[2] > np.cos(np.radians(2.5))
    slope = np.degrees(np.arctan((BACK - FRONT) / 2 / DEPTH))
    between = np.degrees(np.arccos(row.body.upper_normal_lps @ row.body.lower_normal_lps))
    assert between == pytest.approx(2 * slope, abs=2.0)
    whole = np.count_nonzero(labels) * image.grid.voxel_volume_mm3 / 1000
    assert row.volume_ml == pytest.approx(whole)
    assert row.touches_border == "" and not row.cut_off and row.centroid_in_mask


def test_a_vertebra_that_is_cut_off_has_no_heights() -> None:
    frame = SpineFrame.along([0.0, 0.0, 66.0], [0.0, 0.0, 1.0])
    image, labels = scan_of([frame], AFFINES["upright"], (120, 125, 130))
    (row,) = measure_vertebrae(image, labels, [Centroid(20, (0.0, 0.0, 62.0))])
    assert row.touches_border == "S" and row.cut_off
    assert row.heights is None and row.volume_ml > 0


def test_thick_slices_give_no_heights_but_a_density() -> None:
    frame = SpineFrame.along([0.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    affine = np.diag([1.0, 1.0, 4.0, 1.0]) + np.outer([1, 1, 1, 0], [0, 0, 0, -60.0])
    image, labels = scan_of([frame], affine, (120, 125, 31))
    (row,) = measure_vertebrae(image, labels, [Centroid(20, (0.0, 0.0, 0.0))])
    assert row.heights is None
    assert row.trabecular_hu == pytest.approx(CORE_HU, abs=1)


@pytest.mark.parametrize(("hole", "held"), [(2, True), (4, False)])
def test_a_small_hole_at_the_centroid_does_not_count(hole: int, held: bool) -> None:
    frame = SpineFrame.along([0.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    image, labels = scan_of([frame], AFFINES["upright"], (120, 125, 110))
    i, j, k = np.rint(image.grid.lps_to_index((0.0, 0.0, 0.0))).astype(int)
    reach = np.ceil(hole / np.array(image.grid.spacing)).astype(int) - 1
    labels[tuple(slice(c - r, c + r + 1) for c, r in zip((i, j, k), reach, strict=True))] = 0
    (row,) = measure_vertebrae(image, labels, [Centroid(20, (0.0, 0.0, 0.0))])
    assert row.centroid_in_mask == held


def test_a_vertebra_without_mask_is_all_none() -> None:
    image, labels = scan_of([], AFFINES["upright"], (20, 20, 20))
    (row,) = measure_vertebrae(image, labels, [Centroid(20, (0.0, 0.0, 0.0))])
    assert row.volume_ml == 0 and not row.centroid_in_mask
    assert row.trabecular_hu is None and row.heights is None and row.body is None


def test_a_ring_has_no_body() -> None:
    frame = SpineFrame.along([0.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    image, labels = scan_of([frame], AFFINES["upright"], (120, 125, 130))
    labels[labels == 20] = 1
    (row,) = measure_vertebrae(image, labels, [Centroid(1, (0.0, 0.0, 0.0))])
    assert row.body is None and row.volume_ml > 0


@pytest.mark.parametrize(
    ("box", "sides"),
    [
        ((slice(0, 3), slice(2, 10), slice(1, 9)), "RA"),
        ((slice(1, 10), slice(2, 9), slice(0, 10)), "LSI"),
    ],
)
def test_sides_follow_the_orientation_of_the_axes(box, sides) -> None:
    grid = Grid.from_affine_ras((10, 10, 10), np.diag([-1.0, 1.0, -1.0, 1.0]))  # L, A, I
    values = np.zeros(grid.crop(box).size, np.int16)
    assert sides_of(border_faces(values, values == 0, box, grid)) == sides


# The same wedge as above; its spinous process hangs far below its body, as in the thorax.
HANGING = (-5.0, 5.0), (38.0, 45.0), (-30.0, 0.0)
BODY_CUTS = {  # a place in mm left, back and up of the body's middle, and whether it cuts the body
    "L": [(13.0, True), (22.5, False)],
    "R": [(-13.0, True), (-22.5, False)],
    "A": [(-8.0, True), (-17.0, False)],
    "P": [(8.0, True), (17.0, False), (41.0, False)],
    "S": [(8.0, True), (15.0, False)],
    "I": [(-8.0, True), (-24.0, False)],
}


@pytest.mark.parametrize(("name", "padded"), [("upright", False), ("mirrored", True)])
@pytest.mark.parametrize(
    ("side", "place", "cut"), [(side, *case) for side, cases in BODY_CUTS.items() for case in cases]
)
def test_only_a_body_that_the_border_cuts_is_cut_off(name, padded, side, place, cut) -> None:
    image, labels = scan_of(
        [SpineFrame.along((0, 0, 0), (0, 0, 1))], AFFINES[name], (110, 125, 115)
    )
    world = image.grid.index_to_lps(np.moveaxis(np.indices(labels.shape), 0, -1))
    process = [
        (low <= world[..., n]) & (world[..., n] <= high) for n, (low, high) in enumerate(HANGING)
    ]
    labels[np.logical_and.reduce(process)] = 20
    axis = "LRAPSI".index(side) // 2
    seen = (world[..., axis] <= place) if side in "LPS" else (world[..., axis] >= place)
    if padded:
        image = Image.from_array(np.where(seen, image.array, -1024), image.grid.affine_ras)
        labels = np.where(seen, labels, np.uint8(0))
    else:
        kept = np.argwhere(seen)
        box = tuple(
            slice(a, b + 1) for a, b in zip(kept.min(axis=0), kept.max(axis=0), strict=True)
        )
        image = Image.from_array(image.array[box], image.grid.crop(box).affine_ras)
        labels = np.asfortranarray(labels[box])
    places = [Vertebra(20, (0.0, 0.0, 0.0), 0.9, voxels=1)]
    (row,) = measure_vertebrae(image, labels, places)
    assert row.cut_off == cut
    assert not cut or side in row.touches_border
    (cells,) = vertebra_rows(image.grid, places, [row])
    sizes = [
        value for cell, value in cells.items() if cell.endswith(("height_mm", "_deg", "_ratio"))
    ]
    assert len(sizes) == 9
    for value in (*sizes, cells["body_width_mm"], cells["body_depth_mm"]):
        assert (value is None) == cut
    if not cut:
        assert cells["body_width_mm"] == pytest.approx(WIDTH, abs=2.0)
        assert cells["posterior_height_mm"] == pytest.approx(height_at(0.825), abs=1.2)


def test_lordosis_and_coronal_angle_of_a_known_chain() -> None:
    tilts = np.radians([12.0, 3.0, -6.0, -15.0, -24.0])  # normals lean back, then forward
    frames = [
        SpineFrame.along([0.0, 0.0, 80.0 - 40.0 * n], [0.0, np.sin(tilt), np.cos(tilt)])
        for n, tilt in enumerate(tilts)
    ]
    affine = np.diag([1.5, 1.5, 1.5, 1.0]) + np.outer([1, 1, 1.3, 0], [0, 0, 0, -80.0])
    image, labels = scan_of(frames, affine, (80, 90, 140))
    places = [Centroid(n, tuple(frame.origin_lps_mm)) for n, frame in enumerate(frames, 20)]
    angles = {angle.name: angle for angle in spine_angles(measure_vertebrae(image, labels, places))}
    wedge = np.degrees(2 * np.arctan((BACK - FRONT) / 2 / DEPTH))
    # From L1's upper end plate to L5's lower one; the wedges are lower in front: kyphotic.
    assert angles["lumbar lordosis"].degrees == pytest.approx(36.0 - wedge, abs=3.0)
    assert angles["largest coronal angle"].degrees < 3.0
    assert "thoracic kyphosis" not in angles


def row_of(label: int, front: float, middle: float, back: float) -> Measurement:
    heights = Heights(front, middle, back)
    return Measurement(label, 40.0, 150.0, 20.0, "", heights, None, 0.0, True)


def test_genant_grades() -> None:
    sound = row_of(19, 24.0, 22.0, 25.0)
    assert genant_grade(sound, [sound, sound]) == 0
    assert genant_grade(row_of(19, 19.0, 20.0, 25.0)) == 1  # wedge
    assert genant_grade(row_of(19, 17.0, 20.0, 25.0)) == 2
    assert genant_grade(row_of(19, 14.0, 20.0, 25.0)) == 3
    assert genant_grade(row_of(19, 24.0, 16.0, 25.0)) == 2  # biconcave: 0.64 of 0.9
    assert genant_grade(row_of(19, 16.0, 14.5, 16.5), [sound, sound]) == 2  # crush
    assert genant_grade(row_of(3, 10.0, 10.0, 20.0)) is None


def test_frames_follow_the_chain() -> None:
    points = [(0.0, 0.0, 60.0), (0.0, 10.0, 30.0), (0.0, 20.0, 0.0)]
    for frame in frames_along(points):
        assert frame.axes_lps[2] == pytest.approx(np.array([0, -10, 30]) / np.sqrt(1000))
        assert frame.axes_lps @ frame.axes_lps.T == pytest.approx(np.eye(3))
        assert np.linalg.det(frame.axes_lps) == pytest.approx(1.0)
        assert frame.from_lps(frame.to_lps([1.0, 2.0, 3.0])) == pytest.approx([1.0, 2.0, 3.0])
    assert frames_along([(1.0, 2.0, 3.0)])[0].axes_lps == pytest.approx(np.eye(3))


def test_a_real_mask_shows_its_known_fracture() -> None:
    stem = DATA / "masks" / "derivatives" / "sub-verse004" / "sub-verse004"
    if not stem.parent.is_dir():
        pytest.skip("needs the data folder")
    stored = nib.load(f"{stem}_seg-vert_msk.nii.gz")
    labels = np.asarray(stored.dataobj).astype(np.uint8)
    image = Image.from_array((labels > 0) * 300 - 90, stored.affine)
    found, _ = read_centroids(f"{stem}_seg-subreg_ctd.json", image)
    places = [Centroid(c.label, c.point_lps_mm) for c in found if c.label <= 25]
    rows = measure_vertebrae(image, labels, places)
    grades = {
        row.label: genant_grade(row, [rows[m] for m in (n - 1, n + 1) if 0 <= m < len(rows)])
        for n, row in enumerate(rows)
    }
    assert grades[20] == 3  # L1, 12 mm of height between 24 and 26 mm
    assert all(grade in (0, None) for label, grade in grades.items() if label != 20)
    heights = {row.label: row.heights for row in rows}
    assert heights[21] is not None and heights[21].posterior_mm == pytest.approx(26.5, abs=1.5)
    lordosis = {angle.name: angle.degrees for angle in spine_angles(rows)}["lumbar lordosis"]
    assert 10 < lordosis < 70


@pytest.mark.parametrize("codes", ["LPS", "PIR", "RAI"])
def test_the_axial_slice_and_the_box_count_voxels_of_the_stored_scan(codes) -> None:
    grid = box_grid(np.zeros(3), np.array([30.0, 40.0, 50.0]), (1.0, 2.0, 2.5), codes)
    axis = axial_axis(grid)
    assert codes[axis] in "SI"
    point = grid.index_to_lps([3.2, 4.2, 5.2])
    row = place_row(tuple(point), (slice(1, 4), slice(2, 9), slice(5, 6)), grid)
    assert row["axial_slice"] == (3, 4, 5)[axis]
    assert (row["box_first"], row["box_last"]) == ([1, 2, 5], [3, 8, 5])
    assert place_row(tuple(point), None, grid)["box_first"] is None


@pytest.mark.parametrize("depth", [1, 2, 4, 7])
def test_a_mask_too_thin_for_a_body_has_none(depth: int) -> None:
    grid = Grid.axis_aligned((0.0, 0.0, 0.0), (60, 60, 60), 1.0)
    mask = np.zeros(grid.size, bool)
    mask[10:50, 30 - depth // 2 : 30 - depth // 2 + depth, 15:45] = True
    frame = SpineFrame.along((0.5, 0.2, 0.0), (0.0, 0.0, 1.0))
    assert measure_body(mask, grid, frame) is None
