"""Measurements of each vertebra: volume, trabecular density, heights of the body, cut-off.

For research; not a medical device. Hounsfield units depend on the scanner, the tube voltage and
contrast medium; none of these numbers is calibrated or a diagnosis.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from vertseg.geometry.boxes import Box, label_boxes, widened
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.frames import SpineFrame, frames_along
from vertseg.geometry.grid import FloatArray, Grid, LabelArray
from vertseg.io.image import Image
from vertseg.labels import label_of
from vertseg.measure.body import Body, measure_body
from vertseg.measure.border import border_faces, is_body_cut, sides_of

METAL_HU = 2500
"""No bone is as dense as this; enamel and metal are."""

_NEAR_BY_MM = np.array([p for p in product((-2, -1, 0, 1, 2), repeat=3) if np.hypot.reduce(p) <= 2])
_WITHOUT_BODY = (label_of("C1"), label_of("C2"))  # a ring, and a body with the dens on top
_LARGEST_STEP_MM = 3.0
_CORE_SHARE = 0.6
_FEWEST_CORE_VOXELS = 10
_AT_ONCE = 4  # vertebrae


@dataclass(frozen=True)
class Heights:
    """Heights of the body in the median plane, in mm (see `vertseg.measure.body.Body`).

    Attributes:
        anterior_mm: near the front.
        middle_mm: in the middle.
        posterior_mm: near the back.
    """

    anterior_mm: float
    middle_mm: float
    posterior_mm: float

    @property
    def mean_mm(self) -> float:
        """Mean of the three."""
        return (self.anterior_mm + self.middle_mm + self.posterior_mm) / 3.0

    @property
    def anterior_ratio(self) -> float:
        """Anterior / posterior height; below 0.8 suggests a wedge fracture (Genant 1993)."""
        return self.anterior_mm / self.posterior_mm

    @property
    def middle_ratio(self) -> float:
        """Middle / posterior height; below 0.8 suggests a biconcave fracture (Genant 1993)."""
        return self.middle_mm / self.posterior_mm


@dataclass(frozen=True, eq=False)
class Measurement:
    """What was measured at one vertebra; None where it cannot be measured.

    Attributes:
        label: VerSe label.
        volume_ml: volume of its mask, posterior elements included; partial where it touches
            the border.
        trabecular_hu: mean HU of the core of the body: the voxels of the mask in an ellipsoid
            around the middle of the body with 0.6 times its width, depth and height, which
            leaves out the cortex, end plates and pedicles. The region of interest follows
            Jang et al., Radiology 2019;291:360 (trabecular attenuation of L1), in three
            dimensions.
            None where the values of the scan are not HU or limited to a window.
        trabecular_sd_hu: standard deviation within that core.
        touches_border: sides of the image, or of what was scanned within it, that the mask
            touches, of L, R, A, P, S, I.
        heights: of the body; None for C1 and C2, where the body is cut off, and where slices are
            more than 3 mm apart along the spine.
        body: the walls and end plates, or the border where it cuts them; None for C1 and C2 and
            where they cannot be found.
        metal_ml: volume above 2500 HU in the box around the mask.
        centroid_in_mask: whether the mask holds its centroid or a point within 2 mm of it: a small
            hole in the middle is no reason to doubt the place.
        box: of the mask in voxels of the scan; None without a mask.
        cut_off: whether the image, or what was scanned within it, ends within the body, on any
            side; in C1, within the ring.
    """

    label: int
    volume_ml: float
    trabecular_hu: float | None
    trabecular_sd_hu: float | None
    touches_border: str
    heights: Heights | None
    body: Body | None
    metal_ml: float
    centroid_in_mask: bool
    box: Box | None = None
    cut_off: bool = False


def measure_vertebrae(
    image: Image, labels: LabelArray, vertebrae: Sequence[Centroid]
) -> tuple[Measurement, ...]:
    """Measure all vertebrae of an image.

    Args:
        image: the scan.
        labels: (i, j, k) uint8 on the image's grid.
        vertebrae: from the head downwards; their places give the direction of the spine.

    Returns:
        One measurement per vertebra, in the same order.
    """
    boxes = label_boxes(labels)
    frames = frames_along([vertebra.point_lps_mm for vertebra in vertebrae])

    def measure(pair: tuple[Centroid, SpineFrame]) -> Measurement:
        vertebra, frame = pair
        found = boxes.get(vertebra.label)
        if found is None:
            return _without_mask(vertebra.label)
        return _measure(image, labels, vertebra, frame, found)

    with ThreadPoolExecutor(_AT_ONCE, "measure") as pool:
        return tuple(pool.map(measure, zip(vertebrae, frames, strict=True)))


def _without_mask(label: int) -> Measurement:
    return Measurement(label, 0.0, None, None, "", None, None, 0.0, False)


def _measure(
    image: Image, labels: LabelArray, vertebra: Centroid, frame: SpineFrame, found: Box
) -> Measurement:
    box = widened(found, image.grid.size)
    grid, mask = image.grid.crop(box), labels[box] == vertebra.label
    values = image.array[box]
    faces = border_faces(values, mask, box, image.grid)
    body = None if vertebra.label in _WITHOUT_BODY else measure_body(mask, grid, frame)
    mean, sd = None, None
    if body is not None and image.has_density:
        mean, sd = core_density(values, mask, grid, body)
    cut_off = is_body_cut(faces, grid, vertebra.label, vertebra.point_lps_mm, body)
    coarse = body is not None and _step_along(grid, body.frame.axes_lps[2]) > _LARGEST_STEP_MM
    heights = None
    if body is not None and not cut_off and not coarse:
        heights = Heights(body.anterior_mm, body.middle_mm, body.posterior_mm)
    return Measurement(
        label=vertebra.label,
        volume_ml=int(np.count_nonzero(mask)) * grid.voxel_volume_mm3 / 1000.0,
        trabecular_hu=mean,
        trabecular_sd_hu=sd,
        touches_border=sides_of(faces),
        heights=heights,
        body=body,
        metal_ml=int(np.count_nonzero(values > METAL_HU)) * grid.voxel_volume_mm3 / 1000.0,
        centroid_in_mask=_holds(mask, grid, vertebra.point_lps_mm),
        box=found,
        cut_off=cut_off,
    )


def core_density(
    values: npt.NDArray[np.int16 | np.float32],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    body: Body,
) -> tuple[float | None, float | None]:
    """Mean and standard deviation in HU of the core of a body (see `Measurement`).

    Args:
        values: (i, j, k) HU.
        mask: (i, j, k) of the vertebra.
        grid: where both lie.
        body: walls and end plates.
    """
    radii_mm = 0.5 * _CORE_SHARE * np.array([body.width_mm, body.depth_mm, body.middle_mm])
    near = _around(grid, body.frame.origin_lps_mm, float(radii_mm.max()))
    index = np.argwhere(mask[near]) + [part.start for part in near]
    local = body.frame.from_lps(grid.index_to_lps(index))
    core = index[(((local / radii_mm) ** 2).sum(axis=1)) <= 1.0]
    if len(core) < _FEWEST_CORE_VOXELS:
        return None, None
    inside = values[tuple(core.T)].astype(np.float64)
    return float(inside.mean()), float(inside.std())


def _around(grid: Grid, point_lps_mm: FloatArray, radius_mm: float) -> Box:
    """The box of voxels within a distance of a point, within the grid."""
    middle = grid.lps_to_index(point_lps_mm)
    # How far a step of 1 mm in any direction can lead along each axis, sheared grids included.
    reach = radius_mm * np.linalg.norm(np.linalg.inv(grid.affine_lps)[:3, :3], axis=1)
    first = np.clip(np.floor(middle - reach).astype(int), 0, grid.size)
    stop = np.clip(np.ceil(middle + reach).astype(int) + 1, first, grid.size)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
    return (i, j, k)


def _step_along(grid: Grid, direction_lps: FloatArray) -> float:
    """Distance in mm, along a direction, between neighbouring layers of voxels."""
    return float(np.abs(direction_lps @ grid.affine_lps[:3, :3]).max())


def _holds(mask: npt.NDArray[np.bool_], grid: Grid, point_lps_mm: Sequence[float]) -> bool:
    points = np.asarray(point_lps_mm) + _NEAR_BY_MM
    index = np.round(grid.lps_to_index(points)).astype(int)
    inside = ((index >= 0) & (index < np.asarray(grid.size))).all(axis=-1)
    return bool(mask[tuple(index[inside].T)].any())
