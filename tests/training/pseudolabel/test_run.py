"""Masks around given points: what the rules keep, what they throw out, and what is written."""

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from models import PRESETS
from vertseg.errors import NoInputError
from vertseg.geometry.centroid import Centroid
from vertseg.io.centroids import write_centroids
from vertseg.io.image import Image
from vertseg.io.read import read_image
from vertseg.training.pseudolabel.run import averaged_responses, label_around, pseudolabel
from vertseg.training.pseudolabel.sanity import Limits, judge, overlaps

CONFIG = PRESETS["default"].segmentation
POINTS = {
    20: np.array([-70.0, -70.0, 180.0]),
    21: np.array([-70.0, -70.0, 130.0]),
    22: np.array([-70.0, -70.0, 80.0]),
}


class BallNetwork:
    """The share of each voxel in a ball around the point that the second input channel marks."""

    config = CONFIG

    def __init__(self, radius_mm=20.0):
        self.radius = radius_mm / CONFIG.spacing_mm

    def __call__(self, batch):
        marker = np.maximum(batch[..., 1:], np.finfo(np.float32).tiny)
        away = CONFIG.sigma_px * np.sqrt(-2.0 * np.log(marker))
        return np.clip(0.5 + self.radius - away, 0.0, 1.0).astype(np.float32)


@pytest.fixture(scope="module")
def image():
    """Fat and muscle with balls of bone (radius 21 mm) at L1 and L2 and none at L3; 2.5 mm."""
    affine = np.diag([-2.5, -2.5, 2.5, 1.0])
    affine[:3, 3] = (140.0, 140.0, 0.0)
    rng = np.random.default_rng(0)
    hu = rng.normal(-60, 60, (56, 56, 100)).astype(np.int16)
    scan = Image.from_array(hu, affine)
    world = scan.grid.index_to_lps(np.moveaxis(np.indices(hu.shape), 0, -1))
    for label in (20, 21):
        hu[np.linalg.norm(world - POINTS[label], axis=-1) < 21] = 250
    return Image.from_array(hu, affine)


def reasons(labels):
    return {verdict.name: " ".join(verdict.reasons) for verdict in labels.verdicts}


def test_bone_is_kept_and_soft_tissue_is_not(image):
    found = label_around(image, POINTS, BallNetwork())
    words = reasons(found)
    assert words["L1"] == words["L2"] == "" and "HU" in words["L3"]
    assert set(np.unique(found.kept())) == {0, 20, 21}
    assert set(np.unique(found.labels)) == {0, 20, 21, 22}
    volume = next(v.volume_ml for v in found.verdicts if v.name == "L1")
    assert volume == pytest.approx(4 / 3 * np.pi * 2.0**3, rel=0.05)


def test_odd_sizes_and_overlaps_are_thrown_out(image):
    assert "ml, not" in reasons(label_around(image, POINTS, BallNetwork(10.0)))["L1"]
    near = {20: POINTS[20], 21: POINTS[20] - (0, 0, 25.0)}
    words = reasons(label_around(image, near, BallNetwork()))
    assert "shared with a neighbour" in words["L1"] and "shared with a neighbour" in words["L2"]
    at_the_end = {20: np.array([-70.0, -70.0, 240.0])}
    assert "cut by the border" in reasons(label_around(image, at_the_end, BallNetwork()))["L1"]
    nowhere = label_around(image, {20: np.array([-70.0, -70.0, 900.0])}, BallNetwork())
    assert reasons(nowhere)["L1"] == "no mask" and not nowhere.kept().any()


