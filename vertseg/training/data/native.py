"""Prepared cases on the scan's own grid, which the published training samples as prediction does.

In ``native/`` of a pool folder each case has, for each smoothing such as 0.75 mm that a preset asks
for, ``CASE.0.75mm.json`` (geometry, points), ``CASE.0.75mm.hu.npy`` (int16, smoothed) and, where
there is one, ``CASE.0.75mm.mask.npy`` (uint8). The arrays are mapped, not read, so that memory
holds what the system likes to keep of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.errors import ConfigurationError
from vertseg.geometry.grid import FloatArray, Grid, is_inside
from vertseg.geometry.resampling import resample_array
from vertseg.io.hounsfield import AIR_HU
from vertseg.system.atomic import atomic_writer, write_json

if TYPE_CHECKING:  # reading needs no reader of medical images
    from vertseg.training.data.dataset import CaseData

NATIVE = "native"
_GRID_MM = 0.1


@dataclass(frozen=True, eq=False)
class NativeCase:
    """A scan with points, and perhaps a mask, on its own grid.

    Attributes:
        name: of the case.
        patient: whom it shows.
        fold: fold of the patient.
        grid: of both arrays.
        points_lps_mm: label -> (3,) centroid.
        smoothing_mm: standard deviation of the Gaussian that `hu` has been smoothed with.
        hu: int16 (i, j, k), none below -1024.
        mask: uint8 (i, j, k) labels; None without one.
    """

    name: str
    patient: str
    fold: int
    grid: Grid
    points_lps_mm: dict[int, FloatArray]
    smoothing_mm: float
    hu: npt.NDArray[np.int16] = field(repr=False)
    mask: npt.NDArray[np.uint8] | None = field(default=None, repr=False)

    def hu_at(self, points_lps_mm: FloatArray) -> npt.NDArray[np.float32]:
        """HU at places (3, ...) by linear interpolation, -1024 outside of the scan."""
        index, inside = self._index(points_lps_mm)
        values = ndimage.map_coordinates(self.hu, index, np.float32, order=1, mode="nearest")
        return np.where(inside, values, np.float32(AIR_HU))

    def label_at(self, points_lps_mm: FloatArray, label: int) -> npt.NDArray[np.bool_]:
        """Whether the nearest voxel to each place (3, ...) has a label; False outside."""
        if self.mask is None:
            raise ValueError(f"{self.name}: there is no mask")
        index, inside = self._index(points_lps_mm)
        i, j, k = np.rint(index).astype(np.intp)
        return np.asarray((self.mask[i, j, k] == label) & inside)

    def _index(self, points_lps_mm: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Voxel coordinates (3, ...), drawn in to the scan, and whether they lay in it."""
        inverse = np.linalg.inv(self.grid.affine_lps)
        index = np.tensordot(inverse[:3, :3], points_lps_mm, axes=1)
        index += inverse[:3, 3].reshape(3, *(1,) * (index.ndim - 1))
        inside = np.logical_and.reduce(
            [is_inside(along, n) for along, n in zip(index, self.grid.size, strict=True)]
        )
        last = np.reshape(self.grid.size, (3, *(1,) * (index.ndim - 1))) - 1.0
        return np.clip(index, 0.0, last), np.asarray(inside)


def write_native(
    pool: Path, data: CaseData, smoothing_mm: float, patient: str, fold: int
) -> list[str]:
    """Writes a case, if it is a scan with points; the names of its files.

    Raises:
        OutputError: it cannot be written.
    """
    image, points = data.image, data.points_lps_mm
    if image is None or not points:
        return []
    smooth = resample_array(image.array, image.grid, image.grid, smoothing_mm, lowest=AIR_HU)
    hu = np.clip(np.rint(smooth), AIR_HU, np.iinfo(np.int16).max).astype(np.int16)
    arrays: dict[str, Any] = {"hu": hu}
    if data.mask is not None and data.mask_grid is not None:
        arrays["mask"] = _on_grid(data.mask, data.mask_grid, image.grid)
    stem = f"{data.name}.{smoothing_mm:g}mm"
    names = {kind: f"{stem}.{kind}.npy" for kind in arrays}
    for kind, array in arrays.items():
        with atomic_writer(pool / NATIVE / names[kind]) as stream:
            np.save(stream, np.ascontiguousarray(array))
    record = {
        "name": data.name,
        "patient": patient,
        "fold": fold,
        "smoothing_mm": smoothing_mm,
        "affine_lps": image.grid.affine_lps.tolist(),
        "points_lps_mm": {label: np.asarray(p).tolist() for label, p in points.items()},
        "files": names,
    }
    write_json(pool / NATIVE / f"{stem}.json", record)
    return [*names.values()]


def read_native(pool: Path, smoothing_mm: float) -> list[NativeCase]:
    """The cases of a pool, by name.

    Raises:
        ConfigurationError: there are none that were smoothed so.
    """
    cases = [_read(path) for path in sorted((pool / NATIVE).glob(f"*.{smoothing_mm:g}mm.json"))]
    if not cases:
        raise ConfigurationError(
            "the pool holds no cases for the published training",
            str(pool),
            f"scans with points, smoothed by {smoothing_mm:g} mm",
            "Make them with: python -m vertseg.training prepare --preset PRESET --to POOL.",
        )
    return cases


def _read(path: Path) -> NativeCase:
    record = json.loads(path.read_text(encoding="utf-8"))
    arrays = {
        kind: np.load(path.with_name(name), mmap_mode="r") for kind, name in record["files"].items()
    }
    i, j, k = arrays["hu"].shape
    return NativeCase(
        record["name"],
        record["patient"],
        record["fold"],
        Grid((i, j, k), np.array(record["affine_lps"])),
        {int(label): np.array(point) for label, point in record["points_lps_mm"].items()},
        record["smoothing_mm"],
        **arrays,
    )


def _on_grid(mask: npt.NDArray[np.uint8], source: Grid, grid: Grid) -> npt.NDArray[np.uint8]:
    """A mask on the grid of its scan, the nearest label."""
    if source.is_close(grid, _GRID_MM):
        return mask
    matrix = grid.index_map_to(source)
    return np.asarray(
        ndimage.affine_transform(
            mask, matrix[:3, :3], matrix[:3, 3], output_shape=grid.size, order=0
        )
    )
