"""Chooses the chain again where the masks speak against it, or where it may lack a vertebra.

Masks tell which places are one vertebra, and which are hardly one (`vertseg.stages.mask_doubts`);
the chain is then chosen without these.

Where the chain may lack a vertebra, `vertseg.stages.missed` looks for it. What is found enters the
choice as a further place, of whose level the heatmaps say nothing; the chain that is chosen then
counts if it lacks fewer vertebrae and the masks of its places say nothing against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Float32Array, Grid
from vertseg.io.image import Image
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.sequence.doubts import NO_DOUBTS
from vertseg.sequence.graph import RARE
from vertseg.sequence.solve import FoundVertebra, SequenceResult
from vertseg.stages.mask_doubts import doubled, doubts_of
from vertseg.stages.missed import missed_in, not_apart
from vertseg.stages.place_mask import PlaceMask
from vertseg.stages.rooms import Room, lacking, rooms_in

if TYPE_CHECKING:
    from vertseg.stages.network import StageNetwork
    from vertseg.stages.segmentation import Known
    from vertseg.stages.vertebrae import Search

_MOST_ROUNDS = 3


@dataclass(frozen=True)
class Decision:
    """What a second look comes to.

    Attributes:
        chain: the vertebrae.
        changes: what has changed, in words; empty if nothing.
        doubled: labels of neighbours of the chain that share a mask, though neither can be spared.
    """

    chain: SequenceResult
    changes: str = ""
    doubled: tuple[tuple[int, int], ...] = ()


class SecondLook:
    """Chooses the chain again with what the masks say, where they say something against it.

    Args:
        image: the scan.
        search: the places that the heatmaps propose; None if there was no search.
        chain: the chosen chain.
        network: the segmentation U-Net, for masks of further places.
        known: responses that are not sought again; gets all others.
    """

    def __init__(
        self,
        image: Image,
        search: Search | None,
        chain: SequenceResult,
        network: StageNetwork,
        known: Known | None = None,
    ) -> None:
        self._image = image
        self._search = search
        self._chain = chain
        self._network = network
        self._known = known
        self._doubts = NO_DOUBTS
        self._masks: dict[int, PlaceMask] = {}
        self._places = {vertebra.label: vertebra.place for vertebra in chain.vertebrae}

    def add(self, label: int, response: Float32Array, grid: Grid) -> None:
        """Take in the response (x, y, z) of a vertebra of the chain."""
        self._masks[self._places[label]] = self._mask(response, grid)

    def decide(self) -> Decision:
        """The chain, chosen again where the masks say something against it.

        Masks are made of the rival's places where it is near, and of those that a new choice adds:
        where they speak against that one, too, it is made again, and after some rounds given up.
        Where the chain may lack a vertebra, it is looked for by its mask.
        """
        chosen = self._chain
        if self._search is not None:
            self._see(self._search, places_in_question(chosen, self._masks))
        self._doubts = doubts_of(chosen, self._masks)
        if self._search is not None:
            if self._doubts:
                chosen = self._again(self._search, chosen) or chosen
            chosen = self._with_missed(self._search, chosen)
        changes = change_in_words(self._chain.vertebrae, chosen.vertebrae)
        return Decision(chosen, changes, () if changes else doubled(chosen, self._doubts))

    def _again(self, search: Search, before: SequenceResult) -> SequenceResult | None:
        """A chain without doubts of its own and without a further gap; None if there is none."""
        for _ in range(_MOST_ROUNDS):
            again = search.whole(self._doubts)
            if len(undetected(again)) > len(undetected(before)):
                return None
            self._see(search, [(vertebra.place, vertebra.label) for vertebra in again.vertebrae])
            further = doubts_of(again, self._masks)
            if further <= self._doubts:
                return again
            self._doubts |= further
        return None

    def _with_missed(self, search: Search, chain: SequenceResult) -> SequenceResult:
        """A chain with vertebrae that are found by their masks alone, where it lacked some."""
        tried: set[tuple[int, int]] = set()
        while rooms := [
            room for room in rooms_in(chain, self._doubts, self._masks) if room.between not in tried
        ]:
            tried.add(rooms[0].between)
            search, chain = self._filled(search, chain, rooms[0]) or (search, chain)
        return chain

    def _filled(
        self, search: Search, chain: SequenceResult, room: Room
    ) -> tuple[Search, SequenceResult] | None:
        """The search with what masks show in a room, and its fuller chain; None without one."""
        found = list(missed_in(room, self._masks, self._look))
        if not found:
            return None
        masks, doubts = self._masks, self._doubts
        first = len(search.points_lps_mm)
        search = search.with_places([one.centroid.point_lps_mm for one in found])
        self._masks = masks | {place: one.mask for place, one in enumerate(found, start=first)}
        self._doubts |= not_apart(range(first, first + len(found)), self._masks)
        again = self._again(search, chain)
        if again is not None and self._is_fuller(again, chain):
            return search, again
        self._masks, self._doubts = masks, doubts
        return None

    def _is_fuller(self, chain: SequenceResult, before: SequenceResult) -> bool:
        """Whether a chain lacks fewer vertebrae than before, and has not lost any instead."""
        enough = len(chain.vertebrae) >= len(before.vertebrae)
        return enough and lacking(chain, self._doubts) < lacking(before, self._doubts)

    def _see(self, search: Search, places: Iterable[tuple[int, int]]) -> None:
        """Make masks of those (place, label) that have none."""
        for place, label in places:
            if place not in self._masks:
                mask = self._look(Centroid.at(label, search.points_lps_mm[place]))
                if mask is not None:
                    self._masks[place] = mask

    def _look(self, vertebra: Centroid) -> PlaceMask | None:
        """The network's mask of a place; None where the scan shows nothing there."""
        from vertseg.stages.segmentation import responses

        for _, response, grid in responses(
            self._image, [vertebra], self._network, known=self._known
        ):
            return self._mask(response, grid)
        return None

    def _mask(self, response: Float32Array, grid: Grid) -> PlaceMask:
        return PlaceMask.of(response, grid, self._network.config.threshold)


