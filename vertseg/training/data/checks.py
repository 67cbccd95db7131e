"""Whether the files of a case agree with each other; what does not is refused with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of, name_of
from vertseg.training.data.dataset import CaseData

_SPACING_MM = (0.1, 8.0)
_SMALLEST_EXTENT_MM = 30.0
_STEP_MM = (5.0, 70.0)
_OFF_MASK_MM = 5.0
_OFF_MASK_C1_MM = 12.0  # its centroid lies within the ring, at the dens
_CONTRAST_HU = 20.0
_COARSE_MM = 2.5
_SHELL_STEPS = 2


@dataclass(frozen=True)
class Findings:
    """What the checks say of a case.

    Attributes:
        problems: why it is refused; none for a case that can be used.
        notes: remarks that do not prevent its use.
    """

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_case(data: CaseData) -> Findings:
    """Check geometry, points, mask and HU of a case.

    - spacing 0.1 to 8 mm and at least 30 mm of extent along each axis,
    - values are Hounsfield units,
    - scan and mask cover the same box, to half a voxel,
    - points lie in the scan and neighbours 5 to 70 mm from each other,
    - the mask has each point's label at the point or at most 5 mm from it (C1: 12 mm),
    - the scan is brighter below the mask than within 5 mm round it, by 20 HU on the mean.
    """
    problems = [*_grid_problems(data.grid)]
    notes: list[str] = []
    if data.image is not None:
        notes += (*data.image.warnings, *filter(None, [data.image.doubt]))
        if data.image.intensities == "unknown":
            problems.append("its values are not Hounsfield units")
    if data.mask is not None and not data.mask.any():
        problems.append("the mask holds no vertebra")
    if data.points_lps_mm is not None and not data.points_lps_mm:
        problems.append("the centroid file holds no vertebra")
    agree = True
    if data.image is not None and data.mask_grid is not None:
        apart = corner_distance_mm(data.image.grid, data.mask_grid)
        agree = apart <= 0.5 * max(data.image.grid.spacing)
        if not agree:
            problems.append(f"the corners of scan and mask lie {apart:.1f} mm apart")
        elif apart > 0.1:
            notes.append(f"the corners of scan and mask lie {apart:.1f} mm apart")
    problems += _point_problems(data)
    if data.mask is not None and data.mask_grid is not None and agree:
        problems += _mask_problems(data, data.mask, data.mask_grid)
        notes += _unmatched(data.points_lps_mm, data.mask)
    return Findings(tuple(problems), tuple(notes))


def corner_distance_mm(first: Grid, second: Grid) -> float:
    """Largest distance from an outer corner of one grid to the nearest one of the other.

    Axes may be stored in another order or direction: the same box in the world gives 0.
    """
    ours, theirs = first.corners_lps_mm(0.5), second.corners_lps_mm(0.5)
    apart = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
    return float(max(apart.min(axis=0).max(), apart.min(axis=1).max()))


def off_label_mm(mask: np.ndarray, grid: Grid, label: int, point_lps_mm: np.ndarray) -> float:
    """Distance from a point (3,) to the nearest voxel of its label; infinite beyond 25 mm.

    The point's own voxel counts as 0.
    """
    index = np.asarray(grid.lps_to_index(point_lps_mm))
    nearest = np.rint(index).astype(int)
    if ((nearest >= 0) & (nearest < mask.shape)).all() and mask[tuple(nearest)] == label:
        return 0.0
    reach = np.ceil(25.0 / np.asarray(grid.spacing)).astype(int)
    low = np.maximum(nearest - reach, 0)
    box = tuple(slice(a, b) for a, b in zip(low, np.maximum(nearest + reach + 1, 0), strict=True))
    found = np.argwhere(mask[box] == label)
    if not len(found):
        return float("inf")
    return float(
        np.linalg.norm(grid.index_to_lps(found + low) - np.asarray(point_lps_mm), axis=1).min()
    )


def _grid_problems(grid: Grid) -> Iterator[str]:
    low, high = _SPACING_MM
    if min(grid.spacing) < low or max(grid.spacing) > high:
        yield f"its spacing is {_text(grid.spacing)} mm"
    extent = np.array(grid.size) * grid.spacing
    if extent.min() < _SMALLEST_EXTENT_MM:
        yield f"it is only {_text(extent)} mm large"


def _point_problems(data: CaseData) -> Iterator[str]:
    points = data.points_lps_mm or {}
    outside = [label for label, p in points.items() if not data.grid.contains(p)]
    if outside:
        yield f"points outside of the scan: {_names(outside)}"
    order = sorted(points, key=ORDER_CRANIAL_TO_CAUDAL.index)
    for upper, lower in pairwise(order):
        rank = ORDER_CRANIAL_TO_CAUDAL.index
        between = set(ORDER_CRANIAL_TO_CAUDAL[rank(upper) + 1 : rank(lower)])
        if between - {label_of("T13"), label_of("T12")}:
            continue
        step = float(np.linalg.norm(points[upper] - points[lower]))
        if not _STEP_MM[0] <= step <= _STEP_MM[1]:
            yield f"{name_of(upper)} and {name_of(lower)} lie {step:.0f} mm apart"


def _mask_problems(data: CaseData, mask: np.ndarray, grid: Grid) -> Iterator[str]:
    present = set(np.unique(mask).tolist())
    for label, point in (data.points_lps_mm or {}).items():
        if label not in present:
            continue
        apart = off_label_mm(mask, grid, label, point)
        if apart > (_OFF_MASK_C1_MM if label == label_of("C1") else _OFF_MASK_MM):
            how_far = "more than 25" if np.isinf(apart) else f"{apart:.0f}"
            yield f"the point of {name_of(label)} lies {how_far} mm from its mask"
    if data.image is not None and mask.any():
        bone, beside = bone_and_beside_hu(data.image, mask, grid)
        if not bone - beside >= _CONTRAST_HU:
            yield f"the mask does not show bone: {bone:.0f} HU below it, {beside:.0f} HU beside it"


def bone_and_beside_hu(image: Image, mask: np.ndarray, mask_grid: Grid) -> tuple[float, float]:
    """Mean HU below a mask (i, j, k), and in a shell of about 5 mm round it.

    It is NaN where the scan has none.

    Only every n-th voxel is looked at, about every 2.5 mm.
    """
    steps = [max(1, round(_COARSE_MM / spacing)) for spacing in mask_grid.spacing]
    inside = mask[:: steps[0], :: steps[1], :: steps[2]] > 0
    shell = ndimage.binary_dilation(inside, np.ones((3, 3, 3)), _SHELL_STEPS) & ~inside
    bone, beside = (_mean_hu(image, mask_grid, np.argwhere(p) * steps) for p in (inside, shell))
    return bone, beside


def _mean_hu(image: Image, grid: Grid, index: np.ndarray) -> float:
    place = np.rint(image.grid.lps_to_index(grid.index_to_lps(index))).astype(int)
    within = ((place >= 0) & (place < image.array.shape)).all(axis=1)
    return float(image.array[tuple(place[within].T)].mean()) if within.any() else float("nan")


def _unmatched(points: dict[int, np.ndarray] | None, mask: np.ndarray) -> Iterator[str]:
    if points is None:
        return
    masked = {int(label) for label in np.unique(mask) if label}
    if points.keys() - masked:
        yield f"points without mask: {_names(points.keys() - masked)}"
    if masked - points.keys():
        yield f"masks without point: {_names(masked - points.keys())}"


def _names(labels: Iterable[int]) -> str:
    return ", ".join(name_of(label) for label in sorted(labels, key=ORDER_CRANIAL_TO_CAUDAL.index))


def _text(values: Iterable[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
