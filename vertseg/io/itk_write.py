"""Masks as MetaImage and NRRD files.

Both are a short text and the packed voxels. They are written here and not by ITK, so that they go
through the same atomic writer as every other output, carry every digit of the scan's geometry, and
have the same bytes for the same labels on the same kind of processor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO

from isal import isal_zlib

from vertseg.geometry.directions import opposite
from vertseg.geometry.grid import LabelArray
from vertseg.io.itk_geometry import ItkGeometry
from vertseg.io.packing import COMPRESSION_LEVEL, gzip_writer, slabs


def write_meta_image(stream: IO[bytes], labels: LabelArray, geometry: ItkGeometry) -> None:
    """Write a label mask as a compressed MetaImage, ``.mha``.

    Args:
        stream: open for writing.
        labels: uint8, (i, j, k).
        geometry: of the scan.
    """
    packer = isal_zlib.compressobj(COMPRESSION_LEVEL)
    packed = [packer.compress(slab) for slab in slabs(labels)]  # labels pack to a hundredth
    packed.append(packer.flush())
    grid = geometry.grid((labels.shape[0], labels.shape[1], labels.shape[2]))
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(sum(map(len, packed))),
        "TransformMatrix": _row(value for column in geometry.columns for value in column),
        "Offset": _row(geometry.origin),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": opposite(grid.axis_codes()),  # ITK names where axes come from
        "ElementSpacing": _row(geometry.spacing),
        "DimSize": _row(labels.shape),
        "ElementType": "MET_UCHAR",
        "ElementDataFile": "LOCAL",
    }
    stream.write("".join(f"{name} = {value}\n" for name, value in fields.items()).encode())
    stream.writelines(packed)


def write_nrrd(stream: IO[bytes], labels: LabelArray, geometry: ItkGeometry) -> None:
    """Write a label mask (i, j, k) as a gzipped NRRD with its voxels in the same file."""
    steps = [
        [value * spacing for value in column]
        for column, spacing in zip(geometry.columns, geometry.spacing, strict=True)
    ]
    lines = (
        "NRRD0004",
        "type: unsigned char",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {_row(labels.shape)}",
        f"space directions: {' '.join(map(_vector, steps))}",
        "kinds: domain domain domain",
        "encoding: gzip",
        f"space origin: {_vector(geometry.origin)}",
    )
    stream.write(("\n".join(lines) + "\n\n").encode())
    with gzip_writer(stream) as packed:
        packed.writelines(slabs(labels))


def _row(values: Iterable[float]) -> str:
    return " ".join(repr(value) for value in values)  # the shortest text that gives the number


def _vector(values: Iterable[float]) -> str:
    return f"({','.join(repr(value) for value in values)})"
