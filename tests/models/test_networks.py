"""Golden tests of the networks: sizes, shapes, what their parts compute."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from models import PRESETS, NetworkConfig, activate, build_network, layers, stage_names
from models.layers import LocalContrast, Windows
from models.scnet import TISSUE_HEAD, build_scnet
from models.unet import build_unet
from vertseg.training.sample.targets import TISSUES

PAPER_PARAMETERS = {"spine": 2_548_353, "vertebrae": 6_497_522, "segmentation": 2_550_081}

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
    shared = preset.vertebrae.network.combination == "shared"
    assert len(preset.vertebrae.labels) + shared == preset.vertebrae.network.outputs
    assert 0 < preset.vertebrae.overlap < preset.vertebrae.size[2]
    assert preset.segmentation.network.inputs == 2


def test_the_spatial_part_sees_the_largest_share_of_each_tissue(rng):
    config = dataclasses.replace(
        SMALL_SCNET, filters=(4, 6, 6), outputs=4, combination="shared", tissues=3
    )
    network = build_scnet(config, (8, 8, 16), "small", layers)
    image = rng.normal(size=(1, 8, 8, 16, 1)).astype(np.float32)
    seen = [network.get_layer(name) for name in (TISSUE_HEAD, "tissue_pool", "spatial_input")]
    parts = keras.Model(network.input, [layer.output for layer in seen])
    logits, pooled, seen = (ops.convert_to_numpy(part) for part in parts(image))
    share = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    largest = share.reshape(1, 2, 4, 2, 4, 4, 4, 3).max((2, 4, 6))
    np.testing.assert_allclose(pooled, largest, rtol=1e-5)
    np.testing.assert_allclose(seen[..., -3:], pooled, rtol=1e-2)
    assert PRESETS["default"].vertebrae.network.tissues == TISSUES


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
    network = build_unet(config, (8, 8, 8), "small", layers)
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
    network = build_unet(config, (64, 8, 8), "small", layers)
    image = np.zeros((1, 64, 8, 8, 1), np.float32)
    before = ops.convert_to_numpy(network(image))
    image[0, 0, 0, 0, 0] = 1.0
    change = np.abs(ops.convert_to_numpy(network(image)) - before)[0, ..., 0]
    assert change[:4, :4, :4].max() > 0
    assert change[32:].max() == 0


def test_scnet_multiplies_its_two_parts(rng):
    network = build_scnet(SMALL_SCNET, (16, 8, 8), "small", layers)
    local, spatial, output = outputs_of(network, rng, "local_head", "spatial_upsample")
    np.testing.assert_allclose(output, local * spatial, atol=1e-5)


def test_shared_scnet_says_whether_and_which(rng):
    config = dataclasses.replace(SMALL_SCNET, combination="shared", spatial_factor=2, outputs=4)
    network = build_scnet(config, (16, 8, 8), "small", layers)
    local, spatial, output = outputs_of(network, rng, "local_head", "spatial_upsample")
    assert local.shape == (1, 16, 8, 8, 1)
    assert spatial.shape == (1, 16, 8, 8, 3)
    np.testing.assert_array_equal(output[..., :1], local)
    np.testing.assert_array_equal(output[..., 1:], spatial)
    # both resolutions of the decoder are seen at the low one
    assert network.get_layer("spatial_input").output.shape == (None, 8, 4, 4, 6 + 4)


def outputs_of(network, rng, *names):
    parts = keras.Model(
        network.input, [*(network.get_layer(n).output for n in names), network.output]
    )
    image = rng.normal(size=(1, *network.input_shape[1:])).astype(np.float32)
    return [ops.convert_to_numpy(part).astype(np.float64) for part in parts(image)]


def test_normalisation_is_per_voxel_where_it_is_fine_and_by_groups_below(rng):
    keras.utils.set_random_seed(0)  # faint responses are normalised to a little less than 1
    config = NetworkConfig("unet", (8, 8, 16), negative_slope=0.1, normalization="both")
    network = build_unet(config, (8, 8, 8), "small", layers)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds.count("RMSNormalization") == 8 and kinds.count("GroupNormalization") == 4
    fine, coarse, _ = outputs_of(network, rng, "down1_conv0_norm", "down2_conv0_norm")
    square = (fine**2).mean(-1)
    assert square.max() <= 1.001 and np.median(square) > 0.9
    groups = coarse.reshape(-1, 8, 2)
    np.testing.assert_allclose(groups.mean(axis=(0, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(groups.std(axis=(0, 2)), 1, atol=2e-2)


def test_windows_spread_their_range_and_keep_the_other_channels(rng):
    image = rng.uniform(-1, 1, (1, 3, 4, 5, 2)).astype(np.float32)
    seen = ops.convert_to_numpy(Windows(((0.0, 0.5), (0.2, 0.1)))(image))
    assert seen.shape == (1, 3, 4, 5, 3)
    np.testing.assert_allclose(seen[..., 0], np.clip(image[..., 0] / 0.5, -1, 1), atol=1e-6)
    np.testing.assert_allclose(seen[..., 1], np.clip((image[..., 0] - 0.2) / 0.1, -1, 1), atol=1e-5)
    np.testing.assert_array_equal(seen[..., 2], image[..., 1])


def test_local_contrast_does_not_depend_on_brightness_or_contrast(rng):
    image = ndimage.gaussian_filter(rng.normal(size=(24, 24, 24)), 1.0).astype(np.float32)
    layer = LocalContrast(2.5, floor=0.0)
    plain, changed = (
        ops.convert_to_numpy(layer(a[None, ..., None])) for a in (image, 7 * image + 3)
    )
    np.testing.assert_allclose(plain, changed, atol=1e-3)
    assert plain.std() == pytest.approx(1, abs=0.15)
    even = np.full((1, 8, 8, 8, 1), 0.7, np.float32)
    np.testing.assert_allclose(LocalContrast(2.5)(even), 0, atol=1e-5)


def test_the_networks_see_through_their_windows():
    config = NetworkConfig("unet", (4, 6), inputs=2, windows=((0.0, 1.0), (0.1, 0.2)))
    network = build_unet(
        dataclasses.replace(config, local_contrast_px=2.0), (8, 8, 8), "small", layers
    )
    assert network.input_shape[-1] == 2
    assert network.get_layer("down0_conv0").kernel.shape[3] == 2 + 1 + 1


def test_spatial_part_works_at_the_low_resolution():
    network = build_scnet(SMALL_SCNET, (16, 8, 24), "small", layers)
    assert network.get_layer("spatial_pool").output.shape == (None, 4, 2, 6, 3)
    assert network.get_layer("spatial_conv0").kernel.shape == (7, 7, 7, 3, 5)
    assert network.get_layer("spatial_head").kernel.shape == (7, 7, 7, 5, 3)


def test_shared_softmax_is_one_probability_for_all_labels(rng):
    stage = PRESETS["default"].vertebrae
    outputs = rng.normal(scale=4, size=(2, 3, 4, 5, 4)).astype(np.float32)
    maps = ops.convert_to_numpy(activate(outputs, stage))
    somewhere = 1 / (1 + np.exp(-outputs[..., 0].astype(float)))
    np.testing.assert_allclose(maps.sum(-1), somewhere, rtol=1e-5)
    odds = np.exp(outputs[..., 2].astype(float) - outputs[..., 1])
    np.testing.assert_allclose(maps[..., 1] / maps[..., 0], odds, rtol=1e-4)


def test_other_activations():
    spine = PRESETS["paper"].spine
    logits = np.array([-2.0, 0.0, 2.0], np.float32).reshape(1, 1, 1, 3, 1)
    np.testing.assert_array_equal(activate(logits, spine), logits)
    sigmoid = ops.convert_to_numpy(activate(logits, PRESETS["paper"].segmentation))
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-logits)), rtol=1e-5)
