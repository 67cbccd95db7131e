"""MetaImage and NRRD: read where ITK says they lie, masks on exactly the same grid."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.support.fake_segmenter import FakeSegmenter, phantom_scan
from tests.support.itk_files import OBLIQUE, SAGITTAL, itk_image, write_itk
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import InputError
from vertseg.io.formats import files_of, split_suffix
from vertseg.io.image import Image
from vertseg.io.mask import write_mask
from vertseg.io.read import read_image

NAMES = ("a.mha", "b.mhd", "c.nrrd")
DIRECTIONS = {"oblique": OBLIQUE, "sagittal": SAGITTAL, "mirrored": np.diag([-1.0, 1, -1])}


def geometry(image: sitk.Image) -> tuple:
    return (image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection())


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_voxels_lie_where_itk_says(tmp_path, name, packed) -> None:
    for directions in DIRECTIONS.values():
        stored = write_itk(tmp_path / name, itk_image(directions=directions), packed)
        read = read_image(tmp_path / name)
        np.testing.assert_array_equal(read.array, sitk.GetArrayFromImage(stored).T)
        assert read.array.dtype == np.int16 and read.warnings == ()
        for index in ((0, 0, 0), (3, 7, 11), (11, 0, 13)):
            expected = stored.TransformIndexToPhysicalPoint(index)
            np.testing.assert_allclose(read.grid.index_to_lps(index), expected, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("directions", DIRECTIONS.values(), ids=DIRECTIONS)
def test_mask_has_the_format_and_the_grid_of_the_scan(tmp_path, name, directions) -> None:
    scan = tmp_path / "in" / name
    write_itk(scan, itk_image(directions=directions, spacing=(4.1, 10 / 3, 3.7)))
    source = sitk.ReadImage(str(scan))
    place = source.TransformIndexToPhysicalPoint((5, 6, 9))
    options = Options(input=tmp_path / "in", output=tmp_path / "out")
    outcome = run_batch(options, lambda _: FakeSegmenter({20: place}))
    assert outcome.exit_code == 0
    stem, suffix = split_suffix(name)
    (path,) = (tmp_path / "out").glob(f"{stem}_seg.*")
    assert path.suffix == {".mhd": ".mha"}.get(suffix, suffix)
    mask = sitk.ReadImage(str(path))
    for ours, theirs in zip(geometry(mask), geometry(source), strict=True):
        if suffix == ".nrrd":  # holds the products of spacing and direction only
            np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=1e-15)
        else:
            assert ours == theirs
    assert mask.GetPixelID() == sitk.sitkUInt8
    labels = sitk.GetArrayFromImage(mask).T
    assert labels[5, 6, 9] == 20 and set(np.unique(labels)) == {0, 20}
    centroids = json.loads((tmp_path / "out" / f"{stem}_ctd.json").read_text())
    assert centroids[1] == {"label": 20, "X": 5.0, "Y": 6.0, "Z": 9.0}
    if directions is SAGITTAL:
        assert centroids[0] == {"direction": ["P", "I", "R"]}


@pytest.mark.parametrize("name", ["m.mha", "m.nrrd"])
def test_masks_are_packed_and_have_the_same_bytes(tmp_path, name) -> None:
    write_itk(tmp_path / "a.mha", itk_image(phantom_scan((40, 40, 40))))
    image = read_image(tmp_path / "a.mha")
    labels = np.zeros(image.grid.size, np.uint8)
    labels[10:20, 10:20, 5:30] = 28
    contents = set()
    for order in "CF":
        write_mask(tmp_path / name, np.asarray(labels, order=order), image)
        contents.add((tmp_path / name).read_bytes())
    assert len(contents) == 1 and len(contents.pop()) < 4000
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name))).T
    np.testing.assert_array_equal(found, labels)


def test_a_mask_of_a_volume_from_elsewhere_lies_on_its_grid(tmp_path) -> None:
    affine = np.array([[0, 0, 2.0, 5], [-3, 0, 0, 6], [0, -4, 0, 7], [0, 0, 0, 1]])
    image = Image.from_array(phantom_scan((8, 9, 10)), affine)
    write_mask(tmp_path / "m.mha", np.ones((8, 9, 10), np.uint8), image)
    mask = sitk.ReadImage(str(tmp_path / "m.mha"))
    for index in ((0, 0, 0), (7, 3, 9)):
        expected = image.grid.index_to_lps(index)
        np.testing.assert_allclose(mask.TransformIndexToPhysicalPoint(index), expected)


def test_scans_in_float_and_shifted_values_are_treated_as_in_nifti(tmp_path) -> None:
    values = phantom_scan((12, 13, 14)).astype(np.float32) + np.float32(0.25)
    values[0, 0, 0] = np.nan
    write_itk(tmp_path / "a.mha", itk_image(values))
    read = read_image(tmp_path / "a.mha")
    assert read.array.dtype == np.float32 and read.array[0, 0, 0] == -1024
    assert "not finite" in read.warnings[0]


def test_a_volume_of_one_frame_is_taken_and_others_are_refused(tmp_path) -> None:
    one = sitk.JoinSeries(itk_image())
    write_itk(tmp_path / "a.mha", one)
    assert read_image(tmp_path / "a.mha").grid.size == (12, 13, 14)
    write_itk(tmp_path / "b.mha", sitk.JoinSeries(itk_image(), itk_image()))
    write_itk(tmp_path / "c.mha", sitk.Compose(itk_image(), itk_image()))
    write_itk(tmp_path / "d.mha", itk_image()[:, :, 3])
    reasons = {"b": "several frames", "c": "has 2 values per voxel", "d": "has the size 12x13"}
    for name, reason in reasons.items():
        with pytest.raises(InputError, match=reason):
            read_image(tmp_path / f"{name}.mha")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("frames", [1, 2])
def test_a_sequence_of_3d_slicer_is_read_if_it_has_one_frame(tmp_path, first, frames) -> None:
    """NRRD of four axes, of which a list is the first or the last."""
    values = phantom_scan((12, 13, 14))
    whole = np.stack([values] * frames, axis=0 if first else 3)
    steps = ["(4,0,0)", "(0,3.5,0)", "(0,0,3)"]
    head = [
        *("NRRD0005", "type: short", "dimension: 4", "space: left-posterior-superior"),
        f"sizes: {' '.join(map(str, whole.shape))}",
        f"space directions: {' '.join(['none', *steps] if first else [*steps, 'none'])}",
        f"kinds: {'list domain domain domain' if first else 'domain domain domain list'}",
        *("endian: little", "encoding: raw", "space origin: (1,2,3)"),
    ]
    content = "\n".join(head).encode() + b"\n\n" + whole.astype("<i2").tobytes(order="F")
    (tmp_path / "a.nrrd").write_bytes(content)
    if frames > 1:
        with pytest.raises(InputError, match="frames"):
            read_image(tmp_path / "a.nrrd")
        return
    image = read_image(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(image.array, values)
    np.testing.assert_allclose(image.grid.spacing, (4, 3.5, 3))
    np.testing.assert_allclose(image.grid.origin, (1, 2, 3))


@pytest.mark.parametrize("name", ["a.mha", "c.nrrd"])
@pytest.mark.parametrize("packed", [True, False])
def test_damaged_files_are_refused(tmp_path, name, packed) -> None:
    write_itk(tmp_path / name, packed=packed)
    whole = (tmp_path / name).read_bytes()
    for length in (0, 40, len(whole) * 2 // 3):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(InputError, match="cannot be read") as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value) and caught.value.remedy
    with pytest.raises(InputError, match="No such file"):
        read_image(tmp_path / "absent.mha")


def test_a_header_that_declares_far_more_than_the_file_holds_takes_no_memory(tmp_path) -> None:
    write_itk(tmp_path / "a.mha")
    text = (
        (tmp_path / "a.mha").read_bytes().replace(b"DimSize = 12 13 14", b"DimSize = 999 999 999")
    )
    (tmp_path / "a.mha").write_bytes(text)
    with pytest.raises(InputError, match="truncated"):
        read_image(tmp_path / "a.mha")
    (tmp_path / "a.mha").write_bytes(text.replace(b"999 999 999", b"9999 9999 9999"))
    with pytest.raises(InputError, match="declares"):
        read_image(tmp_path / "a.mha")


def test_nrrd_without_a_space_is_doubted(tmp_path) -> None:
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 12 13 14\nspacings: 2 2 3\n"
    header += "endian: little\nencoding: raw\n\n"
    voxels = phantom_scan((12, 13, 14)).tobytes(order="F")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + voxels)
    assert "names no space" in read_image(tmp_path / "a.nrrd").warnings[0]


def test_the_file_of_the_voxels_belongs_to_the_scan(tmp_path) -> None:
    write_itk(tmp_path / "in" / "b.mhd", packed=False)
    scan = tmp_path / "in" / "b.mhd"
    assert [path.name for path in files_of(scan)] == ["b.mhd", "b.raw"]

    def run() -> FakeSegmenter:
        segmenter = FakeSegmenter()
        run_batch(Options(input=tmp_path / "in", output=tmp_path / "out"), lambda _: segmenter)
        return segmenter

    assert (run().calls, run().calls) == (1, 0)
    write_itk(scan, itk_image(phantom_scan((12, 13, 14)) + np.int16(3)), packed=False)
    assert run().calls == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, name) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="is not a file"):
        read_image(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    options = Options(input=tmp_path, output=tmp_path / "out")
    assert run_batch(options, lambda _: FakeSegmenter()).exit_code == 3


@pytest.mark.parametrize("separator", ["= ./", ": ", ":"])
def test_voxels_beside_the_header_are_read(tmp_path: Path, separator) -> None:
    whole = write_itk(tmp_path / "b.mhd", packed=False)
    text = (tmp_path / "b.mhd").read_text().replace("= b.raw", f"{separator}b.raw")
    (tmp_path / "b.mhd").write_text(text)
    assert [path.name for path in files_of(tmp_path / "b.mhd")] == ["b.mhd", "b.raw"]
    assert np.array_equal(read_image(tmp_path / "b.mhd").array.T, sitk.GetArrayViewFromImage(whole))


SECRET = np.full(4 * 4 * 4, 42, "<i2")


@pytest.mark.parametrize("suffix", [".mhd", ".mha"])
@pytest.mark.parametrize("field", ["ElementDataFile = {}", "ElementDataFile : {}"])
@pytest.mark.parametrize("name", ["{folder}/other/x.raw", "../other/x.raw", "LIST\n../other/x.raw"])
def test_a_meta_image_never_leaves_its_folder(tmp_path: Path, suffix, field, name) -> None:
    scan = other_patient(tmp_path) / f"a{suffix}"
    header = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 4 4 4\n"
    last = field.format(name.format(folder=tmp_path))
    scan.write_text(f"{header}ElementType = MET_SHORT\n{last}\n")
    check_refused(scan)


@pytest.mark.parametrize("field", ["data file: {}", "datafile: {}", "Data File: {}"])
@pytest.mark.parametrize(
    "name", ["{folder}/other/x.raw", "../other/x.raw", "LIST\n../other/x.raw", "../other/%c.raw"]
)
def test_a_nrrd_never_leaves_its_folder(tmp_path: Path, field, name) -> None:
    scan = other_patient(tmp_path) / "a.nrrd"
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\n"
    last = field.format(name.format(folder=tmp_path))
    scan.write_text(f"{header}endian: little\nspace: left-posterior-superior\n{last}\n")
    check_refused(scan)


def test_a_pipe_beside_the_header_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.raw")
    scan = tmp_path / "a.nrrd"
    scan.write_text("NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\ndata file: x.raw\n")
    check_refused(scan)


def other_patient(folder: Path) -> Path:
    (folder / "other").mkdir()
    (folder / "other" / "x.raw").write_bytes(SECRET.tobytes())
    (folder / "given").mkdir()
    return folder / "given"


def check_refused(scan: Path) -> None:
    for read in (files_of, read_image):
        with pytest.raises(InputError, match="its voxels") as caught:
            read(scan)
        assert caught.value.remedy


@pytest.mark.parametrize(
    "name", ["../x.raw", "/etc/passwd", "LIST", "x%03d.raw 1 9 1", "x.raw", ""]
)
def test_voxels_elsewhere_are_refused(tmp_path: Path, name) -> None:
    write_itk(tmp_path / "b.mhd", packed=False)
    text = (tmp_path / "b.mhd").read_text().replace("b.raw", name)
    (tmp_path / "b.mhd").write_text(text)
    with pytest.raises(InputError) as caught:
        files_of(tmp_path / "b.mhd")
    assert caught.value.remedy
    with pytest.raises(InputError):
        read_image(tmp_path / "b.mhd")
