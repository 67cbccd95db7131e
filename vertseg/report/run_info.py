"""What all cases of a run share, as their reports record it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from vertseg.stages import ALL_STAGES, Stage, Stages
from vertseg.stages.modes import Mode
from vertseg.version import VERSION

if TYPE_CHECKING:  # the command line needs the options before anything else is imported
    from vertseg.io.centroids import CentroidFormat
    from vertseg.stages.segmenter import Segmenter


DICOM = ("dicom_seg", "dicom_rtstruct", "dicom_report", "dicom_preview")
"""Options that change something for DICOM series alone."""

Meshes = Literal["glb", "stl"]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The options that change the outputs of a case; its report records each of them.

    Attributes:
        mode: see `vertseg.stages.modes`.
        precision: ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        tile_overlap: voxels by which tiles of the second stage overlap; None for the default.
        numbering: how numbering variants are treated: ``"auto"``, ``"usual"`` or ``"any"``,
            see `vertseg.sequence.solve.Numbering`.
        centroid_format: of the centroid files.
        stages: those to run, see `vertseg.stages.parse_stages`.
        heatmaps: write the heatmaps of the first two stages, too.
        dicom_seg: write masks of DICOM series as DICOM Segmentation, too.
        dicom_rtstruct: write outlines of DICOM series as RT Structure Set, too.
        dicom_report: write measurements of DICOM series as Structured Report, too.
        dicom_preview: write previews of DICOM series as Secondary Capture, too.
        markups: write centroids for 3D Slicer, too.
        mask_1mm: write the mask with voxels of 1 mm, too.
        parts: divide the vertebrae into their parts, too.
        meshes: write surfaces, too: as one ``"glb"``, or one ``"stl"`` per vertebra.
    """

    mode: Mode = "usual"
    precision: str = "auto"
    tile_overlap: int | None = None
    numbering: str = "auto"
    centroid_format: CentroidFormat = "verse20"
    stages: Stages = ALL_STAGES
    heatmaps: bool = False
    dicom_seg: bool = False
    dicom_rtstruct: bool = False
    dicom_report: bool = False
    dicom_preview: bool = False
    markups: bool = False
    mask_1mm: bool = False
    parts: bool = False
    meshes: Meshes | None = None

    @property
    def dicom(self) -> tuple[str, ...]:
        """Names of the options that are set and change something for DICOM series alone."""
        return tuple(name for name in DICOM if getattr(self, name))

    @property
    def segmentation(self) -> bool:
        """Whether masks are written."""
        return Stage.SEGMENTATION in self.stages

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds them, without what a subclass adds."""
        values = {field.name: getattr(self, field.name) for field in fields(OutputOptions)}
        return {**values, "stages": list(self.stages)}


@dataclass(frozen=True)
class RunInfo:
    """What all cases of a run share; a case is done again where any of it but the device differs.

    Attributes:
        version: of this program.
        weights: ``preset``, the configuration of the networks, and ``sha256``, stage -> hash of
            the weights file.
        options: those that change the outputs.
        device: kind, name, precision and backend, the library that the networks ran on.
    """

    version: str
    weights: dict[str, Any]
    options: OutputOptions
    device: dict[str, Any]

    @property
    def preset(self) -> str:
        """Name of the networks' preset."""
        return str(self.weights["preset"]["name"])

    @classmethod
    def of(cls, segmenter: Segmenter, options: OutputOptions) -> RunInfo:
        """Describe a loaded segmenter."""
        device, manifest = segmenter.device, segmenter.manifest
        hashes = {stage: entry["sha256"] for stage, entry in manifest["files"].items()}
        return cls(
            version=VERSION,
            weights={"preset": manifest["preset"], "sha256": hashes},
            options=options,
            device=device.as_dict(),
        )
