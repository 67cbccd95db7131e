"""The matrices that blur, slice and deform along one axis."""

import numpy as np
import pytest
from keras import ops
from scipy import ndimage
from scipy.interpolate import BSpline

from models.matrices import blur_matrix
from vertseg.training.sample.axis_matrices import bspline_matrix, row_norm, separable, slice_matrix


@pytest.mark.parametrize("size", [1, 2, 17, 64])
@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.7, 9.0])
def test_blur_rows_sum_to_one(size, sigma):
    matrix = blur_matrix(size, sigma)
    assert matrix.shape == (size, size)
    assert matrix.dtype == np.float32
    assert matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)


def test_blur_agrees_with_scipy_away_from_the_ends():
    values = np.random.default_rng(0).normal(size=60)
    expected = ndimage.gaussian_filter1d(values, 1.5, truncate=8)
    np.testing.assert_allclose((blur_matrix(60, 1.5) @ values)[15:45], expected[15:45], atol=1e-5)


def test_no_blur_is_the_identity():
    np.testing.assert_array_equal(blur_matrix(5, 0.0), np.eye(5))


@pytest.mark.parametrize("size", [4, 33, 96])
@pytest.mark.parametrize("thickness", [0.5, 1.0, 1.3, 2.0, 3.7, 8.0, 50.0])
@pytest.mark.parametrize("offset", [0.0, 0.9])
def test_slice_rows_sum_to_one(size, thickness, offset):
    matrix = slice_matrix(size, thickness, offset)
    assert matrix.shape == (size, size)
    assert matrix.dtype == np.float32
    assert np.isfinite(matrix).all()
    assert matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)


def test_thin_slices_change_nothing():
    np.testing.assert_array_equal(slice_matrix(6, 1.0, 0.3), np.eye(6))


def test_at_a_slice_centre_stands_the_average_over_the_slice():
    """Slices of 5 voxels centred on 2, 7, 12 ... once the offset is 2."""
    values = np.random.default_rng(1).normal(size=40)
    sliced = slice_matrix(40, 5.0, 2.0) @ values
    for centre in range(2, 38, 5):
        mean = values[centre - 2 : centre + 3].mean()
        assert sliced[centre] == pytest.approx(mean, abs=1e-4)


def test_between_slice_centres_runs_a_line():
    values = np.random.default_rng(2).normal(size=40)
    sliced = slice_matrix(40, 5.0, 2.0) @ values
    for first in range(2, 32, 5):
        line = np.linspace(sliced[first], sliced[first + 5], 6)
        np.testing.assert_allclose(sliced[first : first + 6], line, atol=1e-4)


@pytest.mark.parametrize("matrix", [blur_matrix(40, 1.2), slice_matrix(40, 4.0, 0.7)])
def test_ramps_are_kept_inside(matrix):
    ramp = np.arange(40.0)
    away = np.abs(matrix @ ramp - ramp)[8:32]
    assert away.max() < 0.51


def test_row_norm_is_how_much_white_noise_is_damped():
    matrix = blur_matrix(200, 2.0)
    noise = np.random.default_rng(3).normal(size=(200, 2000))
    measured = (matrix @ noise).std()
    assert row_norm(matrix) == pytest.approx(measured, rel=0.02)
    assert row_norm(np.eye(9)) == 1


@pytest.mark.parametrize("controls", [4, 5, 6, 9])
@pytest.mark.parametrize("size", [2, 11, 64])
def test_bspline_is_a_partition_of_unity(size, controls):
    matrix = bspline_matrix(size, controls)
    assert matrix.shape == (size, controls)
    assert matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)


def test_bspline_agrees_with_scipy():
    controls, size = 7, 33
    coefficients = np.random.default_rng(4).normal(size=controls)
    spline = BSpline(np.arange(-2, controls + 2), coefficients, 3)
    expected = spline(np.linspace(1, controls - 2, size))
    np.testing.assert_allclose(bspline_matrix(size, controls) @ coefficients, expected, atol=1e-5)


def test_bspline_repeats_straight_lines():
    values = bspline_matrix(21, 6) @ np.arange(6.0)
    np.testing.assert_allclose(np.diff(values), np.diff(values)[0], atol=1e-5)


def test_separable_applies_each_matrix_to_its_own_axis():
    rng = np.random.default_rng(5)
    volume = rng.normal(size=(4, 5, 6)).astype(np.float32)
    x, y, z = (rng.normal(size=(m, n)).astype(np.float32) for m, n in ((3, 4), (7, 5), (2, 6)))
    expected = np.einsum("xyz,ax,by,cz->abc", volume, x, y, z)
    np.testing.assert_allclose(
        ops.convert_to_numpy(separable(volume, x, y, z)), expected, rtol=1e-4, atol=1e-4
    )
