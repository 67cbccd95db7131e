"""What the benchmark runs on: three folders of phantoms, made once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from vertseg.geometry.resampling import resample_array
from vertseg.phantom import box_grid, draw_subject, field_of_view, make_phantom
from vertseg.phantom.generate import Phantom

_SMALL = 26
"""Seed of the smallest subject: C1 to L5 fit into 600 slices of 0.9 mm."""

_NOISE_HU = 12.0

_MIXED = (
    ("T9", "L5", (0.8, 0.8, 1.0), "LPS", ".nii.gz"),
    ("L1", "L5", (0.7, 0.7, 3.0), "PIR", ".nii.gz"),
    ("C1", "T4", (0.6, 0.6, 1.25), "LPS", ".nii.gz"),
    ("T1", "L2", (1.0, 1.0, 2.0), "RAS", ".nii"),
    ("C3", "T8", (0.9, 0.9, 1.5), "LAS", ".mha"),
    ("T4", "L5", (0.8, 0.8, 2.0), "LPI", ".nii.gz"),
    ("T11", "L5", (1.5, 1.5, 1.5), "AIL", ".nrrd"),
    ("T6", "L3", (0.9, 0.9, 5.0), "LPS", ".nii.gz"),
)
"""First and last level, spacing in mm, orientation and format of each scan of the mixed folder."""


def make_cases(folder: Path, quick: bool) -> dict[str, Path]:
    """Name -> input folder of each case; scans that are there already are kept.

    Args:
        folder: where to; small and large cases have folders of their own.
        quick: coarse and few scans, to try the benchmark itself.
    """
    root = folder / ("quick" if quick else "full")
    makers: dict[str, Callable[[Path, bool], None]] = {
        "lumbar": _lumbar,
        "whole spine": _whole_spine,
        "mixed folder": _mixed,
    }
    made = {name: root / name.replace(" ", "_") for name in makers}
    for name, path in made.items():
        done = path / ".done"
        if not done.exists():
            path.mkdir(parents=True, exist_ok=True)
            makers[name](path, quick)
            done.touch()
    return made


def _lumbar(folder: Path, quick: bool) -> None:
    """Nine vertebrae, or three."""
    levels, spacing = (("L2", "L4"), 2.5) if quick else (("T9", "L5"), 0.9)
    phantom = make_phantom(levels, spacing, 2, field_mm=(180.0, 180.0))
    write_image_alone(phantom.hu, phantom.grid.affine_ras, folder / "lumbar.nii.gz")


def _whole_spine(folder: Path, quick: bool) -> None:
    """C1 to L5 in 512 x 512 x 600 voxels of 0.8 x 0.8 x 0.9 mm, the skull's base included.

    The body is made in voxels of twice the size and enlarged; its noise is of the fine ones.
    """
    factor = 1 if quick else 2
    size = np.array((103, 103, 109) if quick else (512, 512, 600))
    spacing = np.array((4.0, 4.0, 5.0) if quick else (0.8, 0.8, 0.9))
    subject = draw_subject(_SMALL)
    lower, upper = field_of_view(subject, ("C1", "L5"), None)
    middle = 0.5 * (lower + upper)
    half = 0.5 * (size - 1) * spacing
    fine = box_grid(middle - half, middle + half + 0.01, spacing)
    coarse = box_grid(middle - half, middle + half + spacing, factor * spacing)
    phantom = make_phantom(seed=_SMALL, grid=coarse, noise_hu=0.0)
    hu = resample_array(phantom.hu, coarse, fine, outside=-1024.0)
    rng = np.random.default_rng(0)
    for plane in range(hu.shape[2]):
        hu[:, :, plane] += 12.0 * rng.standard_normal(hu.shape[:2], np.float32)
    hu = np.clip(np.rint(hu, out=hu), -1024, 3071).astype(np.int16)
    write_image_alone(hu, fine.affine_ras, folder / "spine.nii.gz")


def _mixed(folder: Path, quick: bool) -> None:
    """Eight scans that differ in size, spacing, orientation and format, or two."""
    for number, (first, last, spacing, codes, suffix) in enumerate(_MIXED[: 2 if quick else None]):
        steps = [2.5 * s for s in spacing] if quick else spacing
        axes = ["LRPASI".index(code) // 2 for code in codes]
        turned = [steps[axis] for axis in axes]
        phantom = make_phantom(
            (first, last), turned, 10 + number, field_mm=(190.0, 190.0), orientation=codes
        )
        path = folder / f"scan{number}{suffix}"
        write_image_alone(phantom.hu, phantom.grid.affine_ras, path)


def write_image_alone(hu: np.ndarray, affine_ras: np.ndarray, path: Path) -> None:
    """Write HU (i, j, k) as a scan in the format of the name, without masks or centroids."""
    if path.suffix in (".mha", ".nrrd"):
        affine_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_ras
        spacing = np.linalg.norm(affine_lps[:3, :3], axis=0)
        image = sitk.GetImageFromArray(np.ascontiguousarray(hu.transpose(2, 1, 0)))
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(affine_lps[:3, 3].tolist())
        image.SetDirection((affine_lps[:3, :3] / spacing).ravel().tolist())
        sitk.WriteImage(image, str(path), useCompression=True)
        return
    image = nib.Nifti1Image(hu, affine_ras)
    image.set_sform(affine_ras, code=1)
    image.set_qform(affine_ras, code=1)
    nib.save(image, path)


def write_finer(phantom: Phantom, path: Path, size: Sequence[int]) -> None:
    """Write a phantom without noise in `size` voxels over the same extent, with noise of those.

    It takes much less time than a phantom made of such voxels.
    """
    grid = phantom.grid
    i, j, k = size
    steps = np.array(grid.size) / size * grid.spacing
    fine = type(grid).axis_aligned(grid.centre_lps_mm, (i, j, k), tuple(steps))
    hu = np.empty(fine.size, np.int16, order="F")
    noise = np.random.default_rng(0).normal(0, _NOISE_HU, (i, j)).astype(np.int16)
    for plane in range(k):
        part = fine.crop((slice(0, i), slice(0, j), slice(plane, plane + 1)))
        values = resample_array(phantom.hu, grid, part, outside=-1024.0)[:, :, 0]
        hu[:, :, plane] = np.rint(values) + np.roll(noise, plane, axis=0)
    write_image_alone(hu, fine.affine_ras, path)
