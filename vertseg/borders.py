"""Vertebrae that the border of a scan cuts.

VerSe annotates only what is fully seen, and sizes and density of a part mean nothing, so such
vertebrae are found, because they help to count, but not reported.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vertseg.grid import Grid
from vertseg.labels import name_of
from vertseg.sequence import SequenceResult

_HALF_BODY = 0.46
"""Half the height of a vertebral body, with some room for errors, over the distance of centres."""


def without_cut(chain: SequenceResult, grid: Grid) -> SequenceResult:
    """`chain` without the first or last vertebra where its body does not lie wholly in `grid`.

    The body reaches as far beyond its centre as the neighbour's direction and distance say; a
    vertebra alone in the scan is kept.
    """
    found = list(chain.vertebrae)
    cut = []
    for end, neighbour in ((0, 1), (-1, -2)):
        if len(found) < 2:
            break
        centre, inner = (np.array(found[i].point_lps_mm) for i in (end, neighbour))
        if not grid.contains(centre + _HALF_BODY * (centre - inner)):
            cut.append(found.pop(end))
    if not cut:
        return chain
    names = " and ".join(name_of(v.label) for v in cut)
    sentence = f"{names} left out: the border of the scan cuts {'it' if len(cut) == 1 else 'them'}"
    return replace(chain, vertebrae=tuple(found), warnings=(*chain.warnings, sentence))
