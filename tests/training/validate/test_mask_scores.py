"""Scores of masks by slices and metal, with networks and scans whose answers are known."""

import nibabel as nib
import numpy as np
import pytest

from models import PRESETS
from vertseg.errors import NoInputError
from vertseg.evaluate.cases import Annotation
from vertseg.evaluate.scores import VertebraScore
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.training.validate.cases import FACTORY, FIELDS, MARKS, THICK, write_case, write_cases
from vertseg.training.validate.mask_scores import (
    MaskScore,
    bodies_of_mask,
    mask_scores,
    read_mask_scores,
    score_from_truth,
)
from vertseg.training.validate.mask_tables import mask_tables

RADIUS_MM = 12.0
GRID = Grid.axis_aligned(np.zeros(3), (60, 60, 200), (2.0, 2.0, 2.0))


def test_metal_that_a_mask_leaves_out_is_counted():
    """A screw of 4 x 10 x 2 voxels of 5 mm3 in L1; the mask lacks a quarter of it."""
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    hu, truth = np.zeros((20, 30, 8), np.int16), np.zeros((20, 30, 8), np.uint8)
    truth[2:18, 5:25, 1:7] = 20
    hu[4:8, 6:16, 3:5] = 2500
    hu[4:8, 26:29, 3:5] = 2500  # its head outside
    found = truth.copy()
    found[4, :, :] = 0
    scores = [VertebraScore("a", 20, dice=0.9), VertebraScore("a", 21)]
    scan = Image.from_array(hu, affine)
    (row,) = mask_scores(scan, truth, found, scores)
    assert row.vertebra is scores[0] and row.slice_mm == 5.0
    assert (row.metal_mm3, row.missed_mm3, row.hole_mm3) == pytest.approx((400.0, 100.0, 0.0))
    assert mask_scores(scan, truth, None, scores)[0].missed_mm3 == pytest.approx(400.0)
    found[found == 20] = 19
    assert mask_scores(scan, truth, found, scores)[0].missed_mm3 == pytest.approx(400.0)


def test_a_tunnel_around_a_screw_is_a_hole_and_a_sunken_head_is_not():
    """Both are left out; the mask closes around the tunnel in the slices that cross it."""
    hu, truth = np.zeros((20, 30, 8), np.int16), np.zeros((20, 30, 8), np.uint8)
    truth[2:18, 5:25, 1:7] = 20
    hu[8:12, 8:25, 3:5] = 2500
    hu[2:5, 15:25, 5:7] = 2500
    scan, scores = (
        Image.from_array(hu, np.diag([1.0, 1.0, 5.0, 1.0])),
        [VertebraScore("a", 20, dice=0.9)],
    )
    (row,) = mask_scores(scan, truth, np.where(hu == 0, truth, 0), scores)
    assert row.missed_mm3 == row.metal_mm3
    assert row.hole_mm3 == pytest.approx(4 * 17 * 2 * 5.0)


def row(label, slice_mm, dice, metal=0.0, missed=0.0, case="a", hole=0.0):
    score = VertebraScore(case, label, dice=dice, hausdorff_mm=3.0, hausdorff95_mm=1.5)
    return MaskScore(score, slice_mm, metal, missed, hole)


def test_tables_tell_necks_thick_slices_and_metal_apart():
    rows = [
        row(3, 1.0, 0.9),
        row(3, 5.0, 0.7),
        row(4, 2.99999, 0.8, metal=12.0, missed=12.0),  # some bright voxels
        row(20, 1.5000001, 0.96, metal=200.0),
        row(21, 5.0, 0.94, metal=600.0, missed=60.0, case="b", hole=5.0),
    ]
    text = mask_tables(rows)
    for line in (
        "| all | 5 | 0.860 | 3.00 | 1.50 | - |",
        "| cervical | 3 | 0.800 |",
        "| slices <= 1.5 mm | 2 | 0.930 |",
        "| slices <= 1.5 mm, cervical | 1 | 0.900 |",
        "| slices of 3 mm (1.5 to 4) | 1 | 0.800 |",
        "| slices of 5 mm (above 4) | 2 | 0.820 |",
        "| slices of 5 mm (above 4), cervical | 1 | 0.700 |",
        "| metal inside | 2 | 0.950 |",
        "| C3 | 2 | 0.800 |",
        "| C4 | 1 | 0.800 |",
        "| lumbar | 2 | 800 | 60 | 7.5 | 5 | 60 (b, L2) |",
    ):
        assert line in text, line
    assert "thoracic" not in text
    assert "implants" not in mask_tables(rows[:3])


