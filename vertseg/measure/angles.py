"""Angles of the spine between end plates, in degrees (Cobb's method on fitted planes).

Positions of the body matter: scans are made lying down, where lordosis and kyphosis are smaller
than in the standing X-rays that normal values in books come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.labels import label_of, name_of
from vertseg.measure.vertebra import Measurement

# Name, upper and lower end vertebra, sign that makes the usual bend positive.
ANGLES = (
    ("cervical lordosis", "C3", "C7", -1.0),
    ("thoracic kyphosis", "T4", "T12", 1.0),
    ("lumbar lordosis", "L1", "L5", -1.0),
)


@dataclass(frozen=True)
class Angle:
    """An angle between the upper end plate of one vertebra and the lower one of another.

    Attributes:
        name: such as ``"lumbar lordosis"``.
        upper: name of the upper end vertebra.
        lower: name of the lower end vertebra.
        degrees: positive for the usual bend of the region; for the coronal angle its size.
    """

    name: str
    upper: str
    lower: str
    degrees: float


def spine_angles(measurements: Sequence[Measurement]) -> tuple[Angle, ...]:
    """The sagittal angles of regions that are wholly visible, and the largest coronal angle.

    The sagittal angle is seen from the side (the plane of back and up), the coronal one from the
    front (left and up); between vertebrae that are not cut off.
    """
    bodies = {row.label: row.body for row in measurements if row.body and not row.cut_off}
    angles = []
    for name, upper, lower, sign in ANGLES:
        first, last = bodies.get(label_of(upper)), bodies.get(label_of(lower))
        if first is not None and last is not None:
            bend = tilt_deg(last.lower_normal_lps, 1) - tilt_deg(first.upper_normal_lps, 1)
            angles.append(Angle(name, upper, lower, sign * bend))
    coronal = _largest_coronal(measurements)
    return (*angles, coronal) if coronal else tuple(angles)


def tilt_deg(normal_lps: FloatArray, axis: int) -> float:
    """Degrees by which a normal (3,) leans towards an axis, 0 left, 1 back, seen along the other.

    The angle between two end plates in that view is the difference of their tilts.
    """
    return float(np.degrees(np.arctan2(normal_lps[axis], normal_lps[2])))


def _largest_coronal(measurements: Sequence[Measurement]) -> Angle | None:
    rows = [(row.label, row.body) for row in measurements if row.body and not row.cut_off]
    best: Angle | None = None
    for number, (upper, first) in enumerate(rows):
        for lower, last in rows[number + 1 :]:
            bend = abs(tilt_deg(first.upper_normal_lps, 0) - tilt_deg(last.lower_normal_lps, 0))
            if best is None or bend > best.degrees:
                best = Angle("largest coronal angle", name_of(upper), name_of(lower), bend)
    return best
