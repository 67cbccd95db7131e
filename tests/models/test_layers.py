"""The up-sampling layers against references written without them."""

import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from models.layers import UpsampleCubic, UpsampleLinear
from models.matrices import linear_kernel, upsampling_matrix

LAYERS = [UpsampleLinear, UpsampleCubic]


def run(layer, volume: np.ndarray) -> np.ndarray:
    """Apply a layer to (x, y, z)."""
    outputs = layer(volume[None, ..., None].astype(np.float32))
    return ops.convert_to_numpy(outputs)[0, ..., 0]


def keys(distance: float) -> float:
    """Keys' cubic convolution kernel, a = -1/2, in its textbook form."""
    a, d = -0.5, abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def keys_along(values: np.ndarray, factor: int, axis: int) -> np.ndarray:
    """Cubic convolution along one axis, sample by sample, the border repeated."""
    values = np.moveaxis(values, axis, 0)
    enlarged = np.zeros((len(values) * factor, *values.shape[1:]))
    for sample in range(len(enlarged)):
        position = (sample + 0.5) / factor - 0.5
        first = int(np.floor(position)) - 1
        for source in range(first, first + 4):
            nearest = min(max(source, 0), len(values) - 1)
            enlarged[sample] += keys(position - source) * values[nearest]
    return np.moveaxis(enlarged, 0, axis)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 2, 9)])
def test_linear_agrees_with_scipy(factor, shape):
    volume = np.random.default_rng(factor).normal(size=shape)
    expected = ndimage.zoom(volume, factor, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(run(UpsampleLinear(factor), volume), expected, atol=1e-5)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 2, 9)])
def test_cubic_agrees_with_keys(factor, shape):
    volume = np.random.default_rng(factor).normal(size=shape)
    expected = volume
    for axis in range(3):
        expected = keys_along(expected, factor, axis)
    np.testing.assert_allclose(run(UpsampleCubic(factor), volume), expected, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_constants_stay_and_ramps_go_on_inside(layer):
    np.testing.assert_allclose(run(layer(4), np.full((3, 4, 5), 2.5)), 2.5, rtol=1e-6)
    ramp = np.broadcast_to(np.arange(8.0)[:, None, None], (8, 2, 2))
    position = (np.arange(32) + 0.5) / 4 - 0.5
    inside = slice(8, 24)
    np.testing.assert_allclose(run(layer(4), ramp)[inside, 3, 3], position[inside], atol=1e-5)


def test_cubic_is_exact_for_parabolas_inside():
    x = np.arange(10.0)
    parabola = np.broadcast_to((0.3 * x**2 - x)[None, None, :], (2, 2, 10))
    position = (np.arange(20) + 0.5) / 2 - 0.5
    inside = slice(4, 16)
    expected = (0.3 * position**2 - position)[inside]
    np.testing.assert_allclose(run(UpsampleCubic(2), parabola)[2, 2, inside], expected, atol=1e-4)


@pytest.mark.parametrize("layer", LAYERS)
def test_samples_and_channels_stay_apart(layer):
    batch = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 3)).astype(np.float32)
    together = ops.convert_to_numpy(layer(2)(batch))
    assert together.shape == (2, 6, 8, 10, 3)
    assert layer(2).compute_output_shape(batch.shape) == together.shape
    for sample in range(2):
        for channel in range(3):
            alone = run(layer(2), batch[sample, ..., channel])
            np.testing.assert_allclose(together[sample, ..., channel], alone, atol=1e-5)


def test_every_row_of_the_matrix_sums_to_one():
    for size in (1, 2, 7):
        matrix = upsampling_matrix(linear_kernel, 1, size, 3)
        assert matrix.shape == (3 * size, size)
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_configuration_round_trip(layer):
    made = layer.from_config(layer(4, name="up").get_config())
    assert (made.factor, made.name) == (4, "up")
