"""Statistics of the offsets between neighbouring vertebrae, and how they were computed.

``python -m vertseg.statistics --data FOLDER`` computes the table that the sequence solver uses from
real spine courses (see `vertseg.courses`) and stores it with its sources and licence.

Offsets are lower minus upper vertebral-body centre in LPS mm. Bodies differ in size: every offset
is divided by the scale of its scan (the mean ratio of its distances to the mean distances of the
levels, drawn to 1 where few distances are known), so that the spread that is left is the spread
of shape and posture at one size.
"""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vertseg.labels import label_of

TABLE = Path(__file__).parent / "data" / "neighbour_offsets.json"

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Offset:
    """Distribution of the offset from an upper to a lower vertebra at scale 1.

    Attributes:
        mean_mm: (3,) mean, lower minus upper, LPS.
        covariance_mm2: (3, 3).
        scans: number of scans that it was computed from.
    """

    mean_mm: np.ndarray
    covariance_mm2: np.ndarray
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute the table and store it."""
    from vertseg.courses import read_courses
    from vertseg.offset_table import compute_table

    parser = argparse.ArgumentParser(prog="python -m vertseg.statistics", description=main.__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the CSV tables")
    parser.add_argument("--output", type=Path, default=TABLE, help="JSON file to write")
    options = parser.parse_args(arguments)
    table = compute_table(read_courses(options.data))
    text = json.dumps(table, indent=1)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(_compact(text) + "\n", encoding="utf-8")


def _compact(text: str) -> str:
    """JSON with every list of numbers and every plain mapping on one line."""
    inner = re.compile(r"\[[\d\s,.e\[\]-]*\]|\{[^{}\[\]]*\}")
    return inner.sub(lambda found: re.sub(r"\s+", " ", found[0]), text)


if __name__ == "__main__":
    main()
