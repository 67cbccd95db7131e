"""The values of DICOM slices in HU.

Plain values lie in their file as they are and are read from there. Packed ones are unpacked in a
process of its own: run lengths by pydicom, JPEG and its kin by GDCM, from a file in memory that
holds nothing else. So nothing that a header says besides, from an inverted display to a distance of
slices of 0, can change or prevent them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from vertseg.errors import InputError
from vertseg.io.dicom_slice import Kind, Slice
from vertseg.system.child import IsolationError, isolated

Plane = npt.NDArray[Any]

_SECONDS = 60
_INT16 = np.iinfo(np.int16)
_ANY_UID = "1.2.3"
_ELEMENT = b"\xe0\x7f\x10\x00OW\0\0"  # the tag of the values, their kind, and then their length
_UNDEFINED_LENGTH = b"\xff\xff\xff\xff"
_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
_DEFLATED, _RUN_LENGTHS = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
_COPY_REMEDY = "Copy or export the whole series again."


def has_whole_numbers(slices: Sequence[Slice]) -> bool:
    """Whether all values are whole HU."""
    return all(value.is_integer() for one in slices for value in one.scale)


def read_planes(slices: Sequence[Slice], where: str) -> Iterator[Plane]:
    """The values of each slice in HU, flat, in the order of the slices.

    Raises:
        InputError: a slice is damaged or has changed since its header was read.
    """
    packed = _unpacked([one for one in slices if one.kind.storage.packed])
    for one in slices:
        try:
            if one.file.state() != one.state:
                what = f"the slice {one.name} has changed while it was read"
                raise InputError(what, where, remedy="Run again when the series is complete.")
            stored = next(packed) if one.kind.storage.packed else _read(one)
        except OSError as error:
            what = f"the slice {one.name} cannot be read: {error.strerror or error}"
            raise InputError(what, where, remedy=_COPY_REMEDY) from error
        except (RuntimeError, ValueError, IsolationError) as error:
            what = f"the slice {one.name} cannot be read, its values are damaged"
            raise InputError(what, where, remedy=_COPY_REMEDY) from error
        columns, rows = one.kind.size
        if stored.size != columns * rows:
            what = f"the slice {one.name} holds {stored.size} values"
            raise InputError(what, where, f"{columns}x{rows}", _COPY_REMEDY)
        yield _hounsfield(stored.reshape(-1), one.scale)
    next(packed, None)  # lets the other process come to the end of its work


def _unpacked(slices: Sequence[Slice]) -> Iterator[Plane]:
    if slices:
        yield from isolated(unpack, slices, seconds=_SECONDS)


def _read(one: Slice) -> Plane:
    """Stored values from their place in the file."""
    found = one.file.read(one.offset, one.kind.plane_bytes)
    if len(found) < one.kind.plane_bytes:
        raise ValueError("the file is cut short")
    return _numbers(found, one.kind)


def _numbers(found: bytes | bytearray, kind: Kind) -> Plane:
    """Numbers from bytes, without what may be stored in bits that they do not use."""
    storage = kind.storage
    order, letter = "><"[not storage.big_endian], "ui"[storage.signed]
    values = np.frombuffer(found, f"{order}{letter}{storage.bits_allocated // 8}")
    above = storage.bits_allocated - 1 - storage.high_bit
    below = storage.high_bit + 1 - storage.bits_stored
    if above > 0 or below > 0:  # shifts of signed numbers keep the sign
        values = (values << max(above, 0)) >> (max(above, 0) + max(below, 0))
    return values


def _hounsfield(stored: Plane, scale: tuple[float, float]) -> Plane:
    """Scaled values: int16 where they fit, else int64, and real numbers for such a scale."""
    slope, intercept = scale
    if stored.dtype.kind not in "iu" or not (slope.is_integer() and intercept.is_integer()):
        return stored * slope + intercept
    ends = [int(value) * int(slope) + int(intercept) for value in (stored.min(), stored.max())]
    if min(ends) < _INT16.min or max(ends) > _INT16.max:
        return stored.astype(np.int64) * int(slope) + int(intercept)
    # Within 16 bit, sums and products that run over come out right.
    values = stored.astype(np.int16)
    if slope != 1:
        values *= np.int64(slope).astype(np.int16)
    if intercept:
        values += np.int64(intercept).astype(np.int16)
    return values


def unpack(slices: Sequence[Slice]) -> Iterator[Plane]:
    """Stored values of packed slices; works in the other process."""
    for _, group in groupby(slices, key=lambda one: one.file):
        several = list(group)
        unpacker = _UNPACKERS.get(several[0].kind.storage.syntax, _by_gdcm)
        try:
            yield from unpacker(several)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # whatever a library makes of damaged bytes
            raise ValueError(f"{type(error).__name__}: {error}") from error


def _inflated(slices: Sequence[Slice]) -> Iterator[Plane]:
    """Values of the slices of one file that is packed as a whole."""
    from pydicom import dcmread

    with slices[0].file.open() as stream:
        values = dcmread(stream, force=True).PixelData
    for one in slices:
        size = one.kind.plane_bytes
        yield _numbers(values[one.frame * size :][:size], one.kind)


def _by_pydicom(slices: Sequence[Slice]) -> Iterator[Plane]:
    """Values in run lengths, which pydicom unpacks in an eighth of GDCM's time."""
    from pydicom.pixels.decoders import RLELosslessDecoder

    first, storage = slices[0], slices[0].kind.storage
    packed = bytes(first.file.read(first.offset, first.state[0] - first.offset))
    for one in slices:
        values, _ = RLELosslessDecoder.as_buffer(
            packed,
            index=one.frame,
            number_of_frames=len(slices),
            rows=one.kind.size[1],
            columns=one.kind.size[0],
            samples_per_pixel=1,
            bits_allocated=storage.bits_allocated,
            bits_stored=storage.bits_stored,
            pixel_representation=int(storage.signed),
            photometric_interpretation="MONOCHROME2",
            pixel_keyword="PixelData",
        )
        yield _numbers(bytes(values), one.kind)


