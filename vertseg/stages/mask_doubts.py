"""What masks tell against places: which are one vertebra, and which are hardly one.

The heatmaps may show one vertebra twice, such as dens and body of a tall C2, and name the second
place after the next level; all below is then one level too low. The masks of two such places are
nearly the same: of 988 pairs of neighbours in real and synthetic scans four share more than a fifth
of the smaller mask, at most 0.63 (C1 and C2, and low in bent necks), and of 30 doubled places in
them 28 share 0.77 to 0.99 with their neighbour's mask. A disc between two places tells less: along
the line between them, density dips by less than 3 HU in one of twenty pairs of neighbours, and by
more than 39 HU in four of 18 doubled places.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from vertseg.labels import label_of
from vertseg.sequence.doubts import Doubts
from vertseg.sequence.solve import SequenceResult
from vertseg.stages.place_mask import SAME, Masks, shared_part
from vertseg.stages.reference_volumes import REFERENCE_VOLUME_ML

_ATLAS_AND_AXIS = {label_of("C1"), label_of("C2")}
"""C1's point lies at the dens, so that in a bent neck its mask may be that of C2; no level below
hangs on these two."""

SMALL = 0.4
"""A mask is small below so much of what the smaller of its neighbours lets expect at its level. Of
448 vertebrae none has less than 0.79; a crushed one may lose a half."""

_SMALL_COST = 5.0
_FURTHEST_MM = 40.0


def doubts_of(chain: SequenceResult, masks: Masks) -> Doubts:
    """Places with the same mask, and places inside the chain with a small one for their level.

    Args:
        chain: whose places all have masks, unless their crops show nothing.
        masks: place -> its mask, of the chain and of rivals.
    """
    centres = {place: mask.grid.centre_lps_mm for place, mask in masks.items()}
    top = {v.place for v in chain.vertebrae if v.label in _ATLAS_AND_AXIS}
    same = {
        (a, b)
        for a, b in combinations(sorted(masks), 2)
        if not {a, b} <= top
        and np.linalg.norm(np.subtract(centres[a], centres[b])) < _FURTHEST_MM
        and shared_part(masks[a], masks[b]) > SAME
    }
    sizes = [
        (masks[v.place].volume_mm3 if v.place in masks else 0.0) / REFERENCE_VOLUME_ML[v.label]
        for v in chain.vertebrae
    ]
    inner = zip(chain.vertebrae[1:-1], sizes, sizes[1:], sizes[2:], strict=False)
    against = {
        vertebra.place: _SMALL_COST
        for vertebra, above, own, below in inner
        if own < SMALL * min(above, below)
    }
    return Doubts(frozenset(same), against)


def doubled(chain: SequenceResult, doubts: Doubts) -> tuple[tuple[int, int], ...]:
    """Labels of the neighbours of a chain that are one vertebra by their masks."""
    pairs = zip(chain.vertebrae, chain.vertebrae[1:], strict=False)
    return tuple(
        (upper.label, lower.label)
        for upper, lower in pairs
        if doubts.are_same(upper.place, lower.place)
    )
