"""Damaged files: an image or an error that says why; never a crash, and never a hang.

VERTSEG_DAMAGED_FILES sets how many are tried.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_segmenter import FakeSegmenter, phantom_scan
from tests.support.itk_files import itk_image, write_itk, write_series
from tests.support.mutations import ORIGINALS, damaged_files, damaged_versions
from vertseg.batch.find import find_cases
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.errors import InputError
from vertseg.io.dicom_read import read_series
from vertseg.io.read import read_image

COUNT = int(os.environ.get("VERTSEG_DAMAGED_FILES", "400"))
SECONDS_OF_ONE = 20.0
"""Processor time of the thread that reads, for what takes milliseconds: more is a hang."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("damaged")


def thorough(count: int):
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=COUNT == 400,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("number", range(len(ORIGINALS)))
def test_what_is_damaged_below_is_readable_here(place, number) -> None:
    (place / "a.nii").write_bytes(ORIGINALS[number])
    assert read_image(place / "a.nii").grid.size == (9, 8, 7)


def test_numbers_that_overflow(place) -> None:
    """NIfTI-2 has room for numbers whose squares are infinite."""
    image = nib.Nifti2Image.from_bytes(ORIGINALS[2])
    for name in ("srow_x", "quatern_b", "quatern_c"):
        image.header[name] = 1e200
    image.header["sform_code"] = image.header["qform_code"] = 1
    content = image.header.binaryblock + ORIGINALS[2][540:]
    (place / "a.nii").write_bytes(content)
    read = read_image(place / "a.nii")
    assert sum("singular or not finite: ignored" in text for text in read.warnings) == 2


def test_signalling_nan_in_the_header(place) -> None:
    content = bytearray(ORIGINALS[0])
    content[80:84] = b"\x01\x00\xa0\x7f"  # pixdim[1]
    (place / "a.nii").write_bytes(content)
    assert "voxel sizes nan" in read_image(place / "a.nii").warnings[0]


@thorough(COUNT)
@given(content=damaged_files())
def test_reading_a_damaged_file(place, content) -> None:
    path = place / "a.nii.gz"
    path.write_bytes(content)
    start = time.thread_time()
    try:
        image = read_image(path)
    except InputError as error:
        assert "a.nii.gz" in str(error)
    else:
        assert np.isfinite(image.array).all() and np.isfinite(image.grid.affine_lps).all()
        assert image.array.nbytes < 64 << 20
    assert time.thread_time() - start < SECONDS_OF_ONE


@thorough(max(COUNT // 20, 20))
@given(content=damaged_files())
def test_a_run_over_a_damaged_file(place, content) -> None:
    folder = place / "in"
    folder.mkdir(exist_ok=True)
    (folder / "a.nii.gz").write_bytes(content)
    options = Options(folder, place / "out", resume=False, force=True)
    outcome = run_batch(options, lambda _: FakeSegmenter())
    for _, error in outcome.failures:
        assert isinstance(error, InputError), error
    assert outcome.exit_code == (3 if outcome.failures else 0)
    assert not list((place / "out").glob(".*"))


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A folder with volumes of each format of ITK and one with a DICOM series."""
    folder = tmp_path_factory.mktemp("small")
    image = itk_image(phantom_scan((4, 5, 6)))
    for name in ("packed.mha", "packed.nrrd", "plain.mhd"):
        write_itk(folder / "itk" / name, image)
    for name in ("plain.mha", "plain.nrrd"):
        write_itk(folder / "itk" / name, image, packed=False)
    write_series(folder / "in" / "series", image, g0008_0005="ISO_IR 192")
    return folder


def contents(folder: Path, *suffixes: str) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.suffix in suffixes}


@thorough(max(COUNT // 10, 20))
@given(data=st.data())
def test_reading_a_damaged_file_of_itk(small, data) -> None:
    files = contents(small / "itk", ".mha", ".mhd", ".nrrd")
    name, content = data.draw(damaged_versions(files))
    path = small / "itk" / name
    path.write_bytes(content)
    try:
        image = read_image(path)
    except InputError as error:
        assert name in str(error)
    else:
        assert np.isfinite(image.array).all() and np.isfinite(image.grid.affine_lps).all()
    finally:
        path.write_bytes(files[name])


@thorough(max(COUNT // 20, 20))
@given(data=st.data())
def test_a_series_with_a_damaged_slice(small, data) -> None:
    files = contents(small / "in" / "series", ".dcm")
    name, content = data.draw(damaged_versions(files))
    path = small / "in" / "series" / name
    path.write_bytes(content)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("vertseg.io.dicom_search.SECONDS", 3)
            cases = find_cases(small / "in").cases
        for case in cases:
            image = read_series(case.series, case.name)
            assert np.isfinite(image.array).all()
    except InputError as error:
        assert "in" in str(error)
    finally:
        path.write_bytes(files[name])
