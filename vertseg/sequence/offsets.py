"""Statistics of the offsets between neighbouring vertebrae, from real spine courses.

``python -m vertseg.training.data.offset_table --data FOLDER`` computes the table.

Offsets are lower minus upper vertebral-body centre in LPS mm. Bodies differ in size: every offset
is divided by the scale of its scan (the mean ratio of its distances to the mean distances of the
levels, drawn to 1 where few distances are known), so that the spread that is left is the spread
of shape and posture at one size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vertseg.geometry.grid import FloatArray
from vertseg.labels import label_of

TABLE = Path(__file__).parents[1] / "data" / "neighbour_offsets.json"

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Offset:
    """Distribution of the offset from an upper to a lower vertebra at scale 1.

    Attributes:
        mean_mm: (3,) mean, lower minus upper, LPS.
        covariance_mm2: (3, 3).
        scans: number of scans that it was computed from.
    """

    mean_mm: FloatArray
    covariance_mm2: FloatArray
    scans: int


@dataclass(frozen=True, eq=False)
class OffsetStatistics:
    """What is known beforehand about the arrangement of vertebrae.

    Attributes:
        neighbours: offsets of pairs (upper label, lower label) that can follow each other
            directly, numbering variants included.
        skips: offsets of pairs with one vertebra between them.
        scale_sd: standard deviation of the scale between scans; its mean is 1.
        variant_priors: probabilities of the numbering variants ``"L6"``, ``"T13"``, ``"no T12"``
            and ``"no C7"``.
    """

    neighbours: dict[Pair, Offset]
    skips: dict[Pair, Offset]
    scale_sd: float
    variant_priors: dict[str, float]


@lru_cache(maxsize=1)
def load_statistics(path: Path = TABLE) -> OffsetStatistics:
    """The stored table; treat it as read-only."""
    table = json.loads(path.read_text(encoding="utf-8"))
    return OffsetStatistics(
        neighbours={_pair(name): _offset(entry) for name, entry in table["neighbours"].items()},
        skips={_pair(name): _offset(entry) for name, entry in table["skips"].items()},
        scale_sd=table["scale"]["sd"],
        variant_priors={name: entry["prior"] for name, entry in table["variants"].items()},
    )


def _pair(name: str) -> Pair:
    upper, lower = name.split("-")
    return label_of(upper), label_of(lower)


def _offset(entry: dict[str, Any]) -> Offset:
    return Offset(np.array(entry["mean_mm"]), np.array(entry["covariance_mm2"]), entry["scans"])


_C6, _C7, _T1 = label_of("C6"), label_of("C7"), label_of("T1")
_T11, _T12, _T13 = label_of("T11"), label_of("T12"), label_of("T13")
_L1, _L2, _L4, _L5, _L6 = (label_of(f"L{number}") for number in (1, 2, 4, 5, 6))
VARIANTS: dict[Pair, Pair] = {
    (_L5, _L6): (_L4, _L5),
    (_T12, _T13): (_T12, _L1),
    (_T13, _L1): (_T12, _L1),
    (_T11, _L1): (_T11, _T12),
    (_C6, _T1): (_C6, _C7),
}
"""Neighbours in spines with a numbering variant, each with the pair that it resembles."""

SKIPS: dict[Pair, int] = {
    **{(label, label + 2): label + 1 for label in range(1, _L4)},
    (_L4, _L6): _L5,
    (_T11, _T13): _T12,
    (_T13, _L2): _L1,
}
"""Pairs with one vertebra between them, and that vertebra."""
