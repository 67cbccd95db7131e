"""Checks the chain by the masks: which places are one vertebra, and which are hardly one.

The heatmaps may show one vertebra twice, such as dens and body of a tall C2, and name the second
place after the next level; all below is then one level too low. The masks of two such places are
nearly the same: of 988 pairs of neighbours in real and synthetic scans four share more than a fifth
of the smaller mask, at most 0.63 (C1 and C2, and low in bent necks), and of 30 doubled places in
them 28 share 0.77 to 0.99 with their neighbour's mask. A disc between two places tells less: along
the line between them, density dips by less than 3 HU in one of twenty pairs of neighbours, and by
more than 39 HU in four of 18 doubled places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vertseg.geometry.boxes import filled_box
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Float32Array, Grid
from vertseg.io.image import Image
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, label_of
from vertseg.sequence.doubts import Doubts
from vertseg.sequence.graph import RARE
from vertseg.sequence.solve import FoundVertebra, SequenceResult
from vertseg.stages.reference_volumes import REFERENCE_VOLUME_ML

if TYPE_CHECKING:
    from vertseg.stages.network import StageNetwork
    from vertseg.stages.vertebrae import Search

SAME = 0.7
"""Masks that share so much of the smaller one are of one vertebra, but for those of C1 and C2."""

_ATLAS_AND_AXIS = {label_of("C1"), label_of("C2")}
"""C1's point lies at the dens, so that in a bent neck its mask may be that of C2; no level below
hangs on these two."""

SMALL = 0.4
"""A mask is small below so much of what the smaller of its neighbours lets expect at its level. Of
448 vertebrae none has less than 0.79; a crushed one may lose a half."""

_SMALL_COST = 5.0
_FURTHEST_MM = 40.0
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


@dataclass(frozen=True, eq=False)
class PlaceMask:
    """Mask of one place: bool (x, y, z) on a grid of its own."""

    voxels: npt.NDArray[np.bool_]
    grid: Grid

    @classmethod
    def of(cls, response: Float32Array, grid: Grid, threshold: float) -> PlaceMask:
        """The mask of a response (x, y, z) of `vertseg.stages.segmentation.vertebra_responses`."""
        box = filled_box(response > threshold)
        return cls(response[box] > threshold, grid.crop(box))

    @property
    def volume_mm3(self) -> float:
        """Volume of the mask."""
        return float(self.voxels.sum() * self.grid.voxel_volume_mm3)


class SecondLook:
    """Chooses the chain again with what the masks say, where they say something against it.

    Args:
        image: the scan.
        search: the places that the heatmaps propose; None if there was no search.
        chain: the chosen chain.
        network: the segmentation U-Net, for masks of the rival.
    """

    def __init__(
        self, image: Image, search: Search | None, chain: SequenceResult, network: StageNetwork
    ) -> None:
        self._image = image
        self._search = search
        self._chain = chain
        self._network = network
        self._masks: dict[int, PlaceMask] = {}
        self._places = {vertebra.label: vertebra.place for vertebra in chain.vertebrae}

    def add(self, label: int, response: Float32Array, grid: Grid) -> None:
        """Take in the response (x, y, z) of a vertebra of the chain."""
        self._put(self._places[label], response, grid)

    def decide(self) -> Decision:
        """The chain, chosen again where the masks say something against it.

        Masks are made of the rival's places where it is near, and of those that a new choice adds:
        where they speak against that one, too, it is made again, and after some rounds given up.
        """
        if self._search is not None:
            self._see(self._search, places_in_question(self._chain, self._masks))
        doubts = doubts_of(self._chain, self._masks)
        again = self._again(self._search, doubts) if self._search and doubts else None
        if again is None:
            return Decision(self._chain, doubled=doubled(self._chain, doubts))
        return Decision(again, change_in_words(self._chain.vertebrae, again.vertebrae))

    def _again(self, search: Search, doubts: Doubts) -> SequenceResult | None:
        """A chain without doubts of its own and without a further gap; None if there is none."""
        for _ in range(_MOST_ROUNDS):
            again = search.whole(doubts)
            if len(undetected(again)) > len(undetected(self._chain)):
                return None
            self._see(search, [(vertebra.place, vertebra.label) for vertebra in again.vertebrae])
            further = doubts_of(again, self._masks)
            if further <= doubts:
                return again
            doubts |= further
        return None

    def _see(self, search: Search, places: Iterable[tuple[int, int]]) -> None:
        """Make masks of those (place, label) that have none."""
        from vertseg.stages.segmentation import vertebra_responses

        for place, label in places:
            if place not in self._masks:
                vertebra = Centroid.at(label, search.points_lps_mm[place])
                for response in vertebra_responses(self._image, [vertebra], self._network):
                    self._put(place, *response[1:])

    def _put(self, place: int, response: Float32Array, grid: Grid) -> None:
        self._masks[place] = PlaceMask.of(response, grid, self._network.config.threshold)


def shared_part(one: PlaceMask, other: PlaceMask) -> float:
    """Share of the smaller mask that lies within the larger one, 0 where one is empty."""
    small, large = sorted((one, other), key=lambda mask: mask.volume_mm3)
    if not small.voxels.any():
        return 0.0
    points = small.grid.index_to_lps(np.argwhere(small.voxels))
    index = np.rint(large.grid.lps_to_index(points)).astype(int)
    index = index[((index >= 0) & (index < large.voxels.shape)).all(axis=1)]
    return float(large.voxels[tuple(index.T)].sum() / small.voxels.sum())


def doubts_of(chain: SequenceResult, masks: Mapping[int, PlaceMask]) -> Doubts:
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


def doubled(chain: SequenceResult, doubts: Doubts) -> tuple[tuple[int, int], ...]:
    """Labels of the neighbours of a chain that are one vertebra by their masks."""
    pairs = zip(chain.vertebrae, chain.vertebrae[1:], strict=False)
    return tuple(
        (upper.label, lower.label)
        for upper, lower in pairs
        if doubts.are_same(upper.place, lower.place)
    )


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
        parts.append(f"{', '.join(added)} was added")
    if renamed:
        parts.append(f"{renamed} vertebrae were renamed")
    return f"second look by the masks: {'; '.join(parts)}"
