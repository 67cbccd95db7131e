"""The whole chain with the bundled weights on phantoms whose truth is known."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

import vertseg
from tests.support.paths import ROOT
from tests.support.small_windows import small_windows
from vertseg.geometry.grid import Grid
from vertseg.geometry.resampling import resample_array
from vertseg.io.mask import write_mask
from vertseg.phantom import make_phantom
from vertseg.stages import ALL_STAGES

LEVELS = ("L2", "L4")
SEED = 3


@pytest.fixture(scope="module")
def segmenter():
    return vertseg.Segmenter(device="cpu")


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(LEVELS, 2.0, SEED, field_mm=(160.0, 160.0), noise_hu=6.0)


@pytest.fixture(scope="module")
def expected(segmenter, phantom):
    return segmenter(phantom.image)


def centroids(result):
    return {v.label: np.array(v.point_lps_mm) for v in result.vertebrae}


def assert_same_vertebrae(result, expected, whole, tolerance_mm=1.0):
    """The vertebrae `whole` agree; what the border cuts may be left out of one and not of both."""
    found, wanted = centroids(result), centroids(expected)
    assert whole <= found.keys() & wanted.keys()
    for label in whole:
        assert np.linalg.norm(found[label] - wanted[label]) < tolerance_mm, label


def test_the_phantom_is_found_at_its_places(expected, phantom):
    assert expected.status == "ok"
    found = centroids(expected)
    for centroid in phantom.centroids:
        assert np.linalg.norm(found[centroid.label] - centroid.point_lps_mm) < 10, centroid.name
    for centroid in phantom.centroids:
        truth = phantom.labels == centroid.label
        assert (expected.labels[truth] > 0).mean() > 0.5, centroid.name


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return vertseg.Segmenter(small_windows(tmp_path_factory.mktemp("weights")), device="cpu")


@pytest.fixture(scope="module")
def upright(quick, phantom):
    """The result of windows that are small, on the scan as it was made; all three are there."""
    result = quick(phantom.image)
    assert centroids(result).keys() == {c.label for c in phantom.centroids}
    return result


def test_what_was_found_ahead_gives_the_same_result(quick, phantom, upright):
    """While another thread has the same scan segmented, too."""
    with ThreadPoolExecutor(1) as pool:
        meanwhile = pool.submit(quick, phantom.image)
        found = quick.locate(phantom.image)
        result = quick(phantom.image, found=found)
    for one in (result, meanwhile.result()):
        np.testing.assert_array_equal(one.labels, upright.labels)
        assert one.vertebrae == upright.vertebrae and one.warnings == upright.warnings
        assert one.seconds.keys() == upright.seconds.keys() == set(ALL_STAGES)


@pytest.mark.parametrize("axes", list(permutations(range(3))), ids=str)
def test_every_orientation_gives_the_same_vertebrae(axes, quick, phantom, upright, tmp_path):
    """From a file to a file: each voxel of the mask lies where it does in the upright scan."""
    affine = phantom.grid.affine_ras
    scan, mask = tmp_path / "a.nii", tmp_path / "a_seg.nii.gz"
    for flips in product((1, -1), repeat=3):
        ornt = np.array([[axis, flip] for axis, flip in zip(axes, flips, strict=True)], float)
        array = nib.orientations.apply_orientation(phantom.hu, ornt).astype(np.int16)
        turned = affine @ nib.orientations.inv_ornt_aff(ornt, phantom.hu.shape)
        nib.save(nib.Nifti1Image(array, turned), scan)
        image = vertseg.read_image(scan)
        result = quick(image)
        assert_same_vertebrae(result, upright, {c.label for c in phantom.centroids})
        write_mask(mask, result.labels, image)
        stored = nib.load(mask)
        np.testing.assert_allclose(stored.affine, turned, atol=1e-4)
        before = nib.orientations.apply_orientation(upright.labels, ornt)
        found = np.asarray(stored.dataobj)
        for label in centroids(upright):
            differ = (before == label) != (found == label)
            assert differ.sum() < 0.01 * (before == label).sum()


def test_an_oblique_scan_gives_the_same_vertebrae(segmenter, phantom, expected):
    angles = np.deg2rad([12.0, -9.0, 15.0])
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    turn = (
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    )
    size = (140, 140, 150)
    affine = np.eye(4)
    affine[:3, :3] = 1.6 * turn
    middle = 0.5 * (np.array(size) - 1)
    affine[:3, 3] = np.array(phantom.grid.centre_lps_mm) - affine[:3, :3] @ middle
    oblique = Grid(size, affine)
    hu = resample_array(phantom.hu, phantom.grid, oblique, outside=-1024.0)
    result = segmenter(vertseg.Image.from_array(hu, oblique.affine_ras))
    assert result.labels.shape == size
    found, wanted, away = centroids(result), centroids(expected), []
    for centroid in phantom.centroids:
        label = centroid.label
        away.append(np.linalg.norm(found[label] - wanted[label]))
    assert max(away) < 1.0


def test_two_runs_agree_to_the_byte(segmenter, phantom, expected):
    again = segmenter(phantom.image)
    assert again.labels.tobytes() == expected.labels.tobytes()
    assert centroids(again).keys() == centroids(expected).keys()


def test_no_vertebra_is_invented_in_water(segmenter):
    water = np.random.default_rng(0).normal(0, 8, (60, 60, 60)).astype(np.int16)
    result = segmenter(vertseg.Image.from_array(water, np.diag([4.0, 4.0, 4.0, 1.0])))
    assert result.status == "no_spine"
    assert not result.vertebrae and not result.labels.any()


def test_no_vertebra_is_invented_outside_the_body(segmenter):
    air = np.random.default_rng(0).normal(-1000, 8, (60, 60, 60)).astype(np.int16)
    result = segmenter(vertseg.Image.from_array(air, np.diag([4.0, 4.0, 4.0, 1.0])))
    assert result.status == "no_spine"


def test_processes_write_the_same_bytes(segmenter, phantom, tmp_path):
    """Mask and centroids of a process of its own, and the mask of this one."""
    image = nib.Nifti1Image(phantom.hu.astype(np.int16), phantom.grid.affine_ras)
    nib.save(image, tmp_path / "a.nii.gz")
    for name in ("1", "2"):
        command = [sys.executable, ROOT / "predict.py", "--device", "cpu"]
        command += ["--input", tmp_path / "a.nii.gz", "--output", tmp_path / name]
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env=os.environ)
    for name in ("a_seg.nii.gz", "a_ctd.json", "a_preview.png"):
        first, second = ((tmp_path / run / name).read_bytes() for run in ("1", "2"))
        assert first == second, name
    scan = vertseg.read_image(tmp_path / "a.nii.gz")
    write_mask(tmp_path / "here.nii.gz", segmenter(scan).labels, scan)
    assert (tmp_path / "here.nii.gz").read_bytes() == (tmp_path / "1/a_seg.nii.gz").read_bytes()


def body(size, spacing_mm, *parts):
    """HU of air and of cylinders and balls: (HU, radius mm, centre x, y, z or None) in turn."""
    index = np.indices(size) * spacing_mm
    hu = np.full(size, -1000.0)
    for value, radius, *centre in parts:
        away = [
            axis - place for axis, place in zip(index, centre, strict=True) if place is not None
        ]
        hu[np.linalg.norm(away, axis=0) < radius] = value
    noisy = hu + np.random.default_rng(0).normal(0, 12, size)
    affine = np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0])
    return vertseg.Image.from_array(noisy.astype(np.int16), affine)


def leg(x):
    """Skin and fat, muscle, cortical bone, marrow; and a knee."""
    layers = ((-100, 76), (50, 66), (1200, 18), (-50, 12))
    return [(hu, radius, x, 100, None) for hu, radius in layers] + [(250, 34, x, 100, 200)]


def head():
    """Scalp, skull, brain."""
    return [(hu, radius, 128, 128, 120) for hu, radius in ((20, 95), (1100, 88), (35, 80))]


@pytest.mark.parametrize(
    "image",
    [
        body((90, 50, 100), 4.0, *leg(100), *leg(260)),
        body((64, 64, 60), 4.0, *head()),
    ],
    ids=["legs", "head"],
)
def test_no_vertebra_is_invented_where_there_is_no_spine(segmenter, image):
    result = segmenter(image)
    assert result.status == "no_spine" and "no spine" in result.warnings[0]
    assert not result.vertebrae and not result.labels.any()


def cylinder(radius_mm):
    """A cylinder of bone in water."""
    return body((100, 100, 200), 2.0, (0, 1000, 100, 100, None), (400, radius_mm, 100, 100, None))


@pytest.mark.parametrize("radius_mm", [15, 25])
def test_a_cylinder_of_bone_is_no_spine_or_doubted(segmenter, radius_mm):
    result = segmenter.find(cylinder(radius_mm))
    assert result.status == "no_spine" or result.upside_down_possible


def test_a_scan_that_is_upside_down_is_doubted(segmenter):
    sample = vertseg.read_image(ROOT / "vertseg/data/sample/sub-phantom_ct.nii.gz")
    assert not segmenter.find(sample).upside_down_possible
    turned = np.diag([1.0, 1.0, -1.0, 1.0]) @ sample.grid.affine_ras
    result = segmenter.find(vertseg.Image.from_array(sample.array, turned))
    assert result.status == "no_spine" or result.upside_down_possible


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slices", [1, 3])
def test_a_few_slices_hold_no_whole_vertebra(segmenter, phantom, axis, slices):
    size = phantom.grid.size
    starts = [size[a] // 2 if a == axis else 0 for a in range(3)]
    counts = [slices if a == axis else size[a] for a in range(3)]
    box = tuple(slice(start, start + n) for start, n in zip(starts, counts, strict=True))
    part = vertseg.Image.from_array(phantom.hu[box], phantom.grid.crop(box).affine_ras)
    result = segmenter(part)
    assert result.labels.shape == tuple(counts)
    assert not result.vertebrae


def test_a_tiny_volume(segmenter, phantom):
    part = phantom.hu[36:44, 36:44, 36:44]
    part = part if part.min() != part.max() else part + np.arange(8)
    result = segmenter(vertseg.Image.from_array(part, np.diag([2.0, 2.0, 2.0, 1.0])))
    assert result.labels.shape == (8, 8, 8) and not result.vertebrae
