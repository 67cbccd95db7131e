"""NIfTI headers: read as stored, checked, and copied bit by bit into the header of a mask.

Nothing of what a header declares is believed before it is checked; declared sizes are limited here,
before any memory is taken.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.spatialimages import HeaderDataError

from vertseg.errors import InputError
from vertseg.geometry.grid import Size
from vertseg.io.limits import COPY_REMEDY, limited_size

_LARGEST_OFFSET_BYTES = 64 << 20
_HEADER_BYTES = {1: 348, 2: 540}
_GEOMETRY_FIELDS = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)
_CONVERT_REMEDY = "Convert the scan to NIfTI, for instance with dcm2niix."


@dataclass(frozen=True)
class StoredHeader:
    """A NIfTI header exactly as stored.

    Attributes:
        block: the 348 (NIfTI-1) or 540 (NIfTI-2) header bytes.
        version: 1 or 2.
        endianness: ``"<"`` or ``">"``.
    """

    block: bytes
    version: int
    endianness: str

    @classmethod
    def from_geometry(cls, size: Size, affine_ras: npt.ArrayLike) -> StoredHeader:
        """Header of a new volume with an affine (4, 4).

        The sform gets the code 1, and so does the qform where the affine has no shear.
        """
        version = 1 if max(size) < 2**15 else 2
        header = _HEADER_CLASSES[version](endianness="<")
        header.set_data_shape(size)
        affine = np.asarray(affine_ras, dtype=np.float64)
        header.set_zooms(np.linalg.norm(affine[:3, :3], axis=0))
        header.set_sform(affine, code=1)
        directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        if np.allclose(directions.T @ directions, np.eye(3), atol=1e-6):
            header.set_qform(affine, code=1)
        header.set_xyzt_units("mm")
        return cls(header.binaryblock, version, "<")

    def fields(self) -> Any:
        """A new nibabel header object with these values, unchecked."""
        header_class = _HEADER_CLASSES[self.version]
        return header_class(self.block, endianness=self.endianness, check=False)

    def mask_bytes(self, size: Size) -> bytes:
        """Bytes that stand before the voxels of a uint8 volume with this very geometry."""
        stored, mask = self.fields(), _HEADER_CLASSES[self.version](endianness="<")
        for field in _GEOMETRY_FIELDS:
            mask[field] = stored[field]
        mask.set_data_dtype(np.uint8)
        mask["dim"] = [3, *size, 1, 1, 1, 1]
        mask["magic"] = mask.single_magic
        mask["vox_offset"] = mask.single_vox_offset
        mask["scl_slope"], mask["scl_inter"] = 1, 0
        no_extension = b"\0\0\0\0"
        return cast(bytes, mask.binaryblock) + no_extension


_HEADER_CLASSES: dict[int, Any] = {1: nib.Nifti1Header, 2: nib.Nifti2Header}


@dataclass(frozen=True)
class VoxelLayout:
    """How the voxels lie in the file.

    Attributes:
        size: voxels along i, j, k.
        dtype: stored type with its byte order.
        slope: factor from stored value to HU.
        intercept: added after the factor.
        offset: bytes from the file's start to the first voxel.
    """

    size: Size
    dtype: np.dtype[Any]
    slope: float
    intercept: float
    offset: int

    @property
    def total_bytes(self) -> int:
        """Bytes that the voxels take."""
        return self.size[0] * self.size[1] * self.size[2] * self.dtype.itemsize


def read_header(stream: io.BufferedIOBase, where: str) -> StoredHeader:
    """Read the header from an open stream; raises InputError if it is no NIfTI header."""
    block = stream.read(_HEADER_BYTES[1])
    for version, endianness in ((1, "<"), (1, ">"), (2, "<"), (2, ">")):
        order = "little" if endianness == "<" else "big"
        if int.from_bytes(block[:4], order) == _HEADER_BYTES[version]:  # type: ignore[arg-type]
            break
    else:
        raise _not_nifti(block, where)
    if version == 2:
        block += stream.read(_HEADER_BYTES[2] - _HEADER_BYTES[1])
    if len(block) < _HEADER_BYTES[version]:
        raise InputError("the file is truncated within its header", where, remedy=COPY_REMEDY)
    header = StoredHeader(block, version, endianness)
    magic = bytes(header.fields()["magic"].tobytes())
    if magic[:3] in (b"ni1", b"ni2"):
        raise InputError(
            "is the header of a pair of files", where, "a single .nii or .nii.gz", _CONVERT_REMEDY
        )
    if magic[:3] not in (b"n+1", b"n+2"):
        raise InputError("is an Analyze file, not NIfTI", where, remedy=_CONVERT_REMEDY)
    return header


def _not_nifti(block: bytes, where: str) -> InputError:
    expected = "a NIfTI volume"
    if not block:
        return InputError("the file is empty", where, expected, COPY_REMEDY)
    if block.startswith(b"version https://git-lfs"):
        return InputError("is a Git LFS pointer", where, expected, "Fetch it with: git lfs pull.")
    if block[128:132] == b"DICM":
        return InputError("is a DICOM file", where, expected, _CONVERT_REMEDY)
    if all(byte in b"\t\n\r\f" or byte >= 32 for byte in block) and b"\x7f" not in block:
        return InputError("is a text file", where, expected, "Remove it or give the scan itself.")
    return InputError("is not a NIfTI file", where, expected, _CONVERT_REMEDY)


def voxel_layout(header: StoredHeader, where: str) -> VoxelLayout:
    """Check what the header says about the voxels.

    Raises:
        InputError: several frames, RGB, complex, no voxels, too many, or values out of range.
    """
    fields = header.fields()
    size = _checked_size(fields, where)
    try:
        dtype = np.dtype(fields.get_data_dtype())
        slope, intercept = fields.get_slope_inter()
    except KeyError as error:
        what = f"bad header: unknown voxel type {error}"
        raise InputError(what, where, remedy=_CONVERT_REMEDY) from error
    except (HeaderDataError, ValueError) as error:
        raise InputError(f"bad header: {error}", where, remedy=_CONVERT_REMEDY) from error
    if dtype.fields is not None:
        raise InputError(
            "is a colour (RGB) image", where, "one CT value per voxel", _CONVERT_REMEDY
        )
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        what = f"has voxels of type {dtype.name}"
        raise InputError(what, where, "integers or real numbers of up to 64 bit", _CONVERT_REMEDY)
    offset = float(fields["vox_offset"])
    smallest = fields.single_vox_offset
    if not (offset == 0 or smallest <= offset <= _LARGEST_OFFSET_BYTES):
        raise InputError(f"bad header: voxels at byte {offset:g}", where, remedy=_CONVERT_REMEDY)
    return VoxelLayout(
        size,
        dtype.newbyteorder(header.endianness),
        1.0 if slope is None else slope,
        0.0 if intercept is None else intercept,
        max(int(offset), smallest),
    )


def _checked_size(fields: Any, where: str) -> Size:
    dim = [int(n) for n in fields["dim"]]
    if not 1 <= dim[0] <= 7:
        raise InputError(f"bad header: {dim[0]} dimensions", where, remedy=_CONVERT_REMEDY)
    shape = dim[1 : dim[0] + 1]
    text = "x".join(map(str, shape))
    if min(shape) < 1:
        raise InputError(f"is an empty volume ({text})", where, remedy=_CONVERT_REMEDY)
    if len(shape) < 3:
        raise InputError(f"has only {len(shape)} dimensions ({text})", where, "a 3-D volume")
    if any(n != 1 for n in shape[3:]):
        remedy = "Split the file and give the frame to segment."
        raise InputError(f"has several frames or channels ({text})", where, "one volume", remedy)
    return limited_size((shape[0], shape[1], shape[2]), text, where)