def _by_gdcm(slices: Sequence[Slice]) -> Iterator[Plane]:
    import SimpleITK as sitk

    first = slices[0]
    packed = bytes(first.file.read(first.offset, first.state[0] - first.offset))
    for one, values in zip(slices, _parts(packed, slices), strict=True):
        with _file_in_memory(_head(one.kind) + values) as path:
            yield sitk.GetArrayFromImage(sitk.ReadImage(path, imageIO="GDCMImageIO"))


_UNPACKERS = {_DEFLATED: _inflated, _RUN_LENGTHS: _by_pydicom}


def _parts(packed: bytes, slices: Sequence[Slice]) -> Iterator[bytes]:
    """The element of the values for each slice of a file, whose own ends with `packed`."""
    from pydicom import encaps

    if slices[0].kind.storage.is_plain:  # values whose bits do not fill their bytes
        size = slices[0].kind.plane_bytes
        for one in slices:
            part = packed[one.frame * size :][:size]
            yield _ELEMENT + len(part).to_bytes(4, "little") + part
    elif len(slices) == 1:
        yield _ELEMENT + _UNDEFINED_LENGTH + packed
    else:
        frames = list(encaps.generate_frames(packed, number_of_frames=len(slices)))
        for one in slices:
            item = encaps.encapsulate([frames[one.frame]])
            yield _ELEMENT + _UNDEFINED_LENGTH + item + _END


@lru_cache(maxsize=8)
def _head(kind: Kind) -> bytes:
    """A DICOM file up to its values, with no more than they need."""
    from pydicom import Dataset, dcmwrite, uid

    storage = kind.storage
    small = Dataset()
    small.file_meta = Dataset()
    small.file_meta.TransferSyntaxUID = (
        uid.ExplicitVRLittleEndian if storage.is_plain else storage.syntax
    )
    small.SOPClassUID = uid.CTImageStorage
    small.SOPInstanceUID = _ANY_UID
    small.SamplesPerPixel = 1
    small.PhotometricInterpretation = "MONOCHROME2"
    small.Columns, small.Rows = kind.size
    small.BitsAllocated, small.BitsStored = storage.bits_allocated, storage.bits_stored
    small.HighBit, small.PixelRepresentation = storage.high_bit, int(storage.signed)
    written = io.BytesIO()
    dcmwrite(written, small, enforce_file_format=True)
    return written.getvalue()


@contextmanager
def _file_in_memory(content: bytes) -> Iterator[str]:
    """Path of a file that lies on no disk."""
    descriptor = os.memfd_create("slice.dcm")
    try:
        with open(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
