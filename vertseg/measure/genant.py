"""Loss of height of vertebral bodies, graded as in vertebral morphometry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of
from vertseg.measure.vertebra import Measurement

_GRADED_LEVELS = ORDER_CRANIAL_TO_CAUDAL[
    ORDER_CRANIAL_TO_CAUDAL.index(label_of("T4")) : ORDER_CRANIAL_TO_CAUDAL.index(label_of("L5"))
]
_GRADES = ((0.60, 3), (0.75, 2), (0.80, 1))
_SOUND_MIDDLE_RATIO = 0.9  # sound end plates are hollow


def genant_grade(measurement: Measurement, neighbours: Sequence[Measurement] = ()) -> int | None:
    """Semi-quantitative grade of height loss, 0 to 3; a hint, never a diagnosis.

    The smallest of anterior / posterior height, middle / posterior height (which is 0.9 in sound
    vertebrae, whose end plates are hollow) and the mean height against that of the neighbours:
    below 0.80 grade 1, below 0.75 grade 2, below 0.60 grade 3 (Genant et al., J Bone Miner Res
    1993;8:1137).

    Args:
        measurement: the vertebra.
        neighbours: those above and below, for fractures that lower the whole body.

    Returns:
        None outside T4-L4 or where heights are not known.
    """
    heights = measurement.heights
    if heights is None or measurement.label not in _GRADED_LEVELS:
        return None
    ratios = [heights.anterior_ratio, heights.middle_ratio / _SOUND_MIDDLE_RATIO]
    others = [row.heights.mean_mm for row in neighbours if row.heights]
    if others:
        ratios.append(heights.mean_mm / float(np.mean(others)))
    return next((grade for limit, grade in _GRADES if min(ratios) < limit), 0)
