"""Whether a file whose name speaks of a mask holds labels, or a CT of a patient called Maskell."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vertseg.errors import InputError
from vertseg.io.formats import ITK_SUFFIXES, split_suffix
from vertseg.io.itk_read import stored_values
from vertseg.io.nifti_header import read_header, voxel_layout
from vertseg.io.nifti_stream import open_nifti, read_chunks

_LARGEST_BYTE = 255
_MOST_LABELS = 256


def is_label_map(path: Path) -> bool | None:
    """Whether a volume holds labels, or a map of probabilities, and surely no CT.

    Hounsfield units begin at -1000, also where 1024 was added. Labels are never negative, and
    either none is larger than 255 or they are whole and few. The first voxels reveal a CT.

    Args:
        path: a NIfTI, MetaImage or NRRD file.

    Returns:
        None if it cannot be read.
    """
    try:
        with closing(_values(path)) as chunks:
            return _are_labels(chunks)
    except InputError:
        return None


def _are_labels(chunks: Iterable[npt.NDArray[Any]]) -> bool:
    largest, distinct, whole = 0.0, np.zeros(0), True
    for chunk in chunks:
        values = chunk[np.isfinite(chunk)] if chunk.dtype.kind == "f" else chunk
        if values.size == 0:
            continue
        if values.min() < 0:
            return False
        largest = max(largest, float(values.max()))
        if whole and len(distinct) <= _MOST_LABELS:
            distinct = np.union1d(distinct, np.unique(values))
            whole = bool((distinct == np.rint(distinct)).all())
        if largest > _LARGEST_BYTE and not (whole and len(distinct) <= _MOST_LABELS):
            return False
    return True


def _values(path: Path) -> Generator[npt.NDArray[Any], None, None]:
    """The values chunk by chunk; of a type that holds no CT, nothing more than its largest."""
    if split_suffix(path.name)[1] in ITK_SUFFIXES:
        yield from stored_values(path)
        return
    where = str(path)
    with open_nifti(path) as stream:
        header = read_header(stream, where)
        layout = voxel_layout(header, where)
        if layout.dtype == np.uint8 and (layout.slope, layout.intercept) == (1.0, 0.0):
            yield np.array([_LARGEST_BYTE], np.uint8)
            return
        for chunk in read_chunks(stream, len(header.block), layout, where):
            yield chunk * layout.slope + layout.intercept
