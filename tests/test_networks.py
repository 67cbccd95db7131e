"""Golden tests of the networks: sizes, shapes, what their parts compute."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

from models import PRESETS, NetworkConfig, activate, build_network, stage_names
from models.heads import gaussian_peak, null_softmax
from models.scnet import LogProduct, build_scnet
from models.unet import build_unet

PAPER_PARAMETERS = {"spine": 2_548_353, "vertebrae": 6_054_962, "segmentation": 2_550_081}

SMALL_SCNET = NetworkConfig(
    "scnet", (4, 6), outputs=3, negative_slope=0.1, head_sigma=0.3, spatial_filters=5
)


def unet_parameters(filters: int, levels: int, inputs: int, outputs: int) -> int:
    """Weights and biases of a U-Net of equal levels, counted from its description."""
    one = 27 * filters * filters + filters
    first = 27 * inputs * filters + filters
    down = first + one + (levels - 1) * 2 * one
    bottom = 2 * one
    up = (levels - 1) * (27 * 2 * filters * filters + filters + one)
    return down + bottom + up + 27 * filters * outputs + outputs


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="module")
def paper_networks():
    return {stage: build_network(PRESETS["paper"], stage) for stage in stage_names()}


def test_paper_parameter_counts(paper_networks):
    counts = {stage: network.count_params() for stage, network in paper_networks.items()}
    assert counts == PAPER_PARAMETERS
    assert counts["spine"] == unet_parameters(64, 5, 1, 1)
    assert counts["segmentation"] == unet_parameters(64, 5, 2, 1)


@pytest.mark.parametrize("name", PRESETS)
def test_shapes_of_every_stage(name):
    for stage in stage_names():
        config = getattr(PRESETS[name], stage)
        network = build_network(PRESETS[name], stage)
        assert network.name == stage
        assert network.input_shape == (None, *config.size, config.network.inputs)
        assert network.output_shape == (None, *config.size, config.network.outputs)
        assert network.outputs[0].dtype == "float32"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_fit_together(name):
    preset = PRESETS[name]
    for stage in (preset.spine, preset.vertebrae, preset.segmentation):
        step = 2 ** (len(stage.network.filters) - 1)
        assert all(length % step == 0 for length in stage.size)
    assert len(preset.vertebrae.labels) == preset.vertebrae.network.outputs
    assert 0 < preset.vertebrae.overlap < preset.vertebrae.size[2]
    assert preset.segmentation.network.inputs == 2


def test_another_size_keeps_the_weights():
    own = build_network(PRESETS["default"], "segmentation")
    other = build_network(PRESETS["default"], "segmentation", (32, 48, 16))
    assert other.input_shape == (None, 32, 48, 16, 2)
    assert [w.shape for w in other.weights] == [w.shape for w in own.weights]


def test_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="expected one of spine, vertebrae, segmentation"):
        build_network(PRESETS["paper"], "spline")


def test_dropout_acts_in_training_only(rng):
    config = NetworkConfig("unet", (4, 4), dropout=0.5, head_sigma=0.5)
    network = build_unet(config, (8, 8, 8), "small")
    image = rng.normal(size=(1, 8, 8, 8, 1)).astype(np.float32)
    still = [ops.convert_to_numpy(network(image, training=False)) for _ in range(2)]
    moving = [ops.convert_to_numpy(network(image, training=True)) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    assert np.abs(moving[0] - moving[1]).max() > 1e-3


def test_heads_start_small_and_hidden_layers_he_normal(paper_networks):
    network = paper_networks["spine"]
    head = ops.convert_to_numpy(network.get_layer("head").kernel)
    hidden = ops.convert_to_numpy(network.get_layer("down1_conv0").kernel)
    assert head.std() == pytest.approx(0.001, rel=0.1)
    assert hidden.std() == pytest.approx(np.sqrt(2 / (27 * 64)), rel=0.05)
    assert not np.any(ops.convert_to_numpy(network.get_layer("head").bias))


def test_unet_sees_as_far_as_its_levels_and_no_further():
    """A change in one corner moves the output near it and, here, leaves the far corner alone."""
    config = NetworkConfig("unet", (3, 3), negative_slope=0.1, head_sigma=1.0)
    network = build_unet(config, (64, 8, 8), "small")
    image = np.zeros((1, 64, 8, 8, 1), np.float32)
    before = ops.convert_to_numpy(network(image))
    image[0, 0, 0, 0, 0] = 1.0
    change = np.abs(ops.convert_to_numpy(network(image)) - before)[0, ..., 0]
    assert change[:4, :4, :4].max() > 0
    assert change[32:].max() == 0


@pytest.mark.parametrize("combination", ["product", "log_product"])
def test_scnet_combines_its_two_parts(combination, rng):
    config = dataclasses.replace(SMALL_SCNET, combination=combination)
    network = build_scnet(config, (16, 8, 8), "small")
    parts = keras.Model(
        network.input,
        [network.get_layer(n).output for n in ("local_head", "spatial_upsample")],
    )
    image = rng.normal(size=(1, 16, 8, 8, 1)).astype(np.float32)
    local, spatial = (ops.convert_to_numpy(part).astype(np.float64) for part in parts(image))
    output = ops.convert_to_numpy(network(image))
    if combination == "product":
        np.testing.assert_allclose(output, local * spatial, atol=1e-5)
    else:
        gate = 1 / (1 + np.exp(-spatial))
        np.testing.assert_allclose(output, np.log(np.exp(local) * gate), atol=1e-5)


def test_spatial_part_works_at_the_low_resolution():
    network = build_scnet(SMALL_SCNET, (16, 8, 24), "small")
    assert network.get_layer("spatial_pool").output.shape == (None, 4, 2, 6, 3)
    assert network.get_layer("spatial_conv0").kernel.shape == (7, 7, 7, 3, 5)
    assert network.get_layer("spatial_head").kernel.shape == (7, 7, 7, 5, 3)


def test_log_product_is_the_log_of_the_product(rng):
    local, spatial = rng.normal(scale=4, size=(2, 1, 3, 4, 5, 2)).astype(np.float32)
    expected = np.log(np.exp(local.astype(float)) / (1 + np.exp(-spatial.astype(float))))
    got = ops.convert_to_numpy(LogProduct()([local, spatial]))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_log_product_stays_finite_where_the_product_underflows():
    extreme = np.full((1, 1, 1, 1, 1), -500, np.float32)
    got = ops.convert_to_numpy(LogProduct()([extreme, extreme]))
    np.testing.assert_allclose(got, -1000)


def test_null_softmax_sums_to_the_probability_of_being_there(rng):
    logits = rng.normal(scale=3, size=(2, 4, 5, 6, 3)).astype(np.float32)
    mass = np.exp(logits.astype(float)).sum(axis=(1, 2, 3))
    total = ops.convert_to_numpy(null_softmax(logits)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(total, mass / (mass + 1), rtol=1e-5)


def test_null_softmax_at_the_ends_of_its_range():
    shape = (1, 2, 2, 2, 1)
    even = ops.convert_to_numpy(null_softmax(np.zeros(shape, np.float32)))
    np.testing.assert_allclose(even, 1 / 9, rtol=1e-6)
    nowhere = ops.convert_to_numpy(null_softmax(np.full(shape, -1e4, np.float32)))
    np.testing.assert_array_equal(nowhere, 0)
    sure = np.full(shape, -1e4, np.float32)
    sure[0, 1, 0, 1, 0] = 1e4
    expected = (sure > 0).astype(np.float32)
    np.testing.assert_array_equal(ops.convert_to_numpy(null_softmax(sure)), expected)


@pytest.mark.parametrize("gather_px", [0.0, 1.5])
def test_a_sure_landmark_peaks_at_one(gather_px):
    stage = dataclasses.replace(
        PRESETS["default"].vertebrae,
        activation="null_softmax",
        sigma_px=2.0,
        gather_px=gather_px,
    )
    x = np.arange(-15, 16.0)
    squared = x[:, None, None] ** 2 + x[None, :, None] ** 2 + x[None, None, :] ** 2
    density = np.exp(-0.5 * squared / stage.sigma_px**2)
    assert 1 / density.sum() == pytest.approx(gaussian_peak(stage.sigma_px), rel=1e-4)
    logits = (np.log(density) + 15).astype(np.float32)[None, ..., None]
    heatmap = ops.convert_to_numpy(activate(logits, stage))[0, ..., 0]
    wide = np.exp(-0.5 * squared / (stage.sigma_px**2 + gather_px**2))
    np.testing.assert_allclose(heatmap, wide, atol=2e-3)
    certain = np.full_like(logits, -100)
    certain[0, 15, 15, 15, 0] = 100
    assert ops.convert_to_numpy(activate(certain, stage)).max() == 1.0


def test_other_activations():
    spine = PRESETS["paper"].spine
    logits = np.array([-2.0, 0.0, 2.0], np.float32).reshape(1, 1, 1, 3, 1)
    np.testing.assert_array_equal(activate(logits, spine), logits)
    sigmoid = ops.convert_to_numpy(activate(logits, PRESETS["paper"].segmentation))
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-logits)), rtol=1e-5)