def test_pieces_metal_and_distance(image):
    whole = label_around(image, {20: POINTS[20]}, BallNetwork()).labels
    assert judge(image, whole, 20, POINTS[20], 0.0).kept
    assert judge(image, whole, 20, POINTS[20] + (35, 0, 0), 0.0).reasons == ("away from its point",)
    pieces = whole.copy()
    middle = int(np.argwhere(whole)[:, 2].mean())
    pieces[:, :, middle : middle + 1] = 0
    assert "in pieces" in judge(image, pieces, 20, POINTS[20], 0.0, Limits(off_mm=9)).reasons
    hu = image.array.copy()
    hu[(whole == 20) & (np.indices(hu.shape)[2] < middle)] = 3000
    screws = judge(Image.from_array(hu, image.grid.affine_ras), whole, 20, POINTS[20], 0.0)
    assert "metal" in screws.reasons
    assert judge(image, whole, 20, POINTS[20], 0.3).reasons == ("30% shared with a neighbour",)


def test_overlap_is_counted_between_neighbours_only(image):
    from vertseg.stages.segmentation import vertebra_responses

    points = [Centroid.at(20, POINTS[20]), Centroid.at(22, POINTS[20])]
    points.append(Centroid.at(21, POINTS[20] - (0, 0, 5)))
    responses = list(vertebra_responses(image, points, BallNetwork()))
    shares = overlaps(responses, 0.5)
    assert 0.7 < shares[20] < 0.9 and 0.7 < shares[22] < 0.9
    assert shares[21] == pytest.approx(shares[20], abs=0.05)


def test_masks_pictures_and_report_are_written(image, tmp_path):
    data, to = tmp_path / "data", tmp_path / "to"
    for name in ("sub-a", "sub-b"):
        scan = data / "rawdata" / name / f"{name}_ct.nii.gz"
        scan.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(image.array, image.grid.affine_ras), scan)
        centroids = [Centroid(label, tuple(point)) for label, point in POINTS.items()]
        truth = data / "derivatives" / name / f"{name}_seg-subreg_ctd.json"
        write_centroids(truth, centroids, image)
    (data / "rawdata/sub-b/sub-b_ct.nii.gz").write_bytes(b"nothing")
    report = pseudolabel([data], to, BallNetwork())
    assert [row["name"] for row in report["refused"]] == ["b"]
    (entry,) = report["cases"]
    assert [(row["name"], row["kept"]) for row in entry["vertebrae"]] == [
        ("L1", True), ("L2", True), ("L3", False)
    ]  # fmt: skip
    assert json.loads((to / "pseudolabels.json").read_text()) == json.loads(json.dumps(report))
    mask = to / "derivatives/sub-a/sub-a_seg-vert_msk.nii.gz"
    written = nib.load(mask)
    assert set(np.unique(np.asarray(written.dataobj))) == {0, 20, 21}
    grid = read_image(data / "rawdata/sub-a/sub-a_ct.nii.gz").grid
    np.testing.assert_allclose(written.affine, grid.affine_ras, atol=1e-3)
    assert len(json.loads(mask.with_name("sub-a_seg-subreg_ctd.json").read_text())) == 3
    picture = to / "pictures/a.png"
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5000
    with pytest.raises(NoInputError, match="no such scan"):
        pseudolabel([data, to], tmp_path / "again", BallNetwork(), only="a")


def test_limits_can_be_given(image):
    strict = replace(Limits(), volume=(0.9, 1.1))
    assert "ml, not" in reasons(label_around(image, POINTS, BallNetwork(), strict))["L1"]


class TippedNetwork(BallNetwork):
    """Sees the ball in three views of four, and in the fourth nothing."""

    calls = 0

    def __call__(self, batch):
        self.calls += 1
        return super().__call__(batch) * np.float32(self.calls % 4 != 0)


def test_views_are_brought_back_before_they_are_averaged(image):
    network = TippedNetwork()
    ((label, mean, grid),) = averaged_responses(image, [Centroid.at(20, POINTS[20])], network)
    assert (label, network.calls) == (20, 4)
    world = grid.index_to_lps(np.moveaxis(np.indices(grid.size), 0, -1))
    away = np.linalg.norm(world - POINTS[20], axis=-1)
    assert mean[away < 15] == pytest.approx(0.75, abs=0.01)
    assert not mean[away > 25].any()
