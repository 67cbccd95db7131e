"""How a scan is stored, which is how its mask is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from vertseg.geometry.grid import Grid, LabelArray
from vertseg.io.itk_geometry import ItkGeometry
from vertseg.io.itk_write import write_meta_image, write_nrrd
from vertseg.io.nifti_header import StoredHeader
from vertseg.io.packing import gzip_writer, slabs


@dataclass(frozen=True)
class StoredForm:
    """The geometry of a scan in the words of its file, and in those of the other formats.

    A mask that is written from it lies where the scan lies, in any program.

    Attributes:
        header: of a NIfTI file; as stored, if the scan is one.
        geometry: of a MetaImage or NRRD file; as stored, if the scan is one.
    """

    header: StoredHeader
    geometry: ItkGeometry

    @classmethod
    def of_nifti(cls, header: StoredHeader, grid: Grid) -> StoredForm:
        """That of a NIfTI file, whose header was understood as `grid`."""
        return cls(header, ItkGeometry.of_grid(grid))

    @classmethod
    def of_itk(cls, geometry: ItkGeometry, grid: Grid) -> StoredForm:
        """That of a MetaImage or NRRD file, whose grid is `grid`."""
        return cls(StoredHeader.from_geometry(grid.size, grid.affine_ras), geometry)

    @classmethod
    def of_grid(cls, grid: Grid) -> StoredForm:
        """That of a scan from other formats, or from memory."""
        header = StoredHeader.from_geometry(grid.size, grid.affine_ras)
        return cls(header, ItkGeometry.of_grid(grid))

    def write_mask(self, stream: IO[bytes], labels: LabelArray, suffix: str) -> None:
        """Write a label mask of the scan.

        In NIfTI, shape, qform, sform, their codes, voxel sizes and units are those of the header
        bit by bit; in MetaImage and NRRD, origin, spacing and direction are those of the geometry.

        Args:
            stream: open for writing.
            labels: uint8 (i, j, k).
            suffix: ``.mha`` or ``.nrrd``; anything else becomes packed NIfTI.
        """
        if suffix == ".mha":
            write_meta_image(stream, labels, self.geometry)
        elif suffix == ".nrrd":
            write_nrrd(stream, labels, self.geometry)
        else:
            i, j, k = labels.shape
            with gzip_writer(stream) as packed:
                packed.write(self.header.mask_bytes((i, j, k)))
                packed.writelines(slabs(labels))
