"""Vertebrae that the border of a scan, or of what was scanned within it, cuts.

VerSe annotates only what is fully seen, and sizes and density of a part mean nothing, so such
vertebrae are found, because they help to count, but not reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, name_of
from vertseg.sequence.solve import FoundVertebra, SequenceResult, with_vertebrae
from vertseg.sequence.steps import left_out_between

HALF_BODY = 0.46
"""Half the height of a vertebral body, and a little of the disc, over the distance of centres."""

PADDING_HU = -900
"""Scans are padded with the value of air or somewhat more, which never lies within a spine."""
_MOST_ON_BORDER = 0.6
"""Of a body's largest section; a plate that just touches the border does not fill so much."""
_BODY_RADIUS_MM = 16.0
_CROSS_MM = 6.0 * np.array([(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)])


def is_seen(image: Image, point_lps_mm: npt.ArrayLike) -> bool:
    """Whether a point (3,) lies in the scan, and not where it is padded."""
    return bool(are_seen(image, np.reshape(point_lps_mm, (1, 3)))[0])


def are_seen(image: Image, points_lps_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """(n,) whether points (n, 3) lie in the scan, and not where it is padded."""
    points = np.asarray(points_lps_mm, float)
    seen = np.array(image.grid.contains(points), bool)
    around = points[seen][:, None] + _CROSS_MM
    index = np.rint(image.grid.lps_to_index(around)).astype(int)
    index = np.clip(index, 0, np.array(image.grid.size) - 1)
    seen[seen] = (image.array[tuple(np.moveaxis(index, -1, 0))] > PADDING_HU).any(axis=1)
    return seen


def without_cut(chain: SequenceResult, image: Image) -> SequenceResult:
    """`chain` without the first or last vertebra where its body was not scanned wholly.

    The body reaches as far beyond its centre as the neighbour's direction and the distance of the
    nearest neighbours say; a vertebra alone in the scan is kept.
    """

    def is_cut(label: int, points: npt.NDArray[np.float64]) -> bool:
        return not is_seen(image, _end_of_last_body(points))

    return _without_ends(chain, is_cut)


def without_cut_masks(
    chain: SequenceResult, labels: npt.NDArray[np.uint8], grid: Grid
) -> SequenceResult:
    """`chain` without the first or last vertebra where much of its mask lies on the border.

    The course alone cannot tell that of a body that leans out of the scan a corner is missing.
    A vertebra alone in the scan is kept.

    Args:
        chain: what was segmented.
        labels: uint8 (i, j, k), the mask; voxels of vertebrae that are left out become 0.
        grid: of the mask.
    """

    def is_cut(label: int, points: npt.NDArray[np.float64]) -> bool:
        return _share_on_border(labels, label, grid, points[-2:]) > _MOST_ON_BORDER

    whole = _without_ends(chain, is_cut)
    for label in set(whole.left_out) - set(chain.left_out):
        labels[labels == label] = 0
    return whole


def _share_on_border(
    labels: npt.NDArray[np.uint8], label: int, grid: Grid, ends: npt.NDArray[np.float64]
) -> float:
    """Area of a mask around its centre in the last slice, over that in the slice of most.

    `ends`: centres (2, 3) of the neighbour and of the vertebra; the slices are those of the axis
    along which the two lie.
    """
    beside, centre = grid.lps_to_index(ends)
    steps = (centre - beside) * grid.spacing
    axis = int(np.argmax(np.abs(steps)))
    reach = _BODY_RADIUS_MM / np.array(grid.spacing)
    low, high = (np.rint(np.maximum(centre + sign * reach, 0)).astype(int) for sign in (-1, 1))
    around = [slice(a, b + 1) for a, b in zip(low, high, strict=True)]
    around[axis] = slice(None)
    body = labels[tuple(around)] == label
    areas = body.sum(axis=tuple(a for a in range(3) if a != axis))
    return float(areas[-1 if steps[axis] > 0 else 0] / max(areas.max(initial=0), 1))


def _without_ends(
    chain: SequenceResult, is_cut: Callable[[int, npt.NDArray[np.float64]], bool]
) -> SequenceResult:
    """`chain` without the first or last vertebra where it is cut, and with words on that.

    `is_cut` gets the label and two or three successive centres (n, 3), of which that vertebra's is
    the last. A vertebra alone in the scan is kept.
    """
    found = list(chain.vertebrae)
    cut = []
    for end, outwards in ((0, slice(2, None, -1)), (-1, slice(-3, None))):
        if len(found) < 2:
            break
        points = _course(found)[outwards]
        if is_cut(found[end].label, points):
            cut.append(found.pop(end))
    if not cut:
        return chain
    left_out = {*chain.left_out, *(v.label for v in cut)}
    names = " and ".join(name_of(v.label) for v in cut)
    sentence = f"{names} left out: the border of the scan cuts {'it' if len(cut) == 1 else 'them'}"
    return replace(
        with_vertebrae(chain, found),
        warnings=(*chain.warnings, sentence),
        left_out=tuple(label for label in ORDER_CRANIAL_TO_CAUDAL if label in left_out),
    )


def _course(found: Sequence[FoundVertebra]) -> npt.NDArray[np.float64]:
    """Centres (n, 3) of a chain, and those of the levels that it leaves out, evenly between them.

    A step over a level is as long as two, and says nothing of the size of a body.
    """
    points = [np.array(vertebra.point_lps_mm) for vertebra in found[:1]]
    for upper, lower in pairwise(found):
        start, end = np.array(upper.point_lps_mm), np.array(lower.point_lps_mm)
        steps = len(left_out_between(upper.label, lower.label)) + 1
        points += [start + (end - start) * number / steps for number in range(1, steps + 1)]
    return np.array(points)


def _end_of_last_body(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(3,) where the body at the last of two or three successive centres (n, 3) ends.

    A cut body's centre is found too far inwards, so the distance before counts as much as its own.
    """
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    return np.asarray(points[-1] + HALF_BODY * lengths.mean() / lengths[-1] * steps[-1])
