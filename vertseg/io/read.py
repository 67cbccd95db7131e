"""Reads a scan of any supported format."""

from __future__ import annotations

import os
from dataclasses import replace

from vertseg.io.archive import is_archive
from vertseg.io.dicom_file import DicomFile
from vertseg.io.formats import ITK_SUFFIXES, split_suffix
from vertseg.io.image import Image
from vertseg.io.nifti_read import check_nifti_header, read_nifti
from vertseg.io.scan_facts import facts_beside


def read_image(path: str | os.PathLike[str]) -> Image:
    """Read a volume, geometry and all; NIfTI in little more memory than its voxels take.

    The stored scale is applied. Whole numbers become int16, others float32, both within the range
    of int16. NaN and infinity become -1024 with a warning. Values of a CT stored without its
    rescale intercept are shifted by -1024 with a warning. How the scan was made is taken from the
    DICOM header, or from ``X.json`` beside ``X.nii.gz``.

    Args:
        path: a folder or zip archive that holds one DICOM series, or a DICOM file of many frames;
            ``.mha``, ``.mhd`` or ``.nrrd`` by name; everything else is NIfTI.

    Raises:
        InputError: of no such format, truncated, damaged, several frames, RGB or complex, empty or
            constant, or without usable geometry; the text says which and what to do.
    """
    where = str(path)
    if os.path.isdir(path) or _may_be_dicom(where):
        from vertseg.io.dicom_read import read_dicom

        return read_dicom(path)
    if split_suffix(where)[1] in ITK_SUFFIXES:
        from vertseg.io.itk_read import read_itk_image

        return replace(read_itk_image(path), facts=facts_beside(path))
    return replace(read_nifti(path), facts=facts_beside(path))


def _may_be_dicom(where: str) -> bool:
    """Whether a file is a zip archive or begins like DICOM, whatever its name."""
    if split_suffix(where)[1] or not os.path.isfile(where):
        return False
    try:
        return is_archive(where) or not DicomFile(where).begin()[0]
    except OSError:
        return False


def check_header(path: str | os.PathLike[str]) -> None:
    """Raise InputError where the header of a NIfTI, MetaImage or NRRD file makes it no scan."""
    where = str(path)
    if split_suffix(where)[1] in ITK_SUFFIXES:
        from vertseg.io.itk_read import check_itk_header

        check_itk_header(path)
        return
    check_nifti_header(path)
