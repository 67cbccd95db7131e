"""A phantom as files: CT, mask and centroids, named as the pipeline names its own outputs."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np

from vertseg.errors import OutputError
from vertseg.phantom.generate import Phantom

_SUFFIX = ".nii.gz"


def write_phantom(
    phantom: Phantom, path: str | os.PathLike[str], step_hu: int = 1
) -> tuple[Path, Path, Path]:
    """Write CT, mask and centroid file beside each other; the same phantom gives the same bytes.

    Args:
        phantom: what to write.
        path: of the CT, ``X.nii.gz``; ``sub-X_ct.nii.gz`` gives BIDS names for the other two.
        step_hu: HU are rounded to multiples of it, which packs better.

    Returns:
        Paths of CT, mask and centroid file.

    Raises:
        OutputError: a file cannot be written, or the name is not that of a packed NIfTI file.
    """
    path = ct_path(path)
    # Late: a phantom in memory needs neither readers nor writers of images.
    import nibabel as nib

    from vertseg.io.case import Case
    from vertseg.io.centroids import write_centroids
    from vertseg.io.mask import write_mask
    from vertseg.system.atomic import atomic_writer

    case = Case.from_path(path, path.parent)
    mask, centroids = path.parent / case.mask, path.parent / case.centroids
    hu = (np.rint(phantom.hu / step_hu) * step_hu).astype(np.int16)
    image = nib.Nifti1Image(hu, phantom.grid.affine_ras)
    image.set_sform(phantom.grid.affine_ras, code=1)
    image.set_qform(phantom.grid.affine_ras, code=1)
    image.header.set_xyzt_units("mm")
    with atomic_writer(path) as stream, gzip.GzipFile("", "wb", 9, stream, mtime=0) as packed:
        packed.write(image.to_bytes())
    write_mask(mask, phantom.vertebra_mask(), phantom.image)
    write_centroids(centroids, phantom.centroids, phantom.grid)
    return path, mask, centroids


def ct_path(path: str | os.PathLike[str]) -> Path:
    """The path of a CT to write, whose name says what it holds, so that readers know it.

    Raises:
        OutputError: it does not.
    """
    checked = Path(path)
    if not checked.name.lower().endswith(_SUFFIX):
        remedy = f"Give a name such as {checked / 'phantom'}{_SUFFIX}."
        if not checked.is_dir():
            remedy = f"Give the name {checked.with_suffix('')}{_SUFFIX}."
        raise OutputError("is not the name of a CT", str(path), f"X{_SUFFIX}", remedy)
    return checked
