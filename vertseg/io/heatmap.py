"""Heatmaps as they come from the networks, for those who want to look into the method."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vertseg.geometry.grid import Float32Array, Grid
from vertseg.system.atomic import atomic_writer

KeepHeatmap = Callable[[Float32Array, Grid], None]
"""Called with a heatmap and its grid; the array may be changed afterwards."""

_STEPS = 255


@dataclass(frozen=True, eq=False)
class Heatmap:
    """The response of one of the first two stages.

    Attributes:
        stage: ``"spine"`` or ``"vertebrae"``.
        array: float32 about 0 to 1, (x, y, z), or (x, y, z, label) of the second stage.
        grid: where its voxels lie; coarser than the scan, and axis-aligned in LPS.
        labels: VerSe ids of the last axis; empty for the spine.
    """

    stage: str
    array: Float32Array
    grid: Grid
    labels: tuple[int, ...] = ()


def write_heatmap(path: str | os.PathLike[str], heatmap: Heatmap) -> None:
    """Write a heatmap as packed NIfTI in steps of 1/255; labels lie along the fourth axis.

    Raises:
        OutputError: the file cannot be written.
    """
    import nibabel as nib

    steps = np.rint(np.clip(heatmap.array, 0.0, 1.0) * _STEPS).astype(np.uint8)
    image = nib.Nifti1Image(steps, heatmap.grid.affine_ras)
    image.header.set_slope_inter(1.0 / _STEPS, 0.0)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"vertseg {heatmap.stage}".encode()
    with (
        atomic_writer(path) as stream,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0) as packed,
    ):
        packed.write(image.to_bytes())
