"""C1's point beside the dens, where the challenge's centroids of C1 lie.

C1 has no body. Where its anterior arch is thin, or the head is bent, its heatmap may be highest
near the canal or the posterior arch. C2 and the course below tell where the dens stands.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.labels import label_of
from vertseg.sequence.offsets import load_statistics
from vertseg.sequence.solve import SequenceResult

FURTHEST_BEHIND_MM = 8.0
"""C1's point is moved where it lies further behind its usual place; in 71 real courses it lies at
most 4.8 mm behind it."""

_C1, _C2, _C3, _C4 = (label_of(f"C{number}") for number in range(1, 5))


def with_c1_at_dens(chain: SequenceResult) -> SequenceResult:
    """`chain`, with C1's point at its usual place above C2 if it lies far behind it.

    C2 and the vertebra below it must have been found. What C1 is called does not change.
    """
    points = {v.label: np.array(v.point_lps_mm) for v in chain.vertebrae}
    if not {_C1, _C2, _C3} <= points.keys():
        return chain
    usual, back = usual_c1(points, chain.scale)
    if (points[_C1] - usual) @ back <= FURTHEST_BEHIND_MM:
        return chain
    x, y, z = usual.tolist()
    first, *others = chain.vertebrae
    moved = replace(first, point_lps_mm=(x, y, z))
    sentence = "C1 was seen far behind the dens; its point was moved to the usual place above C2"
    return replace(chain, vertebrae=(moved, *others), warnings=(*chain.warnings, sentence))


def usual_c1(points: dict[int, FloatArray], scale: float) -> tuple[FloatArray, FloatArray]:
    """The usual place (3,) of C1, and the direction (3,) to its back, in LPS mm.

    The mean course of the table is turned so that it runs from C2 downwards as the neck does.

    Args:
        points: label -> centre (3,), of C2 and C3 at least.
        scale: size of the body relative to the mean.
    """
    means = {pair: offset.mean_mm for pair, offset in load_statistics().neighbours.items()}
    usual = means[_C2, _C3]
    last = _C3
    if _C4 in points:
        usual, last = usual + means[_C3, _C4], _C4
    turn = _rotation(usual, points[last] - points[_C2])
    return points[_C2] - scale * turn @ means[_C1, _C2], turn @ (0.0, 1.0, 0.0)


def _rotation(start: FloatArray, end: FloatArray) -> FloatArray:
    """The smallest rotation (3, 3) of one direction (3,) into another that is not its opposite."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    x, y, z = np.cross(a, b)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: FloatArray = np.eye(3) + cross + cross @ cross / (1 + a @ b)
    return rotation
