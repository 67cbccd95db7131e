"""Parts of scans that are validated as scans of their own."""

import nibabel as nib
import numpy as np
import pytest

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import read_centroids, write_centroids
from vertseg.io.read import read_image
from vertseg.training.validate.parts import write_parts


@pytest.mark.parametrize("upwards", [True, False])
def test_parts_are_cut_between_vertebrae(tmp_path, upwards):
    """T9 to L1 at every 12 voxels of 2 mm; voxels hold their own height."""
    affine = np.diag([2.0, 2.0, 2.0 if upwards else -2.0, 1.0])
    array = np.broadcast_to(np.arange(100, dtype=np.int16), (8, 9, 100)).copy()
    grid = Grid.from_affine_ras(array.shape, affine)
    heights = np.array([86, 74, 62, 50, 38]) if upwards else np.array([13, 25, 37, 49, 61])
    points = grid.index_to_lps(np.stack([[4] * 5, [4] * 5, heights], axis=1))
    for folder in ("rawdata", "derivatives"):
        (tmp_path / "scans" / folder).mkdir(parents=True)
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "scans/rawdata/sub-A_ct.nii.gz")
    truth = [Centroid(16 + i, tuple(map(float, p))) for i, p in enumerate(points)]
    path = tmp_path / "scans/derivatives/sub-A_seg-subreg_ctd.json"
    write_centroids(path, truth, grid)
    write_parts(tmp_path / "scans", tmp_path / "parts", length=3)
    seen = {}
    for scan in sorted((tmp_path / "parts/rawdata").glob("*/*_ct.nii.gz")):
        image = read_image(scan)
        subject = scan.name.removesuffix("_ct.nii.gz")
        folder = tmp_path / "parts/derivatives" / subject
        found = read_centroids(folder / f"{subject}_seg-subreg_ctd.json", image.grid)[0]
        for centroid in found:
            expected = truth[centroid.label - 16].point_lps_mm
            np.testing.assert_allclose(centroid.point_lps_mm, expected, atol=0.01)
        ends = int(image.array.min()), int(image.array.max())
        seen[subject] = ([c.label for c in found], ends)
    lower, upper = ((0, 67), (56, 99)) if upwards else ((31, 99), (0, 42))
    assert seen == {"sub-AxT9": ([16, 17, 18], upper), "sub-AxT11": ([18, 19, 20], lower)}
