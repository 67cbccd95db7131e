"""Outputs: whole or absent, and masks that lie exactly where the scan lies."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from vertseg.errors import OutputError
from vertseg.io.image import Image
from vertseg.io.mask import write_mask
from vertseg.io.read import read_image
from vertseg.system.atomic import atomic_writer, write_json, write_text

OBLIQUE = np.array(
    [[0.1, -0.7, 0.3, 12.3], [0.68, 0.12, 0.4, -40.1], [-0.2, 0.1, 2.9, 7], [0, 0, 0, 1.0]]
)
GEOMETRY = (
    *("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d"),
    *("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"),
)


def scan(path: Path, kind=nib.Nifti1Image, shape=(9, 8, 7), **fields) -> Path:
    values = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    image = kind(values, OBLIQUE)
    for name, value in fields.items():
        image.header[name] = value
    image.to_filename(path)
    return path


def labels(shape=(9, 8, 7)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 29, shape).astype(np.uint8)


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize(("qform_code", "sform_code"), [(1, 1), (0, 2), (2, 0), (3, 4), (0, 0)])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_mask_has_the_scans_geometry_bit_by_bit(tmp_path, kind, qform_code, sform_code) -> None:
    path = scan(tmp_path / "a.nii", kind)
    size = 348 if kind is nib.Nifti1Image else 540
    content = bytearray(path.read_bytes())
    header = kind.header_class(bytes(content[:size]))
    header["qform_code"], header["sform_code"] = qform_code, sform_code
    header["qoffset_x"], header["xyzt_units"] = 3.21, 10  # qform and sform disagree
    content[:size] = header.binaryblock
    path.write_bytes(content)

    write_mask(tmp_path / "m.nii.gz", labels(), read_image(path))
    source, mask = nib.load(path), nib.load(tmp_path / "m.nii.gz")
    assert type(mask) is kind and mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(mask.dataobj), labels())
    np.testing.assert_array_equal(mask.affine, source.affine)
    for field in GEOMETRY:
        np.testing.assert_array_equal(mask.header[field], source.header[field], err_msg=field)


def test_mask_of_a_big_endian_scan_and_of_one_frame(tmp_path) -> None:
    values = np.random.default_rng(0).integers(-1000, 1000, (9, 8, 7, 1)).astype(np.int16)
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nib.save(nib.Nifti1Image(values, OBLIQUE, header), tmp_path / "a.nii.gz")
    write_mask(tmp_path / "m.nii.gz", labels(), read_image(tmp_path / "a.nii.gz"))
    source, mask = nib.load(tmp_path / "a.nii.gz"), nib.load(tmp_path / "m.nii.gz")
    assert mask.shape == (9, 8, 7)
    np.testing.assert_array_equal(mask.affine, source.affine)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), labels())


def test_mask_of_an_array_in_memory(tmp_path) -> None:
    values = np.random.default_rng(0).integers(-1000, 1000, (9, 8, 7))
    for affine, code in ((np.diag([-1.0, 2, 3, 1]), 1), (OBLIQUE, 0)):
        write_mask(tmp_path / "m.nii.gz", labels(), Image.from_array(values, affine))
        mask = nib.load(tmp_path / "m.nii.gz")
        np.testing.assert_allclose(mask.affine, affine, atol=1e-5)
        assert (mask.header["sform_code"], mask.header["qform_code"]) == (1, code)
        if code:
            np.testing.assert_allclose(mask.get_qform(), affine, atol=1e-5)
        np.testing.assert_allclose(
            mask.header.get_zooms(), np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-6
        )


def test_mask_in_memory_with_a_very_long_axis(tmp_path) -> None:
    values = np.tile(np.arange(4, dtype=np.int16), 10_000).reshape(1, 1, -1)
    mask = np.zeros(values.shape, np.uint8)
    write_mask(tmp_path / "m.nii.gz", mask, Image.from_array(values, np.eye(4)))
    assert nib.load(tmp_path / "m.nii.gz").shape == values.shape


def test_the_same_mask_has_the_same_bytes(tmp_path) -> None:
    image = read_image(scan(tmp_path / "a.nii"))
    for name, order in (("m1.nii.gz", "C"), ("m2.nii.gz", "F")):
        write_mask(tmp_path / name, np.asarray(labels(), order=order), image)
    assert (tmp_path / "m1.nii.gz").read_bytes() == (tmp_path / "m2.nii.gz").read_bytes()


def test_mask_is_read_alike_by_itk(tmp_path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    values = np.random.default_rng(0).integers(-1000, 1000, (9, 8, 7)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, np.diag([-1.0, -2, 3, 1])), tmp_path / "a.nii")
    write_mask(tmp_path / "m.nii.gz", labels(), read_image(tmp_path / "a.nii"))
    source, mask = (sitk.ReadImage(str(tmp_path / name)) for name in ("a.nii", "m.nii.gz"))
    assert (mask.GetOrigin(), mask.GetSpacing()) == (source.GetOrigin(), source.GetSpacing())
    assert mask.GetDirection() == source.GetDirection()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), labels().T)


def test_wrong_labels_are_refused(tmp_path) -> None:
    image = read_image(scan(tmp_path / "a.nii"))
    for wrong in (labels()[1:], labels().astype(np.int16)):
        with pytest.raises(ValueError, match="labels must be"):
            write_mask(tmp_path / "m.nii.gz", wrong, image)
    assert not (tmp_path / "m.nii.gz").exists()


# ---------------------------------------------------------------- whole or absent


class Stop(Exception):
    """Any failure of the one who writes."""


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("before", [None, b"old"])
def test_nothing_is_left_when_the_writer_raises(tmp_path, error, before) -> None:
    path = tmp_path / "a.json"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(error), atomic_writer(path) as stream:
        stream.write(b"half")
        raise error
    assert [p.name for p in tmp_path.iterdir()] == ([] if before is None else ["a.json"])
    if before is not None:
        assert path.read_bytes() == before


def test_the_file_is_hidden_until_it_is_whole(tmp_path) -> None:
    path = tmp_path / "deep" / "er" / "a.bin"
    with atomic_writer(path) as stream:
        stream.write(b"whole")
        stream.flush()
        (partial,) = path.parent.iterdir()
        assert partial.name.startswith(".") and partial.suffix == ".part"
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]
    assert path.read_bytes() == b"whole"


def test_full_disk_is_an_output_error(tmp_path) -> None:
    path, text = tmp_path / "a.bin", r"a\.bin.*Free some space"
    with pytest.raises(OutputError, match=text) as caught, atomic_writer(path) as stream:
        stream.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_new_files_follow_the_umask(tmp_path) -> None:
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_text_and_json(tmp_path) -> None:
    write_json(tmp_path / "a.json", {"name": "Größe", "values": [1, 2.5, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "name": "Größe",
        "values": [1, 2.5, None],
    }
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", {"value": float("nan")})
    write_text(tmp_path / "c.txt", "odd name \udcff")
    assert (tmp_path / "c.txt").read_text() == "odd name \\udcff"
    assert not (tmp_path / "b.json").exists()
