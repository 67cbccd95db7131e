"""Masks as MetaImage and NRRD files.

Both are a short text and the packed voxels. They are written here and not by ITK, so that they go
through the same atomic writer as every other output, carry every digit of the scan's geometry, and
have the same bytes for the same labels on the same kind of processor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

import numpy as np
import numpy.typing as npt
from isal import igzip, isal_zlib

from vertseg.geometry.directions import opposite
from vertseg.geometry.grid import LabelArray
from vertseg.io.formats import split_suffix
from vertseg.io.image import Image
from vertseg.io.itk_geometry import ItkGeometry
from vertseg.system.atomic import PathLike, atomic_writer

_COMPRESSION_LEVEL = 2  # of ISA-L: thirty times as fast as zlib's 6, and half as large again
_SLAB_BYTES = 16 << 20


def write_meta_image(stream: IO[bytes], labels: LabelArray, geometry: ItkGeometry) -> None:
    """Write a label mask as a compressed MetaImage, ``.mha``.

    Args:
        stream: open for writing.
        labels: uint8, (i, j, k).
        geometry: of the scan.
    """
    packer = isal_zlib.compressobj(_COMPRESSION_LEVEL)
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
    """Write a label mask as a gzipped NRRD with its voxels in the same file; see above."""
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


def gzip_writer(stream: IO[bytes]) -> igzip.IGzipFile:
    """Packs what is written to it into an open stream; without a name or a time of its own."""
    return igzip.IGzipFile("", "wb", _COMPRESSION_LEVEL, stream, mtime=0)


def slabs(labels: LabelArray) -> Iterator[bytes]:
    """The voxels, first index fastest, in pieces of some MiB."""
    planes = max(1, _SLAB_BYTES // (labels.shape[0] * labels.shape[1]))
    for start in range(0, labels.shape[2], planes):
        yield labels[:, :, start : start + planes].tobytes(order="F")


def _row(values: Iterable[float]) -> str:
    return " ".join(repr(value) for value in values)  # the shortest text that gives the number


def _vector(values: Iterable[float]) -> str:
    return f"({','.join(repr(value) for value in values)})"


def write_mask(path: PathLike, labels: npt.NDArray[np.uint8], image: Image) -> None:
    """Write a label mask on exactly the image's grid, packed and of type uint8.

    In NIfTI, shape, qform, sform, their codes, voxel sizes and units are copied from the image's
    header bit by bit; in MetaImage and NRRD, origin, spacing and direction are those of the image.
    So the mask lies where the scan lies in any program. The same labels give the same bytes, on
    the same kind of processor.

    Args:
        path: where to; ``.mha`` or ``.nrrd``, anything else becomes ``.nii.gz``.
        labels: uint8, the image's shape.
        image: the image that was segmented.

    Raises:
        ValueError: shape or type of `labels` is wrong.
        OutputError: the file cannot be written.
    """
    if labels.shape != image.grid.size or labels.dtype != np.uint8:
        expected = f"uint8 {image.grid.size}"
        raise ValueError(f"labels must be {expected}, got {labels.dtype} {labels.shape}")
    write = {".mha": write_meta_image, ".nrrd": write_nrrd}.get(split_suffix(str(path))[1])
    if write is not None:
        with atomic_writer(path) as stream:
            write(stream, labels, image.itk or ItkGeometry.of_grid(image.grid))
        return
    with (
        atomic_writer(path) as stream,
        gzip_writer(stream) as packed,
    ):
        packed.write(image.header.mask_bytes(image.grid.size))
        packed.writelines(slabs(labels))