class BallNetwork:
    """Segments a ball around the point that the second input channel marks."""

    config = PRESETS["default"].segmentation

    def __call__(self, batch):
        grid = self.config.spacing_at(22)
        inside = np.exp(-0.5 * (RADIUS_MM / grid / self.config.sigma_px) ** 2)
        return (batch[..., 1:] > inside).astype(np.float32)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two scans of balls at L2 and L3; L4 is cut off and has no point."""
    folder = tmp_path_factory.mktemp("scans")
    grid = Grid.axis_aligned(np.zeros(3), (40, 40, 30), (2.0, 2.0, 4.5))
    points = {21: np.array([2.0, -4.0, 25.0]), 22: np.array([0.0, -2.0, -12.0])}
    places = grid.index_to_lps(np.moveaxis(np.indices(grid.size), 0, -1))
    mask = np.zeros(grid.size, np.uint8)
    for label, point in points.items():
        mask[np.linalg.norm(places - point, axis=-1) < RADIUS_MM] = label
    mask[:, :, :2] = 23
    hu = np.random.default_rng(0).integers(-200, 300, grid.size).astype(np.int16)
    hu[18:22, 18:20, 11:13] = 2800
    given = [Centroid.at(label, point) for label, point in points.items()]
    for name in ("factory000", "factory001"):
        write_case(folder, f"sub-{name}", hu, grid, given, mask)
    return folder


def test_masks_are_segmented_from_true_centroids(scans):
    rows = score_from_truth([scans, scans], BallNetwork(), only=["*001"])
    assert [(r.vertebra.case, r.vertebra.name) for r in rows] == [
        ("sub-factory001", "L2"),
        ("sub-factory001", "L3"),
    ] * 2
    assert all(r.vertebra.dice > 0.9 and r.slice_mm == pytest.approx(4.5) for r in rows)
    assert [r.metal_mm3 for r in rows[:2]] == [0.0, pytest.approx(16 * 18.0)]
    assert rows[1].missed_mm3 == 0.0
    assert len(score_from_truth([scans], BallNetwork())) == 4


def test_no_scan_that_is_asked_for_is_an_error(scans):
    with pytest.raises(NoInputError, match="that is asked for"):
        score_from_truth([scans], BallNetwork(), only=["extreme*"])


def test_written_results_are_scored_with_their_slices(scans, tmp_path):
    score = VertebraScore("sub-factory000", 22, dice=0.5)
    (kept,) = read_mask_scores(scans, scans, [score])
    assert kept.vertebra is score and kept.missed_mm3 == 0.0
    assert (kept.slice_mm, kept.metal_mm3) == pytest.approx((4.5, 16 * 18.0))
    other = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    nib.save(other, tmp_path / "sub-other_seg.nii.gz")
    (lost,) = read_mask_scores(scans, tmp_path, [score])
    assert lost.missed_mm3 == lost.metal_mm3 == kept.metal_mm3


def test_the_thick_set_shows_every_field_of_view_in_slices_of_3_and_5_mm():
    marks = [THICK.marks(number) for number in range(20)]
    assert {*marks} == {(field, mark) for field in FIELDS for mark in ("3 mm", "5 mm")}
    assert sum(mark == ("neck", "5 mm") for mark in marks) == 5


def test_cases_that_are_there_need_no_atlas(scans):
    write_cases(scans / "no such folder", scans, 2, FACTORY)
    assert (scans / MARKS).is_file()


def test_whole_vertebrae_of_a_mask_have_their_centres_on_any_grid():
    mask = np.zeros(GRID.size, np.uint8)
    mask[20:30, 20:40, 40:50] = 20
    mask[20:30, 20:40, 0:30] = 21
    turned = Grid.from_affine_ras(GRID.size, GRID.affine_ras[:, [0, 2, 1, 3]])
    for grid, centre in ((GRID, (24.5, 29.5, 44.5)), (turned, (24.5, 29.5, 44.5))):
        points = bodies_of_mask(Annotation(None, mask, grid))
        assert list(points) == [20]
        assert np.allclose(grid.lps_to_index(points[20]), centre, atol=0.3)
