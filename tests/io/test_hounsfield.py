"""Hounsfield units, and values that are none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.nifti_files import saved
from vertseg.io.read import read_image


def phantom_hu() -> np.ndarray:
    """A body of soft tissue and fat with bone in air."""
    rng = np.random.default_rng(3)
    array = np.full((40, 40, 40), -1000.0)
    array[5:35, 5:35] = -100
    array[8:32, 8:32] = 50
    array[18:22, 18:22] = 600
    return (array + rng.normal(0, 15, array.shape)).round()


def test_hounsfield_units_are_left_alone(tmp_path) -> None:
    values = phantom_hu().astype(np.int16)
    values[:2], values[-1, 0, 0] = -3024, 12000  # padding outside the field of view, metal
    read = read_image(saved(tmp_path / "a.nii", values))
    assert read.intensities == "hounsfield" and read.warnings == ()
    np.testing.assert_array_equal(read.array, values)


def test_a_part_without_air_and_fat_is_taken(tmp_path) -> None:
    noisy = phantom_hu() + np.random.default_rng(5).normal(0, 25, (40, 40, 40))
    values = noisy[9:31, 9:31].astype(np.int16)
    assert np.mean(values < -50) < 0.005
    read = read_image(saved(tmp_path / "a.nii", values))
    assert read.intensities == "hounsfield" and read.warnings == ()


@pytest.mark.parametrize(
    ("dtype", "padding"),
    [(np.int16, 0), (np.uint16, 0), (np.float32, 0), (np.int16, -2000), (np.float32, -2000)],
)
def test_zero_based_values_are_shifted(tmp_path, dtype, padding) -> None:
    hu = np.maximum(phantom_hu(), -1024)
    stored = hu + 1024
    stored[:3] = padding
    read = read_image(saved(tmp_path / "a.nii", stored.astype(dtype)))
    assert read.intensities == "zero_based" and "shifted" in read.warnings[0]
    np.testing.assert_array_equal(read.array[5:], hu[5:])


def test_shift_cannot_run_over(tmp_path) -> None:
    stored = (np.maximum(phantom_hu(), -1024) + 1024).astype(np.int16)
    stored[:3] = -32768
    read = read_image(saved(tmp_path / "a.nii", stored))
    assert read.intensities == "zero_based" and read.array.max() < 2000


def test_values_of_other_kinds_are_doubted(tmp_path) -> None:
    rng = np.random.default_rng(4)
    hu = phantom_hu()
    doubtful = {
        "scaled 0-1": ((hu + 1000) / 2000).clip(0, 1).astype(np.float32),
        "scaled -1-1": (hu / 1024).clip(-1, 1).astype(np.float32),
        "inverted": np.pad(-hu, 6, constant_values=1000).astype(np.int16),
        "ten times": (10 * hu).astype(np.int16),
        "8 bit": ((hu + 160) / 400 * 255).clip(0, 255).astype(np.uint8),
        "MR": (rng.gamma(2.0, 200.0, hu.shape)).astype(np.int16),
        "labels": (hu > 300).astype(np.uint8),
    }
    for name, values in doubtful.items():
        read = read_image(saved(tmp_path / "a.nii", values))
        assert read.intensities == "unknown", name
        assert "Hounsfield" in read.doubt and not read.warnings


@pytest.mark.parametrize(
    "window",
    [(-160, 240), (-175, 250), (-1350, 150), (-600, 1400), (-450, 1050), (-200, 3071)],
)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_values_limited_to_a_window_are_recognised(tmp_path, window, dtype) -> None:
    rng = np.random.default_rng(6)
    hu = phantom_hu()
    hu[19:21, 19:21] = rng.integers(600, 1900, (2, 2, 40))  # dense bone and teeth
    read = read_image(saved(tmp_path / "a.nii", hu.clip(*window).astype(dtype)))
    assert read.intensities == "windowed" and not read.has_density
    assert f"{max(window[0], hu.min()):g} to {min(window[1], hu.max()):g} HU" in read.doubt


def test_a_window_is_recognised_in_values_that_were_rounded(tmp_path) -> None:
    hu = (phantom_hu() / 16).round() * 16
    read = read_image(saved(tmp_path / "a.nii", hu.clip(-160, 240).astype(np.int16)))
    assert read.intensities == "windowed"


def test_limits_of_scanners_are_no_window(tmp_path) -> None:
    hu = phantom_hu()
    hu[20, 20] = 5000  # metal, at the highest value that is stored
    read = read_image(saved(tmp_path / "a.nii", hu.clip(-1000, 3071).astype(np.int16)))
    assert read.intensities == "hounsfield" and read.warnings == ()
