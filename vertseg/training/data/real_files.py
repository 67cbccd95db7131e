"""Real scans and masks on isotropic grids, from their files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from models.presets import VERTEBRA_CHANNELS
from vertseg.geometry.grid import Grid
from vertseg.io.annotations import read_mask, read_points
from vertseg.io.image import Image
from vertseg.io.read import read_image
from vertseg.stages.preprocess import resample
from vertseg.training.data.body_centre import body_centre
from vertseg.training.recipe import PRESMOOTHING
from vertseg.training.volumes import RealVolume


def read_scans(data: Path, spacing_mm: float, hold_out: Collection[str]) -> list[RealVolume]:
    """Scans of ``ct/`` in BIDS layout that have points, at `spacing_mm`."""
    scans = []
    for path in sorted(data.glob("ct/rawdata/sub-*/*_ct.nii.gz")):
        name = path.parent.name.removeprefix("sub-")
        points = data / "ct/derivatives" / path.parent.name / f"sub-{name}_seg-subreg_ctd.json"
        if name in hold_out or not points.exists():
            continue
        image = read_image(path)
        landmarks = landmarks_in(read_points(points, image.grid), image.grid, spacing_mm)
        scans.append(RealVolume(name, scan_volume(image, spacing_mm), landmarks))
    return scans


def read_masks(data: Path, spacing_mm: float, hold_out: Collection[str]) -> list[RealVolume]:
    """Vertebra masks of ``masks/`` at `spacing_mm`, nearest label; landmarks of whole vertebrae."""
    masks = []
    for path in sorted(data.glob("masks/derivatives/sub-*/*_msk.nii.gz")):
        name = path.parent.name.removeprefix("sub-")
        if name in hold_out:
            continue
        labels, source = read_mask(path)
        volume = label_volume(labels, source, source, spacing_mm)
        landmarks = whole_vertebrae(volume)
        points = path.with_name(f"sub-{name}_seg-subreg_ctd.json")
        if points.exists():
            given = landmarks_in(read_points(points, source), source, spacing_mm)
            landmarks = {label: given[label] for label in landmarks if label in given}
        masks.append(RealVolume(name, volume, landmarks))
    return masks


def isotropic(grid: Grid, spacing_mm: float) -> Grid:
    """A grid with axes towards L, P, S round `grid`."""
    low, high = grid.bounds_lps_mm()
    size = np.maximum(np.rint((high - low) / spacing_mm).astype(int), 1)
    return Grid.axis_aligned(0.5 * (low + high), tuple(int(n) for n in size), (spacing_mm,) * 3)


def scan_volume(image: Image, spacing_mm: float) -> np.ndarray:
    """HU, int16 (x, y, z), of a scan on its isotropic grid."""
    grid = isotropic(image.grid, spacing_mm)
    hu = resample(image, grid, PRESMOOTHING * spacing_mm, normalise=False)
    return np.rint(hu).astype(np.int16)


def label_volume(labels: np.ndarray, source: Grid, box: Grid, spacing_mm: float) -> np.ndarray:
    """The nearest labels, uint8 (x, y, z), on the isotropic grid of `box`.

    Args:
        labels: uint8 (i, j, k).
        source: where they lie.
        box: of the scan that they belong to, or `source` itself.
        spacing_mm: of the result.
    """
    grid = isotropic(box, spacing_mm)
    matrix = grid.index_map_to(source)
    return ndimage.affine_transform(
        labels, matrix[:3, :3], matrix[:3, 3], output_shape=grid.size, order=0
    )


def landmarks_in(
    points_lps_mm: Mapping[int, np.ndarray], grid: Grid, spacing_mm: float
) -> dict[int, np.ndarray]:
    """Points in voxels of the isotropic grid of `grid`."""
    target = isotropic(grid, spacing_mm)
    return {label: np.array(target.lps_to_index(p)) for label, p in points_lps_mm.items()}


def whole_vertebrae(labels: np.ndarray) -> dict[int, np.ndarray]:
    """Centre (3,), in voxels, of the body of each whole vertebra (`body_centre`).

    Args:
        labels: uint8 (x, y, z) on cubic voxels with axes towards L, P, S.
    """
    centres = {}
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or label not in VERTEBRA_CHANNELS or touches_border(box, labels.shape):
            continue
        centres[label] = body_centre(labels[box] == label, label) + [s.start for s in box]
    return centres


def touches_border(box: Sequence[slice], shape: Sequence[int]) -> bool:
    """Whether a box of voxels reaches the end of an array of that shape."""
    return any(s.start == 0 or s.stop == n for s, n in zip(box, shape, strict=True))
