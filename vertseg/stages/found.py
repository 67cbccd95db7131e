"""What was found in a scan, and the result that is made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vertseg.geometry.boxes import empty_labels, label_boxes
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import PointLps
from vertseg.io.heatmap import Heatmap
from vertseg.io.image import Image
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.sequence.solve import FoundVertebra, SequenceResult
from vertseg.stages import SPINE_ONLY, Stages
from vertseg.stages.fine import FineMask
from vertseg.stages.result import Result, Vertebra

if TYPE_CHECKING:
    from vertseg.stages.vertebrae import Search


@dataclass(frozen=True)
class Found:
    """The output of the first two stages.

    Attributes:
        chain: the vertebrae.
        course: points along the spine, LPS mm.
        heatmaps: those that were asked for.
        search: what the chain was chosen in; None without networks, and as published.
        second_look: what the masks changed in the chain, in words.
        doubled: labels of neighbours that share a mask.
        seconds: that each stage took.
        shortages: warnings about memory that did not suffice for the usual way.
    """

    chain: SequenceResult
    course: tuple[PointLps, ...] = ()
    heatmaps: tuple[Heatmap, ...] = ()
    search: Search | None = None
    second_look: str = ""
    doubled: tuple[tuple[int, int], ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    shortages: tuple[str, ...] = ()


def chain_of(centroids: Sequence[Centroid]) -> SequenceResult:
    """Given centroids as a chain of which no network has said how sure it is."""
    ordered = sorted(centroids, key=lambda c: ORDER_CRANIAL_TO_CAUDAL.index(c.label))
    found = (
        FoundVertebra(c.label, c.point_lps_mm, mass=math.nan, margin=math.inf, place=place)
        for place, c in enumerate(ordered)
    )
    warnings = () if ordered else ("no vertebra is in the centroid file",)
    return SequenceResult(tuple(found), warnings=warnings)


def result_of(
    image: Image,
    found: Found,
    found_labels: npt.NDArray[np.uint8] | None,
    stages: Stages,
    seconds: dict[str, float],
    shortages: tuple[str, ...],
) -> Result:
    """The result of an image.

    Args:
        image: the scan.
        found: its chain, and what else the first two stages found.
        found_labels: uint8 (i, j, k) on the scan's grid; None where nothing was segmented.
        stages: those that were run.
        seconds: of each.
        shortages: warnings about memory that did not suffice for the usual way.
    """
    chain = found.chain
    labels = empty_labels(image.grid) if found_labels is None else found_labels
    voxels = {label: int((labels[b] == label).sum()) for label, b in label_boxes(labels).items()}
    vertebrae = tuple(
        Vertebra(
            *(v.label, v.point_lps_mm, v.score),
            voxels=voxels.get(v.label, 0),
            margin=float(v.margin),
        )
        for v in chain.vertebrae
    )
    empty = [v.name for v in vertebrae if not v.voxels and found_labels is not None]
    warnings = chain.warnings + shortages
    if chain.level_shift_possible and chain.rival and chain.rival.description:
        warnings = (f"levels are uncertain: {chain.rival.description}", *warnings)
    if found.second_look:
        warnings += (found.second_look,)
    if empty:
        warnings += (f"no voxels were segmented for {', '.join(empty)}",)
    return Result(
        image=image,
        labels=labels,
        vertebrae=vertebrae,
        status="ok" if vertebrae or (found.course and stages == SPINE_ONLY) else "no_spine",
        warnings=warnings,
        seconds=seconds,
        margin=float(chain.margin) if chain.rival else math.inf,
        rival=chain.rival.description if chain.rival else "",
        rival_labels=tuple(
            chain.rival.labels.get(v.place) if chain.rival else None for v in chain.vertebrae
        ),
        level_shift_possible=chain.level_shift_possible,
        upside_down_possible=chain.upside_down_possible,
        second_look=found.second_look,
        doubled=found.doubled,
        gaps=chain.gaps,
        left_out=chain.left_out,
        stages=stages,
        spine_lps_mm=found.course,
        heatmaps=found.heatmaps,
    )


def with_fine(result: Result, fine: Sequence[FineMask]) -> Result:
    """The result with the mask at 1 mm, if there is one, of the vertebrae that are listed."""
    listed = [vertebra.label for vertebra in result.vertebrae]
    return replace(result, fine=fine[0].only(listed)) if fine else result
