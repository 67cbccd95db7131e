"""Room for vertebrae that the heatmaps missed.

There may be some where a chain leaves out a level, where a step is wider than its levels are, and
beside two places that are one vertebra.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import PointLps
from vertseg.labels import label_of
from vertseg.sequence.doubts import Doubts
from vertseg.sequence.solve import FoundVertebra, SequenceResult
from vertseg.sequence.steps import Step, left_out_between, steps_of
from vertseg.stages.place_mask import Masks

_C1 = label_of("C1")


@dataclass(frozen=True)
class Room:
    """Room for vertebrae between two neighbours of a chain.

    Attributes:
        upper: the neighbour above.
        lower: the neighbour below.
        labels: of what may be between them, from the head downwards.
    """

    upper: FoundVertebra
    lower: FoundVertebra
    labels: tuple[int, ...]

    @property
    def between(self) -> tuple[int, int]:
        """The places of the two neighbours."""
        return self.upper.place, self.lower.place


def lacking(chain: SequenceResult, doubts: Doubts) -> int:
    """How many vertebrae a chain may lack: levels left out, wide steps, and doubled places."""
    pairs = list(pairwise(chain.vertebrae))
    return (
        sum(len(left_out_between(upper.label, lower.label)) for upper, lower in pairs)
        + sum(step.is_wide for step in steps_of(chain.vertebrae))
        + sum(doubts.are_same(upper.place, lower.place) for upper, lower in pairs)
    )


def rooms_in(chain: SequenceResult, doubts: Doubts, masks: Masks) -> list[Room]:
    """Where a chain may lack vertebrae; beside doubled places only where their mask leaves room.

    Args:
        chain: the chosen chain.
        doubts: which places are one vertebra.
        masks: those of the chain.
    """
    found = chain.vertebrae
    doubled = [doubts.are_same(upper.place, lower.place) for upper, lower in pairwise(found)]
    wide = {step.row for step in steps_of(found) if step.is_wide}
    if any(doubled):
        wide |= _wide_beside(found, doubled, masks)
    rooms = []
    for row, (upper, lower) in enumerate(pairwise(found)):
        labels = left_out_between(upper.label, lower.label)
        if not labels and row in wide:
            labels = (lower.label,)
        if labels:
            rooms.append(Room(upper, lower, labels))
    return rooms


def _wide_beside(found: Sequence[FoundVertebra], doubled: Sequence[bool], masks: Masks) -> set[int]:
    """Rows of the steps above and below doubled places that are wide between their bodies."""
    at_bodies = [Centroid(v.label, middle_of(v, masks)) for v in found]
    usual = {step.row: step.usual_mm for step in steps_of(found)}
    lengths = {step.row: step.length_mm for step in steps_of(at_bodies)}
    pairs = [row for row, is_doubled in enumerate(doubled) if is_doubled]
    beside = {row + side for row in pairs for side in (-1, 1)} & usual.keys()
    return {row for row in beside if Step(row, lengths[row], usual[row]).is_wide}


def middle_of(vertebra: FoundVertebra, masks: Masks) -> PointLps:
    """Middle of the body by the mask; the place itself of C1, and where there is no mask."""
    mask = masks.get(vertebra.place) if vertebra.label != _C1 else None
    return (mask and mask.body_centre_lps_mm()) or vertebra.point_lps_mm