def places_in_question(chain: SequenceResult, seen: Iterable[int]) -> list[tuple[int, int]]:
    """Place and label of what only the rival takes for vertebrae, where the margin is small.

    Args:
        chain: the chosen chain, with its rival.
        seen: places that have masks.
    """
    if chain.rival is None or not chain.level_shift_possible:
        return []
    known = set(seen)
    return [(place, label) for place, label in chain.rival.labels.items() if place not in known]


def undetected(chain: SequenceResult) -> frozenset[int]:
    """Labels of C1 ... L5 that a chain lacks between its first and its last vertebra.

    A vertebra that was found twice shifts the levels beside it. Where a chain without it has a gap
    instead, it was found once, and its mask is wrong, such as that of its neighbour.
    """
    labels = [vertebra.label for vertebra in chain.vertebrae]
    if not labels:
        return frozenset()
    first, last = (ORDER_CRANIAL_TO_CAUDAL.index(label) for label in (labels[0], labels[-1]))
    return frozenset(ORDER_CRANIAL_TO_CAUDAL[first:last]) - {*labels} - {*RARE}


def change_in_words(before: Sequence[FoundVertebra], after: Sequence[FoundVertebra]) -> str:
    """What a second look has changed; empty if nothing."""
    gone = {v.place: v.name for v in before}
    kept = {v.place: v.name for v in after}
    if gone == kept:
        return ""
    dropped = [name for place, name in gone.items() if place not in kept]
    added = [name for place, name in kept.items() if place not in gone]
    renamed = sum(gone[place] != name for place, name in kept.items() if place in gone)
    parts = []
    if dropped:
        parts.append(f"what was taken for {', '.join(dropped)} is not a separate vertebra")
    if added:
        parts.append(f"{', '.join(added)} {'was' if len(added) == 1 else 'were'} added")
    if renamed:
        parts.append(f"{renamed} vertebrae were renamed")
    return f"second look by the masks: {'; '.join(parts)}"
