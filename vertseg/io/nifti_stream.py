"""The bytes of a NIfTI file as a stream, unpacked in bounded memory.

Never more bytes are unpacked than the header declares.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import igzip_lib

from vertseg.errors import InputError
from vertseg.io.limits import COPY_REMEDY
from vertseg.io.nifti_header import VoxelLayout

_LARGEST_DEFLATE_RATIO = 1040  # zlib's theoretical limit is 1032
_CHUNK_BYTES = 4 << 20
_PACKED_BYTES = 128 << 10
_GZIP_MAGIC = b"\x1f\x8b"


@contextmanager
def open_nifti(path: str | os.PathLike[str]) -> Iterator[io.BufferedIOBase]:
    """Open a NIfTI file, unpacking it if its content is gzip, whatever its name says.

    Raises:
        InputError: the file cannot be opened or, while the block reads from it, is damaged.
    """
    where = str(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError("is not a file", where, "a .nii or .nii.gz file")
        with open(path, "rb") as stream:
            packed = stream.read(2) == _GZIP_MAGIC
            stream.seek(0)
            if not packed:
                yield stream
                return
            with io.BufferedReader(_Unpacked(stream), _PACKED_BYTES) as unpacked:
                yield unpacked
    except EOFError as error:
        raise InputError("the file is truncated", where, remedy=COPY_REMEDY) from error
    except igzip_lib.IsalError as error:  # type: ignore[misc]
        what = f"the gzip data are damaged ({error})"
        raise InputError(what, where, remedy=COPY_REMEDY) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where) from error


class _Unpacked(io.RawIOBase):
    """Unpacks gzip streams one after another; whatever else follows them is ignored.

    Storage systems and interrupted copies leave bytes behind a file that is whole, and its check
    sum says that it is.

    Args:
        stream: open file.
    """

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream
        self._unpacker = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)

    def readable(self) -> bool:
        """The stream can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as one step goes; 0 at the end.

        Raises:
            EOFError: the file ends within a stream.
            igzip_lib.IsalError: a stream is damaged.
        """
        while True:
            packed = b""
            if self._unpacker.eof:
                packed = self._unpacker.unused_data or self._stream.read(_PACKED_BYTES)
                if not packed.startswith(_GZIP_MAGIC):
                    return 0
                self._unpacker = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
            elif self._unpacker.needs_input:
                packed = self._stream.read(_PACKED_BYTES)
                if not packed:
                    raise EOFError("the file ends within a gzip stream")
            found = self._unpacker.decompress(packed, len(buffer))
            if found:
                buffer[: len(found)] = found
                return len(found)


def check_file_is_long_enough(path: str | os.PathLike[str], layout: VoxelLayout) -> None:
    """Raise InputError if the file cannot hold the declared voxels; nothing is unpacked for it."""
    held = os.path.getsize(path)
    with open(path, "rb") as stream:
        packed = stream.read(2) == _GZIP_MAGIC
    declared = layout.offset + layout.total_bytes
    if declared > held * (_LARGEST_DEFLATE_RATIO if packed else 1):
        what = f"the file is truncated: {held} bytes for {declared} declared"
        raise InputError(what, str(path), remedy=COPY_REMEDY)


def read_chunks(
    stream: io.BufferedIOBase, header_bytes: int, layout: VoxelLayout, where: str
) -> Iterator[npt.NDArray[Any]]:
    """Yield the stored values (n,), flat, first index fastest, in chunks of a few MiB.

    Args:
        stream: open file, of which `header_bytes` have been read.
        header_bytes: see `stream`.
        layout: where and how the voxels lie.
        where: file name for messages.

    Raises:
        InputError: the stream ends before the last voxel.
    """
    _skip(stream, layout.offset - header_bytes, where)
    per_chunk = _CHUNK_BYTES // layout.dtype.itemsize
    left = layout.total_bytes // layout.dtype.itemsize
    while left > 0:
        chunk = np.empty(min(per_chunk, left), layout.dtype)
        _fill(stream, chunk.view(np.uint8).data, where)
        yield chunk
        left -= chunk.size
    stream.read(1)  # at the end of a gzip stream this checks its check sum


def _skip(stream: io.BufferedIOBase, count: int, where: str) -> None:
    _fill(stream, memoryview(bytearray(max(count, 0))), where)


def _fill(stream: io.BufferedIOBase, buffer: memoryview, where: str) -> None:
    done = 0
    while done < len(buffer):
        got = stream.readinto(buffer[done:])
        if not got:
            raise InputError("the file is truncated", where, remedy=COPY_REMEDY)
        done += got
