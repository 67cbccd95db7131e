"""A CT volume in memory and how it is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vertseg.errors import InputError
from vertseg.geometry.grid import Grid, is_invertible
from vertseg.io.hounsfield import AIR_HU, ZERO_BASED_OFFSET_HU, Intensities, recognise, window_of
from vertseg.io.limits import LARGEST_VOLUME_VOXELS
from vertseg.io.scan_facts import ScanFacts
from vertseg.io.stored import StoredForm
from vertseg.system.memory import check_memory
from vertseg.system.threads import mapped_ahead

HounsfieldArray = npt.NDArray[np.int16 | np.float32]

_LOWEST, _HIGHEST = -(2**15), 2**15 - 1
_CHUNKS_AT_ONCE = 2
_LABEL_BYTES = 2  # of a voxel: its label and how sure it is


@dataclass(frozen=True, eq=False)
class Image:
    """A CT volume.

    Attributes:
        array: HU, int16 or float32, read-only, indexed [i, j, k] as stored.
        grid: where the voxels lie.
        stored: geometry as the scan's file holds it, from which a mask takes its own.
        warnings: what was repaired or is unusual, one sentence each.
        intensities: ``"hounsfield"``; ``"zero_based"`` if 1024 was subtracted on reading;
            ``"windowed"`` if they are limited to a part of the range of HU; ``"unknown"`` if the
            values do not look like HU.
        facts: how the scan was made, as far as its header says.
        doubt: what is the matter with the values where they are no HU or limited; one clause.
    """

    array: HounsfieldArray
    grid: Grid
    stored: StoredForm
    warnings: tuple[str, ...] = ()
    intensities: Intensities = "hounsfield"
    facts: ScanFacts = ScanFacts()
    doubt: str = ""

    @property
    def has_density(self) -> bool:
        """Whether the values are true HU, so that density can be measured."""
        return self.intensities in ("hounsfield", "zero_based")

    @classmethod
    def from_array(cls, array: npt.NDArray[Any], affine_ras: npt.ArrayLike) -> Image:
        """Volume from memory; the array is copied.

        Args:
            array: HU, any integer or real type, (i, j, k); further axes of length 1 are dropped.
            affine_ras: (4, 4) index -> RAS mm, as in nibabel.

        Raises:
            InputError: shape, type, affine or content cannot be used.
        """
        where = "array"
        values = np.asarray(array)
        if values.ndim > 3 and all(n == 1 for n in values.shape[3:]):
            values = values.reshape(values.shape[:3])
        if values.ndim != 3 or values.size == 0 or values.size > LARGEST_VOLUME_VOXELS:
            raise InputError(f"has the shape {values.shape}", where, "three axes, not empty")
        if values.dtype.kind not in "biuf":
            raise InputError(f"has the type {values.dtype}", where, "integers or real numbers")
        affine = np.asarray(affine_ras, dtype=np.float64)
        if affine.shape != (4, 4) or not is_invertible(affine):
            raise InputError("the affine cannot be used", where, "an invertible 4x4 matrix")
        size = values.shape
        planes = (values[:, :, k].ravel(order="F") for k in range(size[2]))
        grid = Grid.from_affine_ras(size, affine)
        return assemble_image(planes, values.dtype, (1.0, 0.0), grid, StoredForm.of_grid(grid))


def assemble_image(
    chunks: Iterable[npt.NDArray[Any]],
    dtype: np.dtype[Any],
    scale: tuple[float, float],
    grid: Grid,
    stored: StoredForm,
    warnings: tuple[str, ...] = (),
    where: str = "array",
) -> Image:
    """Fill the volume chunk by chunk and judge what came in.

    Args:
        chunks: stored values (n,), first index fastest; several are in use at a time.
        dtype: of the chunks; whole numbers become int16.
        scale: slope and intercept from stored value to HU.
        grid: where the voxels lie.
        stored: from which a mask takes its geometry.
        warnings: earlier ones.
        where: file name for messages.

    Raises:
        InputError: the volume is constant, or larger than the memory that is free.
    """
    whole = dtype.kind in "biu" and all(value.is_integer() for value in scale)
    voxels, kept = int(np.prod(grid.size)), np.dtype(np.int16 if whole else np.float32)
    check_memory(voxels * (kept.itemsize + _LABEL_BYTES), where)
    flat: HounsfieldArray = np.empty(voxels, kept)
    not_finite, beyond = _fill(flat, chunks, scale)
    if not_finite:
        warnings += (f"{not_finite} voxels are not finite: set to {AIR_HU} HU",)
    if beyond:
        warnings += (f"{beyond} voxels lie beyond the range of 16 bit: limited to it",)
    if flat.min() == flat.max():
        raise InputError(
            f"is constant, every voxel is {flat[0]:g}",
            where,
            "a CT scan",
            "Export the scan again, or remove the file.",
        )
    array: HounsfieldArray = flat.reshape(grid.size, order="F")
    intensities = _made_hounsfield(array)
    if intensities == "zero_based":
        warnings += (f"values are HU + {ZERO_BASED_OFFSET_HU}: shifted back",)
    doubt = _doubt(array) if intensities == "unknown" else ""
    if intensities == "hounsfield" and (window := window_of(array)) is not None:
        intensities = "windowed"
        doubt = f"values are limited to a window, {window[0]:g} to {window[1]:g} HU"
    array.setflags(write=False)
    return Image(array, grid, stored, warnings, intensities, doubt=doubt)


def _made_hounsfield(array: HounsfieldArray) -> Intensities:
    """Shift zero-based values in place; say what they were."""
    intensities = recognise(array)
    if intensities == "zero_based":
        # Raised first, so that int16 cannot run over.
        np.maximum(array, _LOWEST + ZERO_BASED_OFFSET_HU, out=array)
        np.subtract(array, ZERO_BASED_OFFSET_HU, out=array)
    return intensities


def _doubt(array: HounsfieldArray) -> str:
    flat = array.ravel(order="K")
    low, middle, high = np.percentile(flat[:: max(1, flat.size // 100_000)], [1, 50, 99])
    percentiles = f"percentiles 1, 50 and 99 are {low:g}, {middle:g} and {high:g}"
    return f"values do not look like Hounsfield units ({percentiles})"


def _fill(
    flat: HounsfieldArray, chunks: Iterable[npt.NDArray[Any]], scale: tuple[float, float]
) -> tuple[int, int]:
    """Convert the chunks into an array (n,); return the sums of what `_convert` returns.

    Memory that is touched for the first time may cost more than reading does, above all in a
    virtual machine, so two threads share it.
    """

    def placed() -> Iterator[tuple[npt.NDArray[Any], HounsfieldArray]]:
        start = 0
        for chunk in chunks:
            yield chunk, flat[start : start + chunk.size]
            start += chunk.size

    counts = list(
        mapped_ahead(lambda one: _convert(one[0], scale, one[1]), placed(), _CHUNKS_AT_ONCE)
    )
    return sum(bad for bad, _ in counts), sum(clipped for _, clipped in counts)


def _convert(
    chunk: npt.NDArray[Any], scale: tuple[float, float], out: HounsfieldArray
) -> tuple[int, int]:
    """Scale a chunk into `out`; return how many values were not finite and how many too large."""
    if scale == (1.0, 0.0) and np.can_cast(chunk.dtype, out.dtype) and out.dtype == np.int16:
        out[:] = chunk
        return 0, 0
    with np.errstate(over="ignore", invalid="ignore"):
        values = chunk.astype(np.float64)
        values *= scale[0]
        values += scale[1]
    bad = ~np.isfinite(values)
    values[bad] = AIR_HU
    beyond = int(np.count_nonzero((values < _LOWEST) | (values > _HIGHEST)))
    out[:] = np.clip(values, _LOWEST, _HIGHEST, out=values)
    return int(np.count_nonzero(bad)), beyond
