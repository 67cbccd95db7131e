"""Without augmentation a training sample is what the network is given when it is used."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from models import NetworkConfig, StageConfig
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.image import Image
from vertseg.phantom import make_phantom
from vertseg.stages.preprocess import resample
from vertseg.stages.segmentation import crop_grid, crop_input
from vertseg.training.factory.tissue import METAL
from vertseg.training.recipe import PRESMOOTHING, Recipe, SourceVolume
from vertseg.training.sample.appearance import NoiseBank
from vertseg.training.sample.draws import draw_sample
from vertseg.training.sample.synthesis import paint
from vertseg.training.sample.targets import segmentation_sample, spine_sample

SOURCE_MM, L2, L3 = 4.0, 21, 22


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(("L1", "L4"), SOURCE_MM, 4, field_mm=(160.0, 160.0), noise_hu=9.0)


def recipe_of(phantom, stage, smoothing_mm=4.5, augmentation=0.0):
    config = StageConfig(
        NetworkConfig("unet", (8, 8), inputs=1 + (stage == "segmentation")),
        (12, 14, 16), 6.0, smoothing_mm, "sigmoid", 2.0, shift_posterior_mm=12.0,
        labels=tuple(range(1, 26)),
    )  # fmt: skip
    recipe = Recipe(stage, config, config.size, SOURCE_MM, phantom.grid.size)
    return dataclasses.replace(recipe, augmentation=augmentation)


def source_of(phantom, volume, recipe, centre=(0.3, -0.2, 0.1), mask=None):
    """`centre` is added to the middle of the volume or of L2."""
    points = {c.label: phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids}
    middle = (np.array(phantom.grid.size) - 1) / 2
    if recipe.stage == "segmentation":
        middle = points[L2] + (0, recipe.config.shift_posterior_mm / SOURCE_MM, 0)
    return SourceVolume(volume, points, middle + centre, L2, mask=mask)


def drawn(recipe, source, seed=0):
    bank = NoiseBank(recipe.source_size)
    return draw_sample(recipe, source, bank, np.random.default_rng(seed))


def network_grid(phantom, recipe, centre):
    place = phantom.grid.index_to_lps(centre)
    return Grid.axis_aligned(place, recipe.size, recipe.config.spacing_mm)


@pytest.mark.parametrize("seed", (0, 2, 3))
def test_of_painted_labels(phantom, seed):
    recipe = recipe_of(phantom, "spine")
    source = source_of(phantom, phantom.labels, recipe)
    draw = drawn(recipe, source, seed)
    hu = np.clip(ops.convert_to_numpy(paint(draw)), -1024, 3071)
    image = Image.from_array(hu, phantom.grid.affine_ras)
    expected = resample(image, network_grid(phantom, recipe, source.centre), 4.5)
    sample = ops.convert_to_numpy(spine_sample(draw)["image"])[..., 0]
    np.testing.assert_allclose(sample, expected, atol=2e-5)
    assert np.ptp(expected) > 0.1


def test_of_a_scan_on_its_source_grid(phantom):
    """It was smoothed on its way to the source grid; the smoothing that is left is smaller."""
    recipe = recipe_of(phantom, "spine")
    source = source_of(phantom, phantom.hu, recipe)
    left_mm = np.sqrt(4.5**2 - (PRESMOOTHING * SOURCE_MM) ** 2)
    expected = resample(phantom.image, network_grid(phantom, recipe, source.centre), float(left_mm))
    sample = ops.convert_to_numpy(spine_sample(drawn(recipe, source))["image"])[..., 0]
    np.testing.assert_allclose(sample, expected, atol=2e-5)


def test_the_hu_of_a_scan_are_no_labels_of_metal(phantom):
    recipe = recipe_of(phantom, "spine")
    scan = np.full(phantom.grid.size, METAL, np.int16)
    assert not drawn(recipe, source_of(phantom, scan, recipe))["streaks"].any()
    painted = source_of(phantom, scan.astype(np.uint8), recipe)
    assert drawn(recipe, painted)["streaks"].any()


def test_of_a_grid_that_reaches_beyond_the_scan(phantom):
    recipe = recipe_of(phantom, "spine")
    beyond = (0.3, -0.2, 0.45 * phantom.grid.size[2])
    source = source_of(phantom, phantom.hu, recipe, beyond)
    left_mm = np.sqrt(4.5**2 - (PRESMOOTHING * SOURCE_MM) ** 2)
    grid = network_grid(phantom, recipe, source.centre)
    expected = resample(phantom.image, grid, float(left_mm))
    sample = ops.convert_to_numpy(spine_sample(drawn(recipe, source))["image"])[..., 0]
    np.testing.assert_allclose(sample, expected, atol=2e-5)
    assert (expected[..., -3:] == -0.5).all()


def test_of_a_vertebra_of_a_scan_with_its_mask(phantom):
    recipe = recipe_of(phantom, "segmentation")
    source = source_of(phantom, phantom.hu, recipe, (0, 0, 0), phantom.vertebra_mask(False))
    sample = {
        name: ops.convert_to_numpy(value)
        for name, value in segmentation_sample(drawn(recipe, source)).items()
    }
    left_mm = np.sqrt(4.5**2 - (PRESMOOTHING * SOURCE_MM) ** 2)
    vertebra = Centroid.at(L2, phantom.grid.index_to_lps(source.landmarks[L2]))
    config = dataclasses.replace(recipe.config, smoothing_sigma_mm=float(left_mm))
    grid = crop_grid(vertebra, config)
    expected = crop_input(phantom.image, grid, vertebra.point_lps_mm, config)
    np.testing.assert_allclose(sample["image"], expected, atol=2e-5)
    mask = Image.from_array((phantom.labels == L2).astype(np.float32), phantom.grid.affine_ras)
    inside = resample(mask, grid, 0.0, normalise=False)
    np.testing.assert_allclose(sample["target"], inside, atol=1e-3)


def test_strength_lies_between_none_and_all(phantom):
    images = []
    for strength in (0.0, 0.3, 1.0):
        recipe = recipe_of(phantom, "spine", augmentation=strength)
        source = source_of(phantom, phantom.labels, recipe)
        images.append(ops.convert_to_numpy(spine_sample(drawn(recipe, source, 5))["image"]))
    plain, weak, full = images
    assert 0 < np.abs(weak - plain).mean() < 0.7 * np.abs(full - plain).mean()
