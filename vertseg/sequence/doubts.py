"""What the masks of places tell, besides the heatmaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Doubts:
    """Reasons against places, by their rows in the solver's input.

    Attributes:
        same: pairs (lower row, higher row) that are one vertebra: they are never neighbours in a
            chain.
        against: row -> nats against a vertebra there.
    """

    same: frozenset[tuple[int, int]] = frozenset()
    against: Mapping[int, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.same or self.against)

    def are_same(self, a: int, b: int) -> bool:
        """Whether two places, by their rows in any order, are one vertebra."""
        return (min(a, b), max(a, b)) in self.same

    def __or__(self, other: Doubts) -> Doubts:
        """Both together."""
        return Doubts(self.same | other.same, {**self.against, **other.against})

    def __le__(self, other: Doubts) -> bool:
        """Whether all of them are in the other ones, too."""
        return self.same <= other.same and self.against.keys() <= other.against.keys()


NO_DOUBTS = Doubts()
"""Nothing is known besides the heatmaps."""
