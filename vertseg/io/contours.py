"""Outlines of masks in a plane, as closed polygons that enclose the mask's own area."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vertseg.geometry.grid import FloatArray

Corner = tuple[int, int]


def contours_of(mask: npt.NDArray[np.bool_]) -> list[FloatArray]:
    """The outlines of a mask in a plane.

    Each runs through the middles of the edges between inside and outside. A hole is joined to its
    surrounding outline by a slit without width, so that every reader leaves it out.

    Args:
        mask: (i, j).

    Returns:
        Polygons (n, 2) in voxels i, j, where voxel centres are whole numbers; parts that touch by
        corners only are polygons of their own.
    """
    loops = [_middles(loop) for loop in _loops(mask)]
    areas = [_area(loop) for loop in loops]
    outer = [loop for loop, area in zip(loops, areas, strict=True) if area > 0]
    for loop, area in zip(loops, areas, strict=True):
        if area < 0:
            outer = _with_hole(outer, loop)
    return outer


def _loops(mask: npt.NDArray[np.bool_]) -> list[list[Corner]]:
    """Closed walks along the edges of voxels with the inside on the left, by corners."""
    steps = _edges(mask)
    loops = []
    while steps:
        start = next(iter(steps))
        loop, here, came = [start], start, (0, 0)
        while True:
            there = _next(steps, here, came)
            came = (there[0] - here[0], there[1] - here[1])
            here = there
            if here == start:
                break
            loop.append(here)
        loops.append(loop)
    return loops


def _edges(mask: npt.NDArray[np.bool_]) -> dict[Corner, list[Corner]]:
    """From each corner to the next ones; corner (i, j) lies before voxel (i, j) along both axes."""
    padded = np.pad(mask, 1)
    steps: dict[Corner, list[Corner]] = {}
    # Between voxels one above the other along j, and side by side along i.
    below, above = padded[:, :-1], padded[:, 1:]
    for inside, forward in ((above & ~below, True), (below & ~above, False)):
        for i, j in np.argwhere(inside).tolist():
            ends = ((i - 1, j), (i, j)) if forward else ((i, j), (i - 1, j))
            steps.setdefault(ends[0], []).append(ends[1])
    before, after = padded[:-1], padded[1:]
    for inside, forward in ((before & ~after, True), (after & ~before, False)):
        for i, j in np.argwhere(inside).tolist():
            ends = ((i, j - 1), (i, j)) if forward else ((i, j), (i, j - 1))
            steps.setdefault(ends[0], []).append(ends[1])
    return steps


def _next(steps: dict[Corner, list[Corner]], here: Corner, came: Corner) -> Corner:
    """Take the step that turns left most, where two parts touch by a corner."""
    choices = steps[here]
    if len(choices) > 1 and came != (0, 0):
        choices.sort(key=lambda to: came[0] * (to[1] - here[1]) - came[1] * (to[0] - here[0]))
    there = choices.pop()
    if not choices:
        del steps[here]
    return there


def _middles(loop: list[Corner]) -> FloatArray:
    """Middles of the edges of a loop, in voxels whose centres are whole numbers."""
    corners = np.asarray(loop, dtype=np.float64) - 0.5
    return (corners + np.roll(corners, -1, axis=0)) / 2


def _area(loop: FloatArray) -> float:
    """Enclosed area, positive where it lies on the left."""
    x, y = loop.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _with_hole(outer: list[FloatArray], hole: FloatArray) -> list[FloatArray]:
    """The polygons with a hole joined to the one that it lies in: the smallest around it."""
    around = [n for n, loop in enumerate(outer) if _holds(loop, hole[0])]
    if not around:
        return outer
    chosen = min(around, key=lambda n: abs(_area(outer[n])))
    loop = outer[chosen]
    distances = ((loop[:, None] - hole[None]) ** 2).sum(axis=-1)
    near, far = np.unravel_index(int(distances.argmin()), distances.shape)
    turned = np.roll(hole, -int(far), axis=0)
    joined = np.concatenate([loop[: near + 1], turned, turned[:1], loop[near:]])
    return [joined if n == chosen else one for n, one in enumerate(outer)]


def _holds(loop: FloatArray, point: FloatArray) -> bool:
    """Whether a point lies inside, by the crossings of a line to the right of it."""
    (x, y), (x1, y1) = point, loop.T
    x2, y2 = np.roll(loop, -1, axis=0).T
    crosses = (y1 > y) != (y2 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
    return bool(np.count_nonzero(crosses & (x < at)) % 2)
