"""The published networks: parameters counted from the paper's description, peaks, presets."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from models import PRESETS, activate, build_network, preset_from_dict, preset_to_dict
from models.published import SPINE, PublishedMethod, peak_height

FILTERS, LABELS = 64, 25
PAPER = PRESETS["paper"]


def convolution(kernel, inputs, outputs):
    return kernel**3 * inputs * outputs + outputs


def test_scnet_has_five_levels_and_four_large_convolutions():
    """Two 3x3x3 convolutions a level down and up, 64 filters, no stem; then four of 7x7x7."""
    one = convolution(3, FILTERS, FILTERS)
    first = convolution(3, 1, FILTERS) + one
    down = first + 4 * 2 * one
    up = 2 * one + 4 * (convolution(3, 2 * FILTERS, FILTERS) + one)
    spatial = convolution(7, LABELS, FILTERS) + 2 * convolution(7, FILTERS, FILTERS)
    heads = convolution(3, FILTERS, LABELS) + convolution(7, FILTERS, LABELS)
    network = build_network(PAPER, "vertebrae")
    assert network.count_params() == down + up + spatial + heads == 6_497_522
    assert network.output_shape == (None, 96, 96, 128, LABELS)
    kinds = [layer.__class__.__name__ for layer in network.layers]
    assert kinds.count("Conv3D") == 2 * 2 * 5 + 1 + 4
    assert network.get_layer("local_down4_conv1").output.shape == (None, 6, 6, 8, FILTERS)
    quarter = network.get_layer("spatial_pool").output.shape
    assert quarter == (None, 24, 24, 32, LABELS)
    large = [network.get_layer(f"spatial_conv{i}").kernel.shape for i in range(3)]
    large.append(network.get_layer("spatial_head").kernel.shape)
    assert [shape[:3] for shape in large] == [(7, 7, 7)] * 4
    assert network.get_layer("local_down0_conv0_relu").negative_slope == pytest.approx(0.1)


def test_steps_rates_and_factors_of_the_paper():
    stages = (PAPER.spine, PAPER.vertebrae, PAPER.segmentation)
    methods = [stage.published for stage in stages]
    assert [m.steps for m in methods] == [20_000, 100_000, 50_000]
    assert [(m.optimizer, m.rate) for m in methods] == [
        ("adam", 1e-4), ("nesterov", 1e-8), ("adam", 1e-4)
    ]  # fmt: skip
    assert [m.weight_decay for m in methods] == [5e-4, 5e-4, 1e-7]
    assert [m.sigma_decay for m in methods] == [0, 100.0, 0]
    assert [m.target_mass for m in methods] == [0, 1000.0, 0]
    assert PAPER.is_published and not PRESETS["default"].is_published
    assert all(stage.smoothing_sigma_mm == 0.75 for stage in stages)
    assert all(stage.network.dropout == 0 for stage in stages)


def test_the_method_is_part_of_the_stored_preset():
    data = preset_to_dict(PAPER)
    assert preset_from_dict(data).spine.published == SPINE
    data["spine"]["published"]["momentum"] = 0.9
    with pytest.raises(ValueError, match=r"^preset.spine.published: unknown key momentum"):
        preset_from_dict(data)
    assert isinstance(PAPER.spine.published, PublishedMethod)


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0, 4.0])
def test_peaks_are_those_of_gaussians_of_that_mass(sigma):
    axis = np.arange(-20, 21)
    along = np.exp(-0.5 * (axis / sigma) ** 2)
    gaussian = peak_height(1000.0, sigma) * np.einsum("x,y,z->xyz", along, along, along)
    assert gaussian.sum() == pytest.approx(1000.0, rel=1e-3)


def test_maps_are_divided_by_their_peaks():
    sigmas = (2.0, 3.0, 4.0)
    peaks = tuple(peak_height(1000.0, sigma) for sigma in sigmas)
    stage = dataclasses.replace(PAPER.vertebrae, peaks=peaks)
    outputs = np.array(peaks, np.float32)[None, None, None, None] * 0.7
    maps = ops.convert_to_numpy(activate(outputs, stage))
    np.testing.assert_allclose(maps, 0.7, rtol=1e-6)
