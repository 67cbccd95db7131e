"""Reading NIfTI scans, in little more memory than their voxels take."""

from __future__ import annotations

from contextlib import closing

from vertseg.io.image import Image, assemble_image
from vertseg.io.nifti_affine import choose_grid
from vertseg.io.nifti_header import read_header, voxel_layout
from vertseg.io.nifti_stream import check_file_is_long_enough, open_nifti, read_chunks
from vertseg.io.stored import StoredForm
from vertseg.system.atomic import PathLike
from vertseg.system.threads import ahead


def read_nifti(path: PathLike) -> Image:
    """Read a ``.nii`` or ``.nii.gz`` volume; values are treated as in `read_image`.

    Raises:
        InputError: not of this format, truncated, damaged, several frames, RGB or complex, empty or
            constant, or without usable geometry.
    """
    where = str(path)
    with open_nifti(path) as stream:
        header = read_header(stream, where)
        layout = voxel_layout(header, where)
        grid, warnings = choose_grid(header.fields(), layout.size, where)
        check_file_is_long_enough(path, layout)
        chunks = read_chunks(stream, len(header.block), layout, where)
        stored, scale = StoredForm.of_nifti(header, grid), (layout.slope, layout.intercept)
        with closing(ahead(chunks)) as unpacked:
            return assemble_image(unpacked, layout.dtype, scale, grid, stored, warnings, where)


def check_nifti_header(path: PathLike) -> None:
    """Raise InputError where the header of a file makes it no scan."""
    where = str(path)
    with open_nifti(path) as stream:
        header = read_header(stream, where)
        layout = voxel_layout(header, where)
        choose_grid(header.fields(), layout.size, where)
        check_file_is_long_enough(path, layout)
