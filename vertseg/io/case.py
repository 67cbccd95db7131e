"""One scan and the names of its outputs."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path

from vertseg.io.dicom_damage import Series
from vertseg.io.formats import MASK_SUFFIXES, files_of, split_suffix


def folded(name: str) -> str:
    """A name as file systems compare it that ignore case or normalise letters.

    >>> folded("p1/Gro\u0308\u00dfe.nii") == folded("P1/GR\u00d6SSE.NII")
    True
    """
    composed = unicodedata.normalize("NFC", name)
    return unicodedata.normalize("NFC", composed.casefold())


BIDS_CT = re.compile(r"(sub-.+)_ct", re.IGNORECASE)
"""Name of a CT scan in BIDS, without its suffix."""


@dataclass(frozen=True)
class Case:
    """One scan and the names of its outputs.

    Attributes:
        path: the file, or the folder of a DICOM series.
        folder: its folder relative to the input folder; outputs mirror it.
        stem: its name without suffix, and in BIDS without ``_ct``.
        bids: whether it is named as in BIDS, ``sub-A_ct.nii.gz``.
        mask_suffix: of the format in which the mask is written.
        series: a DICOM series; None for other formats.
        slug: name of the socket in the layout of grand-challenge.org, else empty.
        given_centroids: centroid file to segment from; None where they are to be found.
    """

    path: Path
    folder: Path
    stem: str
    bids: bool
    mask_suffix: str = ".nii.gz"
    series: Series | None = field(default=None, compare=False, repr=False)
    slug: str = ""
    given_centroids: Path | None = None

    @classmethod
    def from_path(cls, path: Path, root: Path) -> Case:
        """The case of a file that lies somewhere below `root`."""
        stem, suffix = split_suffix(path.name)
        bids = BIDS_CT.fullmatch(stem)
        folder = path.parent.relative_to(root)
        mask_suffix = MASK_SUFFIXES.get(suffix, ".nii.gz")
        return cls(path, folder, bids.group(1) if bids else stem, bids is not None, mask_suffix)

    @classmethod
    def from_series(cls, series: Series, root: Path, alone: bool) -> Case:
        """The case of a DICOM series.

        Args:
            series: somewhere below `root`.
            root: the input folder.
            alone: whether it is the one series of its folder, whose name it then bears.
        """
        folder = series.folder
        named = folder
        if series.archive is not None:  # is a folder without its suffix
            named = series.archive.with_suffix("") / folder.relative_to(series.archive)
        if alone and folder != root:
            place, name = named.parent.relative_to(root), named.name
        else:
            place, name = named.relative_to(root), series.name
        return cls(folder, place, name, False, series=series)

    @property
    def slices(self) -> tuple[Path, ...]:
        """Files of a DICOM series; empty for other formats."""
        return self.series.files if self.series else ()

    @property
    def name(self) -> str:
        """Path of the scan relative to the input folder, for people to read."""
        return (self.folder / (self.stem if self.series else self.path.name)).as_posix()

    @property
    def where(self) -> Path:
        """Path of the scan for messages; that of a DICOM series ends with the series' name."""
        one_of_many = self.series and self.stem != self.path.name
        is_file = self.series is not None and self.path in self.series.files
        return self.path / self.stem if one_of_many and not is_file else self.path

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that hold the scan; raises InputError where one cannot be told."""
        return self.slices or files_of(self.path)

    @property
    def mask(self) -> Path:
        """Multi-label mask, relative to the output folder, like the other outputs."""
        if self.slug:
            return Path("images", self.slug, self.stem + self.mask_suffix)
        return self._output(("_seg-vert_msk" if self.bids else "_seg") + self.mask_suffix)

    @property
    def centroids(self) -> Path:
        """Centroid file."""
        if self.slug:
            return Path(f"{self.slug}.json")
        return self._output("_seg-subreg_ctd.json" if self.bids else "_ctd.json")

    @property
    def markups(self) -> Path:
        """Centroids for 3D Slicer."""
        return self._output("_ctd.mrk.json")

    @property
    def report(self) -> Path:
        """Report."""
        return self._output("_report.json")

    @property
    def preview(self) -> Path:
        """Preview picture."""
        return self._output("_preview.png")

    @property
    def dicom_seg(self) -> Path:
        """The mask as DICOM Segmentation."""
        return self._output("_seg.dcm")

    @property
    def mask_1mm(self) -> Path:
        """Mask with voxels of 1 mm."""
        ending = "_res-1mm_seg-vert_msk" if self.bids else "_res-1mm_seg"
        return self._output(ending + self.mask_suffix)

    @property
    def parts(self) -> Path:
        """Parts of the vertebrae."""
        return self._output(f"_desc-parts_msk{self.mask_suffix}")

    @property
    def bone(self) -> Path:
        """Cortical and trabecular bone."""
        return self._output(f"_desc-bone_msk{self.mask_suffix}")

    @property
    def meshes(self) -> Path:
        """Surfaces of all vertebrae."""
        return self._output("_meshes.glb")

    @property
    def dicom_rtstruct(self) -> Path:
        """Outlines as DICOM RT Structure Set."""
        return self._output("_rtstruct.dcm")

    @property
    def dicom_report(self) -> Path:
        """Measurements as DICOM Structured Report."""
        return self._output("_sr.dcm")

    @property
    def dicom_preview(self) -> Path:
        """Preview as DICOM Secondary Capture."""
        return self._output("_preview.dcm")

    def mesh(self, name: str) -> Path:
        """Surface of one vertebra."""
        return self._output(f"_desc-{name}_mesh.stl")

    def heatmap(self, stage: str) -> Path:
        """Heatmap of a stage."""
        return self._output(f"_desc-{stage}_heatmap.nii.gz")

    def _output(self, ending: str) -> Path:
        # Beside a grand-challenge mask nothing else may lie: the platform takes it for an image.
        return Path(self.slug + ending) if self.slug else self.folder / (self.stem + ending)


def report_places(name: str) -> frozenset[Path]:
    """Where the report of a scan of this name can lie, relative to the output folder.

    The name alone does not tell whether it is a file or a DICOM series, nor in which layout.
    """
    path = Path(name)
    file = Case.from_path(path, Path())
    series = replace(file, stem=path.name, bids=False)
    socket = replace(file, slug=path.parent.name) if path.parent.name else file
    return frozenset(case.report for case in (file, series, socket))
