"""How well parts are separated: ``python -m vertseg.evaluate.phantom_parts``.

The parts of parametric phantoms are known. Prints the mean Dice of each part by region of the
spine, from true masks with voxels of 1 mm.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Container, Sequence

import numpy as np
import numpy.typing as npt

from vertseg.geometry.frames import SpineFrame
from vertseg.geometry.grid import Grid
from vertseg.labels import VERTEBRAE
from vertseg.measure.body import measure_body
from vertseg.measure.parts import BODY, PARTS, WHOLE, split_parts
from vertseg.phantom import box_grid, draw_subject
from vertseg.phantom.patch import cut_patch
from vertseg.phantom.spine import PosedVertebra
from vertseg.phantom.vertebra import nearest_part, vertebra_box, vertebra_shape

PartArray = npt.NDArray[np.uint8]

_SEEDS = (1, 2, 3, 5)
_REACH_MM, _STEP_MM = 70.0, 1.0
_UNDIVIDED = ("C1", "C2")
_LEVELS = frozenset(vertebra.name for vertebra in VERTEBRAE)
_IDS = {part.name: part.id for part in PARTS}


def true_parts(vertebra: PosedVertebra) -> tuple[Grid, PartArray]:
    """Grid and true part (i, j, k) of each voxel, 0 outside, of a phantom's vertebra, C3 to L6."""
    centre = vertebra.frame.origin
    grid = box_grid(centre - _REACH_MM, centre + _REACH_MM, _STEP_MM)
    patch = cut_patch(grid, vertebra.frame, *vertebra_box(vertebra))
    if patch is None:
        raise ValueError(f"{vertebra.name} does not lie around its own origin")
    names, nearest = nearest_part(patch, vertebra)
    parts = np.array([_IDS[name] for name in names], np.uint8)[nearest]
    parts[vertebra_shape(patch, vertebra, 150.0).distance >= 0] = 0
    return grid.crop(patch.slices), parts


def score_parts(vertebra: PosedVertebra) -> dict[str, float]:
    """Dice of each part, and of all that is not the body, of a vertebra; 0 where none is found."""
    grid, truth = true_parts(vertebra)
    mask = truth > 0
    frame = SpineFrame(vertebra.frame.origin, vertebra.frame.axes)
    found = split_parts(mask, grid, vertebra.label, measure_body(mask, grid, frame))
    scores = {p.name: dice(found == p.id, truth == p.id) for p in PARTS if p.id != WHOLE}
    behind = dice(mask & (found != BODY) & (found != WHOLE), mask & (truth != BODY))
    return {**scores, "all behind the body": behind}


def dice(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Dice coefficient of two masks of one shape, of which one holds something."""
    both, sum_ = np.count_nonzero(one & other), np.count_nonzero(one) + np.count_nonzero(other)
    return float(2 * int(both) / int(sum_))


def parts_table(seeds: Sequence[int] = _SEEDS, levels: Container[str] = _LEVELS) -> str:
    """Mean Dice of each part by region of the spine, in Markdown.

    Args:
        seeds: of the phantoms.
        levels: names of the vertebrae to take.
    """
    scores: dict[str, list[dict[str, float]]] = defaultdict(list)
    for seed in seeds:
        for vertebra in draw_subject(seed).spine.vertebrae:
            if vertebra.name in levels and vertebra.name not in _UNDIVIDED:
                scores[vertebra.region].append(score_parts(vertebra))
    lines = [f"| part | {' | '.join(scores)} |", "|---" * (len(scores) + 1) + "|"]
    for part in next(iter(scores.values()))[0]:
        means = [np.mean([row[part] for row in rows]) for rows in scores.values()]
        lines.append(f"| {part} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    print(parts_table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
