"""The result of the pipeline for one scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import PointLps
from vertseg.io.heatmap import Heatmap
from vertseg.io.image import Image
from vertseg.stages import ALL_STAGES, SPINE_ONLY, Stage, Stages
from vertseg.stages.fine import FineMask


@dataclass(frozen=True, kw_only=True)
class Vertebra(Centroid):
    """One vertebra that was found.

    Its point is the centre of the vertebral body, its score the height of its heatmap, 0 to 1, or
    None where the centroid was given.

    Attributes:
        voxels: size of its mask in voxels of the scan.
        margin: nats between the chosen chain and the best one that labels this place otherwise.
    """

    voxels: int
    margin: float = float("inf")

    @property
    def centroid_lps_mm(self) -> PointLps:
        """Another name of `point_lps_mm`."""
        return self.point_lps_mm

    @property
    def peak(self) -> float:
        """The score, NaN where the centroid was given."""
        return float("nan") if self.score is None else self.score


@dataclass(frozen=True)
class Result:
    """What was found in one scan.

    Attributes:
        image: the scan.
        labels: uint8 label map on the scan's own grid.
        vertebrae: from the head downwards.
        status: ``ok``, or ``no_spine`` where nothing was found.
        warnings: sentences that a reader of the result should know.
        seconds: wall-clock time of each stage.
        margin: nats between the best chain of labels and its rival; infinite without a rival.
        rival: the rival in words.
        rival_labels: label of each of `vertebrae` in the rival; None where it has none.
        level_shift_possible: whether the margin is too small to trust the level.
        upside_down_possible: whether the vertebrae would fit about as well upside down.
        second_look: what the masks have changed in the chain, in words; empty for nothing.
        doubled: labels of neighbours whose masks, before they are set apart, are the same.
        gaps: labels of vertebrae inside the chain that were not detected.
        left_out: labels of vertebrae that were found, but are cut by the border of the scan.
        stages: those that have run; without the third `labels` is empty.
        spine_lps_mm: points along the spine as the first stage sees it, from the head downwards.
        heatmaps: of the first two stages, if the segmenter keeps them.
        fine: the mask at 1 mm, if the segmenter was asked for it.
        changed: a sentence on what a person has changed since; empty if nothing.
    """

    image: Image
    labels: npt.NDArray[np.uint8]
    vertebrae: tuple[Vertebra, ...]
    status: Literal["ok", "no_spine"]
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    margin: float
    rival: str
    level_shift_possible: bool
    upside_down_possible: bool = False
    rival_labels: tuple[int | None, ...] = ()
    second_look: str = ""
    doubled: tuple[tuple[int, int], ...] = ()
    gaps: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    stages: Stages = ALL_STAGES
    spine_lps_mm: tuple[PointLps, ...] = ()
    heatmaps: tuple[Heatmap, ...] = ()
    fine: FineMask | None = None
    changed: str = ""

    @property
    def segmented(self) -> bool:
        """Whether the third stage has run."""
        return Stage.SEGMENTATION in self.stages

    @property
    def has_centroids(self) -> bool:
        """Whether vertebrae were sought or given, not the spine alone."""
        return self.stages != SPINE_ONLY
