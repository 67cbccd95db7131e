"""Label masks, in the format of their scan."""

from __future__ import annotations

import numpy as np

from vertseg.geometry.grid import LabelArray
from vertseg.io.formats import split_suffix
from vertseg.io.image import Image
from vertseg.system.atomic import PathLike, atomic_writer


def write_mask(path: PathLike, labels: LabelArray, image: Image) -> None:
    """Write a label mask on exactly the image's grid, packed and of type uint8.

    It takes its geometry from what the image's own file holds (see `StoredForm.write_mask`), so it
    lies where the scan lies in any program. The same labels give the same bytes, on the same kind
    of processor.

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
    with atomic_writer(path) as stream:
        image.stored.write_mask(stream, labels, split_suffix(str(path))[1])
