"""What cannot be read is refused with a reason and a remedy."""

from __future__ import annotations

import gzip
import os
import tracemalloc

import numpy as np
import pytest

from tests.support.nifti_files import ct, saved
from vertseg.errors import InputError
from vertseg.io.read import read_image

REFUSED = {
    "several frames": np.zeros((4, 4, 4, 3), np.int16),
    "constant": np.full((4, 4, 4), 7, np.int16),
    "constant, ": np.zeros((4, 4, 4), np.float32),
    "complex": np.zeros((4, 4, 4), np.complex64),
    "RGB": np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")]),
    "dimensions": np.zeros((4, 4), np.int16),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_volumes_that_are_no_ct(tmp_path, reason) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        read_image(saved(tmp_path / "a.nii.gz", REFUSED[reason]))
    assert caught.value.where.endswith("a.nii.gz")


def test_all_not_finite_is_constant(tmp_path) -> None:
    with pytest.raises(InputError, match="constant"):
        read_image(saved(tmp_path / "a.nii", np.full((4, 4, 4), np.nan, np.float32)))


def test_zero_size(tmp_path) -> None:
    path = saved(tmp_path / "a.nii", dim=[3, 4, 0, 4, 1, 1, 1, 1])
    with pytest.raises(InputError, match="empty volume"):
        read_image(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_truncated(tmp_path, name, share) -> None:
    path = saved(tmp_path / name, ct((40, 40, 40)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="truncated|empty"):
        read_image(path)


def test_damaged_gzip(tmp_path) -> None:
    path = saved(tmp_path / "a.nii.gz", ct((40, 40, 40)))
    content = bytearray(path.read_bytes())
    content[-6] ^= 255  # check sum
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_image(path)


OTHER_FILES = {
    "text file": b"patient,age\n1,60\n" * 100,
    "short": b"hello",
    "DICOM": bytes(128) + b"DICM" + bytes(1000),
    "git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "not a NIfTI file": bytes(range(256)) * 4,
    "the file is empty": b"",
    "dcm2niix": b"PK\x03\x04" + bytes(500),
}


@pytest.mark.parametrize("text", OTHER_FILES)
def test_other_files_are_recognised(tmp_path, text) -> None:
    for content in (OTHER_FILES[text], gzip.compress(OTHER_FILES[text])):
        (tmp_path / "a.nii").write_bytes(content)
        with pytest.raises(InputError, match="text file" if text == "short" else text):
            read_image(tmp_path / "a.nii")


def test_places_that_are_no_file(tmp_path) -> None:
    (tmp_path / "folder.nii").mkdir()
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "broken.nii").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds 0 DICOM series"):
        read_image(tmp_path / "folder.nii")
    with pytest.raises(InputError, match="is not a file"):
        read_image(tmp_path / "pipe.nii")
    for name in ("broken.nii", "absent.nii"):
        with pytest.raises(InputError, match="No such file"):
            read_image(tmp_path / name)


def test_header_of_a_pair_and_analyze(tmp_path) -> None:
    with pytest.raises(InputError, match="pair of files"):
        read_image(saved(tmp_path / "a.nii", magic=b"ni1"))
    with pytest.raises(InputError, match="Analyze"):
        read_image(saved(tmp_path / "a.nii", magic=b""))


def test_declared_sizes_take_no_memory(tmp_path) -> None:
    tracemalloc.start()
    for dim in ([3, 1000, 1000, 1000], [3, 32767, 32767, 32767], [3, -5, 4, 4], [0, 4, 4, 4]):
        for name in ("a.nii", "a.nii.gz"):
            path = saved(tmp_path / "a.nii", dim=[*dim, 1, 1, 1, 1])
            if name.endswith("gz"):
                path.write_bytes(gzip.compress(path.read_bytes()))
            with pytest.raises(InputError):
                read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("rest", [b"rest of an older file" * 9, bytes(100), b"x"])
def test_bytes_after_a_whole_gzip_stream_are_passed_over(tmp_path, rest) -> None:
    path = saved(tmp_path / "a.nii.gz", ct((40, 40, 40)))
    path.write_bytes(path.read_bytes() + rest)
    np.testing.assert_array_equal(read_image(path).array, ct((40, 40, 40)))


def test_gzip_streams_one_after_another_are_one_file(tmp_path) -> None:
    whole = saved(tmp_path / "a.nii", ct((40, 40, 40))).read_bytes()
    parts = [whole[:200], whole[200:9000], whole[9000:]]
    (tmp_path / "b.nii.gz").write_bytes(b"".join(map(gzip.compress, parts)) + b"rest")
    np.testing.assert_array_equal(read_image(tmp_path / "b.nii.gz").array, ct((40, 40, 40)))
    (tmp_path / "c.nii.gz").write_bytes(b"".join(map(gzip.compress, parts[:2])) + b"rest")
    with pytest.raises(InputError, match="truncated"):
        read_image(tmp_path / "c.nii.gz")


def test_gzip_bomb_is_unpacked_only_as_far_as_declared(tmp_path) -> None:
    path = saved(tmp_path / "a.nii")
    with gzip.open(tmp_path / "bomb.nii.gz", "wb", compresslevel=1) as stream:
        stream.write(path.read_bytes())
        for _ in range(200):
            stream.write(bytes(1 << 20))
    tracemalloc.start()
    np.testing.assert_array_equal(read_image(tmp_path / "bomb.nii.gz").array, ct())
    assert tracemalloc.get_traced_memory()[1] < 32 << 20
    tracemalloc.stop()


def test_any_damage_to_the_header_is_an_image_or_an_input_error(tmp_path) -> None:
    rng = np.random.default_rng(0)
    content = saved(tmp_path / "a.nii", ct((6, 5, 4))).read_bytes()
    refused = 0
    for _ in range(1500):
        mutated = bytearray(content)
        for place in rng.integers(0, 352, rng.integers(1, 6)):
            mutated[place] = rng.integers(256)
        (tmp_path / "b.nii").write_bytes(mutated)
        try:
            read = read_image(tmp_path / "b.nii")
            assert np.isfinite(read.array).all() and np.isfinite(read.grid.affine_lps).all()
        except InputError as error:
            assert "b.nii" in str(error)
            refused += 1
    assert refused > 100
