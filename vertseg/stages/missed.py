"""Vertebrae that the heatmaps missed, found by their masks.

In room for a vertebra (`vertseg.stages.rooms`) the network is asked for its mask, and asked again
at the middle of the body that it gave. Such a mask is that of a vertebra if it stays where it is,
is as large as its neighbours let expect, and none of their masks is in it.

In 48 real and synthetic scans, places were taken out of what the heatmaps show: 144 times one
vertebra inside the chain, 48 times two neighbours. All were found again, and all names were as
before; two of the 240 lay more than 10 mm off, in a chain that had missed another vertebra. Of 144
looks between neighbours of whole chains one found a vertebra, which that chain had missed. In
spines with T13 or without T12 the numbering may change, as fewer places tell of their levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import FloatArray
from vertseg.sequence.doubts import Doubts
from vertseg.stages.place_mask import SAME, Masks, PlaceMask, shared_part
from vertseg.stages.reference_volumes import REFERENCE_VOLUME_ML
from vertseg.stages.rooms import Room, middle_of

APART = 0.3
"""Neighbours share less of the smaller mask; of 988 pairs four share more than a fifth."""

VOLUME = (0.6, 1.5)
"""What a mask's volume, over that of its level, is at least to the smaller of its neighbours, and
at most to the larger one: in 276 vertebrae 0.74 at least and 1.29 at most."""

_SETTLED_MM = 1.0
_STAYS_MM = 4.0
_MOST_LOOKS = 4

Look = Callable[[Centroid], PlaceMask | None]
"""Asks the network for the mask of a place; None where the scan shows nothing there."""


@dataclass(frozen=True, eq=False)
class Missed:
    """A place that may be a vertebra, and its mask."""

    centroid: Centroid
    mask: PlaceMask


def not_apart(places: Iterable[int], masks: Masks) -> Doubts:
    """Pairs of one of these places and any other one whose masks are not apart."""
    pairs = {(min(a, b), max(a, b)) for a in places for b in masks if a != b}
    return Doubts(frozenset(p for p in pairs if shared_part(masks[p[0]], masks[p[1]]) > APART))


def missed_in(room: Room, masks: Masks, look: Look) -> Iterator[Missed]:
    """What may be vertebrae in the room between two others: those that their masks do not rule out.

    A mask may still overlap that of a neighbour whose place lies half a level off, and which the
    solver may leave out in its favour; the first one that overlaps neither ends the search for a
    level.

    Args:
        room: where to look.
        masks: those of the chain.
        look: asks the network.
    """
    beside = [(v.label, masks[v.place]) for v in (room.upper, room.lower) if v.place in masks]
    for number, label in enumerate(room.labels, start=1):
        for start in _starts(room, number / (len(room.labels) + 1), masks):
            found = _settled(Centroid.at(label, start), look)
            if found is None or not _has_fitting_volume(found, beside):
                continue
            shared = max(shared_part(found.mask, mask) for _, mask in beside)
            if shared <= SAME:
                yield found
            if shared <= APART:
                break


def _starts(room: Room, part: float, masks: Masks) -> Iterator[FloatArray]:
    """Points (3,) at a part of the way between the two bodies, and between the two places."""
    upper, lower = room.upper, room.lower
    for ends in (
        (middle_of(upper, masks), middle_of(lower, masks)),
        (upper.point_lps_mm, lower.point_lps_mm),
    ):
        first, last = np.array(ends)
        yield first + part * (last - first)


def _settled(place: Centroid, look: Look) -> Missed | None:
    """The place that is the middle of its own mask, looked for from a start; None without one."""
    for _ in range(_MOST_LOOKS):
        mask = look(place)
        middle = mask and mask.body_centre_lps_mm()
        if not mask or not middle:
            return None
        found = Missed(place, mask)
        moved = float(np.linalg.norm(np.subtract(middle, place.point_lps_mm)))
        if moved < _SETTLED_MM:
            break
        place = Centroid(place.label, middle)
    return found if moved < _STAYS_MM else None


def _has_fitting_volume(found: Missed, beside: Sequence[tuple[int, PlaceMask]]) -> bool:
    """Whether a mask is as large as those beside it, with their labels, let expect."""
    if not beside:
        return False
    ratios = [mask.volume_mm3 / REFERENCE_VOLUME_ML[label] for label, mask in beside]
    own = found.mask.volume_mm3 / REFERENCE_VOLUME_ML[found.centroid.label]
    return VOLUME[0] * min(ratios) <= own <= VOLUME[1] * max(ratios)
