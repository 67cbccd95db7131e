"""What a user can ask of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertseg.batch.shards import Shard
from vertseg.stages import STAGES, Mode, Stages

if TYPE_CHECKING:  # the command line needs the options before anything else is imported
    from vertseg.io.centroids import CentroidFormat


@dataclass(frozen=True)
class Options:
    """The options of the command line, checked by it.

    Attributes:
        input: folder with scans, or one scan.
        output: folder for the outputs, which mirrors the input folder.
        weights: folder with the weights; None for those that come with the program.
        device: ``"auto"``, ``"gpu"`` or ``"cpu"``.
        precision: ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        tile_overlap: voxels by which tiles of the second stage overlap; None for the default.
        threads: processor threads; None for all.
        centroid_format: of the centroid files.
        resume: leave out cases that are complete.
        only: shell pattern of file names or relative paths; None for all.
        force: also run on scans whose values do not look like HU.
        verbose: log details and tracebacks.
        selftest: check weights, device and networks instead of a run.
        centroids: folder with centroid files from which to segment; None to find all vertebrae.
        stages: those to run, see `vertseg.stages.parse_stages`.
        heatmaps: write the heatmaps of the first two stages, too.
        dicom_seg: write masks of DICOM series as DICOM Segmentation, too.
        gpus: how many GPUs work at once, each in a process of its own; 0 for all, None for one.
        shard: the share of the scans to do; None for all.
        merge: only write summary and gallery of what all shards have done.
        mode: see `vertseg.stages`.
    """

    input: Path
    output: Path
    weights: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    tile_overlap: int | None = None
    threads: int | None = None
    centroid_format: CentroidFormat = "verse20"
    resume: bool = True
    only: str | None = None
    force: bool = False
    verbose: bool = False
    selftest: bool = False
    centroids: Path | None = None
    stages: Stages = STAGES
    heatmaps: bool = False
    dicom_seg: bool = False
    gpus: int | None = None
    shard: Shard | None = None
    merge: bool = False
    mode: Mode = "usual"

    @property
    def segmentation(self) -> bool:
        """Whether masks are written."""
        return STAGES[2] in self.stages

    def recorded(self) -> dict[str, Any]:
        """Those that change the outputs of a case, for its report."""
        return {
            "mode": self.mode,
            "precision": self.precision,
            "tile_overlap": self.tile_overlap,
            "centroid_format": self.centroid_format,
            "stages": list(self.stages),
            "heatmaps": self.heatmaps,
            "dicom_seg": self.dicom_seg,
        }
