"""The published training: losses with learned sigma in plain numpy, and the settings."""

import dataclasses

import keras
import numpy as np
import pytest

from models import PRESETS, NetworkConfig
from vertseg.training.loop import losses
from vertseg.training.loop.methods import build_optimizer, method_for
from vertseg.training.loop.trainer import StageTrainer
from vertseg.training.recipe import as_published, recipe_for

LABELS = 3


def test_landmark_heatmaps_have_the_mass_that_is_asked_for():
    axis = np.arange(-20, 21, dtype=np.float32)
    squares = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    sigmas = np.array([1.5, 3.0], np.float32)
    heatmaps = np.array(losses.landmark_heatmaps(np.stack([squares] * 2, -1), sigmas, 1000.0))
    np.testing.assert_allclose(heatmaps.sum((0, 1, 2)), 1000.0, rtol=1e-3)
    peak = 1000 / ((2 * np.pi) ** 1.5 * 27)
    assert heatmaps[20, 20, 20, 1] == pytest.approx(peak, rel=1e-5)
    assert heatmaps[23, 20, 20, 1] == pytest.approx(peak * np.exp(-0.5), rel=1e-5)


def test_squared_error_leaves_out_what_is_not_known():
    rng = np.random.default_rng(0)
    maps, target = rng.normal(size=(2, 4, 5, 6, LABELS)).astype(np.float32)
    known = np.array([1, 0, 1], np.float32)
    expected = ((maps.astype(float) - target) ** 2)[..., known > 0].sum()
    got = float(losses.squared_error(maps, target, known))
    assert got == pytest.approx(expected, rel=1e-5)


def tiny_trainer():
    network = NetworkConfig("scnet", (2,) * 3, outputs=LABELS, spatial_filters=2, stem=True)
    paper = PRESETS["paper"]
    config = dataclasses.replace(paper.vertebrae, network=network, size=(8, 8, 8))
    preset = dataclasses.replace(paper, vertebrae=config)
    recipe = dataclasses.replace(recipe_for("vertebrae", config), size=(8, 8, 8))
    return StageTrainer(preset, recipe)


def test_equation_1():
    """Squared error + 100 |sigma|^2 + 5e-4 |w|^2, heatmaps of mass 1000 and sigma 3 at first."""
    trainer = tiny_trainer()
    rng = np.random.default_rng(1)
    squares = rng.uniform(0, 60, (8, 8, 8, LABELS)).astype(np.float32)
    output = rng.normal(size=squares.shape).astype(np.float32)
    seen, known = np.array([1, 0, 1], np.float32), np.array([1, 1, 0], np.float32)
    asked = {"outputs": [output], "squares": squares, "seen": seen, "known": known}
    heatmaps = 1000 / ((2 * np.pi) ** 1.5 * 27) * np.exp(-0.5 * squares.astype(float) / 9) * seen
    error = (known * (output - heatmaps) ** 2).sum()
    assert float(trainer._heatmaps(asked)) == pytest.approx(error, rel=1e-4)
    kernels = [np.array(v) for v in trainer.network.trainable_variables if v.ndim == 5]
    assert len(kernels) > 10
    expected = 100 * LABELS * 9.0 + 5e-4 * sum((k.astype(float) ** 2).sum() for k in kernels)
    assert float(trainer._regularisation()) == pytest.approx(expected, rel=1e-5)
    assert any(v is trainer.sigmas for v in trainer.trainable_variables)


@pytest.mark.parametrize(
    ("stage", "rate", "decay", "kind"),
    [
        ("spine", 1e-4, 5e-4, keras.optimizers.Adam),
        ("vertebrae", 1e-8, 5e-4, keras.optimizers.SGD),
        ("segmentation", 1e-4, 1e-7, keras.optimizers.Adam),
    ],
)
def test_settings(stage, rate, decay, kind):
    method = method_for("paper", stage)
    assert (method.rate, method.weight_decay, method.decays) == (rate, decay, False)
    optimizer = build_optimizer(method, method.rate, 0.998)
    assert type(optimizer) is kind
    assert optimizer.global_clipnorm is None and not optimizer.use_ema
    if kind is keras.optimizers.SGD:
        assert optimizer.momentum == 0.99 and optimizer.nesterov
    recipe = as_published(recipe_for(stage, getattr(PRESETS["paper"], stage)))
    limits = (recipe.rotation_deg, recipe.scale, recipe.gain, recipe.shift_hu / 2048)
    assert limits == (15.0, 0.15, 0.25, 0.25)
    assert method_for("default", stage).weight_decay == 0
