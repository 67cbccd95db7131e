"""Small scans of a few lumbar vertebrae with their truth, made in milliseconds."""

from pathlib import Path

import numpy as np

from tests.support.nifti_files import saved
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import write_centroids
from vertseg.io.mask import write_mask
from vertseg.io.read import read_image

LABELS = (20, 21, 22, 23)
SPACING_MM = 3.0
_SIZE = (34, 36, 60)


def make_scan(seed: int) -> tuple[np.ndarray, np.ndarray, list[Centroid], Grid]:
    """HU, mask, centroids and grid: blocks of bone, wider from level to level, with processes."""
    rng = np.random.default_rng(seed)
    grid = Grid.axis_aligned(rng.uniform(-20, 20, 3), _SIZE, (SPACING_MM,) * 3)
    index = np.stack(np.meshgrid(*map(np.arange, _SIZE), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(grid.index_to_lps(index) - grid.centre_lps_mm, -1, 0)
    hu = rng.normal(40, 8, _SIZE)
    hu[np.abs(x) > 36] -= 140  # fat
    hu[(np.abs(x) > 44) | (y < -46)] = -1000
    mask = np.zeros(_SIZE, np.uint8)
    centroids = []
    middle = rng.uniform(-8, 8, 2)
    lean, top = rng.uniform(-0.1, 0.1), 54 + rng.uniform(-3, 3)
    for row, label in enumerate(LABELS):
        height = top - 36.0 * row
        cx, cy = middle[0] + lean * height, middle[1]
        body = ((x - cx) / (14 + 3 * row)) ** 2 + ((y - cy + 10) / 14) ** 2 < 1
        process = (np.abs(x - cx) < 5) & (y - cy > 2) & (y - cy < 26)
        part = (body & (np.abs(z - height) < 13)) | (process & (np.abs(z - height + 4) < 8))
        hu[part] = rng.normal(420, 30, part.sum())
        mask[part] = label
        point = np.add(grid.centre_lps_mm, (cx, cy - 10, height))
        centroids.append(Centroid.at(label, point))
    sacrum = (np.abs(x - middle[0]) < 34) & (np.abs(y - middle[1]) < 12) & (z < top - 36 * 4 + 14)
    hu[sacrum] = 300
    return np.rint(hu).astype(np.int16), mask, centroids, grid


def write_scan(folder: Path, name: str, seed: int) -> None:
    """A scan, its mask and its centroids in the layout of VerSe'19."""
    hu, mask, centroids, grid = make_scan(seed)
    folder.mkdir(parents=True, exist_ok=True)
    scan = folder / f"{name}.nii.gz"
    saved(scan, hu, grid.affine_ras)
    write_mask(folder / f"{name}_seg.nii.gz", mask, read_image(scan))
    write_centroids(folder / f"{name}_ctd.json", centroids, grid, "verse19")
