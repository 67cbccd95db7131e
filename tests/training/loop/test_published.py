"""The published training step of each stage against plain numpy, and what a run keeps of it."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from models import PRESETS, NetworkConfig
from models.published import peak_height
from vertseg.errors import ConfigurationError
from vertseg.training.loop import checkpoint, published, steps
from vertseg.training.loop.export import export
from vertseg.training.loop.methods import build_optimizer
from vertseg.training.loop.published import PublishedTrainer
from vertseg.training.loop.train import TrainConfig, train
from vertseg.training.sample.published import PublishedRecipe

PAPER = PRESETS["paper"]
SIZE, LABELS = (8, 8, 8), 3


@pytest.fixture
def tiny(monkeypatch):
    """Trainers with one linear convolution, 3x3x3, in the place of the network of a stage."""

    def make(stage):
        keras.utils.set_random_seed(1)
        config = getattr(PAPER, stage)
        labels = tuple(range(1, LABELS + 1)) if stage == "vertebrae" else ()
        outputs = LABELS if stage == "vertebrae" else 1
        network = dataclasses.replace(config.network, outputs=outputs)
        config = dataclasses.replace(config, network=network, size=SIZE, labels=labels)
        image = keras.Input((*SIZE, config.network.inputs))
        linear = keras.layers.Conv3D(outputs, 3, padding="same", use_bias=False)
        model = keras.Model(image, linear(image))
        monkeypatch.setattr(published, "build_network", lambda *_: model)
        return PublishedTrainer(PAPER, PublishedRecipe(stage, config)), linear.kernel

    return make


def sample_of(stage, rng):
    image = rng.uniform(-1, 1, (*SIZE, 2 if stage == "segmentation" else 1)).astype(np.float32)
    if stage == "segmentation":
        return {"image": image, "target": (rng.random((*SIZE, 1)) < 0.3).astype(np.float32)}
    count = LABELS if stage == "vertebrae" else 26
    landmarks = rng.uniform(1, 7, (count, 3)).astype(np.float32)
    return {
        "image": image,
        "landmarks": landmarks,
        "seen": (rng.random(count) < 0.6) * np.float32(1),
    }


def gaussian(point, sigma):
    grid = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), axis=-1)
    return np.exp(-0.5 * ((grid - point) ** 2).sum(-1) / sigma**2)


def correlated(image, kernel):
    """Zero-padded cross-correlation: (x, y, z, outputs)."""
    return np.stack(
        [
            sum(
                ndimage.correlate(image[..., i], kernel[..., i, o], mode="constant")
                for i in range(image.shape[-1])
            )
            for o in range(kernel.shape[-1])
        ],
        axis=-1,
    )


def plain_loss(stage, sample, kernel, sigmas):
    """The loss as it is printed in the paper, float64."""
    image = sample["image"].astype(float)
    output = correlated(image, kernel.astype(float))
    if stage == "segmentation":
        p, target = 1 / (1 + np.exp(-output)), sample["target"]
        error = -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()
        return error + 1e-7 * (kernel.astype(float) ** 2).sum()
    rows = zip(sample["landmarks"], sample["seen"], strict=True)
    if stage == "spine":
        target = np.max([s * gaussian(p, 3.0) for p, s in rows], axis=0)[..., None]
        return ((output - target) ** 2).sum() + 5e-4 * (kernel.astype(float) ** 2).sum()
    heights = 1000 / ((2 * np.pi) ** 1.5 * sigmas**3)
    maps = [h * s * gaussian(p, g) for h, g, (p, s) in zip(heights, sigmas, rows, strict=True)]
    error = ((output - np.stack(maps, axis=-1)) ** 2).sum()
    return error + 100 * (sigmas**2).sum() + 5e-4 * (kernel.astype(float) ** 2).sum()


def numeric_gradient(function, values, places, step):
    found = []
    for place in places:
        up, down = values.astype(float).copy(), values.astype(float).copy()
        up[place] += step
        down[place] -= step
        found.append((function(up) - function(down)) / (2 * step))
    return np.array(found)


def gradients_of(trainer, batch):
    if keras.backend.backend() == "jax":
        import jax

        trainable = [v.value for v in trainer.trainable_variables]
        fixed = [v.value for v in trainer.non_trainable_variables]
        return jax.grad(lambda t: trainer.stateless_call(t, fixed, batch)[0])(trainable)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = trainer(batch)
    return tape.gradient(loss, [v.value for v in trainer.trainable_variables])


@pytest.mark.parametrize("stage", ["spine", "vertebrae", "segmentation"])
def test_loss_and_gradient_are_those_of_the_paper(stage, tiny):
    rng = np.random.default_rng(2)
    trainer, kernel = tiny(stage)
    sample = sample_of(stage, rng)
    sigmas = np.array([2.0, 3.0, 4.0])
    if trainer.sigmas is not None:
        trainer.sigmas.assign(sigmas.astype(np.float32))
    batch = {name: value[None] for name, value in sample.items()}
    weights = np.array(kernel)
    assert float(trainer(batch)) == pytest.approx(
        plain_loss(stage, sample, weights, sigmas), rel=1e-5
    )
    found = {
        v.name: np.array(g)
        for v, g in zip(trainer.trainable_variables, gradients_of(trainer, batch), strict=True)
        if g is not None
    }
    places = [(0, 1, 2, 0, 0), (1, 1, 1, 0, 0), (2, 0, 1, 0, -1)]
    expected = numeric_gradient(
        lambda k: plain_loss(stage, sample, k, sigmas), weights, places, 1e-4
    )
    np.testing.assert_allclose([found["kernel"][p] for p in places], expected, rtol=2e-3, atol=1e-4)
    if stage == "vertebrae":
        expected = numeric_gradient(
            lambda s: plain_loss(stage, sample, weights, s), sigmas, [0, 1, 2], 1e-4
        )
        np.testing.assert_allclose(found["sigmas"], expected, rtol=2e-3)


@pytest.mark.parametrize("stage", ["spine", "vertebrae", "segmentation"])
def test_two_steps_are_those_of_adam_and_of_nesterov(stage, tiny):
    """Adam after Kingma and Ba; momentum as v = 0.99 v - r g, w = w + 0.99 v - r g."""
    trainer, kernel = tiny(stage)
    rate = 1e-6 if stage == "vertebrae" else trainer.method.rate
    optimizer = build_optimizer(trainer.method, rate, 0.998)
    optimizer.build(trainer.trainable_variables)
    sample = sample_of(stage, np.random.default_rng(5))
    batch = {name: value[None] for name, value in sample.items()}
    expected, first, second = np.array(kernel, float), 0.0, 0.0
    step = steps.make_step(trainer, optimizer)
    for number in (1, 2):
        index = [v.name for v in trainer.trainable_variables].index("kernel")
        gradient = np.array(gradients_of(trainer, batch)[index], float)
        if stage == "vertebrae":
            first = 0.99 * first - rate * gradient
            expected += 0.99 * first - rate * gradient
        else:
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            corrected = np.sqrt(second / (1 - 0.999**number)) + 1e-7
            expected -= rate * first / (1 - 0.9**number) / corrected
        step(batch, rate)
        step.sync()
        # Adam makes full steps of the smallest gradients, rounding errors included.
        np.testing.assert_allclose(np.array(kernel), expected, rtol=1e-4, atol=0.02 * rate)


def small_preset():
    network = NetworkConfig("scnet", (2, 2), outputs=LABELS, negative_slope=0.1, spatial_filters=2)
    method = dataclasses.replace(PAPER.vertebrae.published, steps=5, rate=1e-5, sigma_decay=1e3)
    config = dataclasses.replace(
        PAPER.vertebrae, network=network, size=SIZE, labels=(20, 21, 22), published=method
    )
    return dataclasses.replace(PAPER, name="small", vertebrae=config)


def run(preset, folder, **changes):
    recipe = PublishedRecipe("vertebrae", preset.vertebrae)
    config = TrainConfig(minutes=99, until=5, **changes)
    return train(preset, recipe, lambda rng: sample_of("vertebrae", rng), folder, config)


def test_a_run_ends_with_its_last_step_and_keeps_its_sigmas(tmp_path):
    preset = small_preset()
    run(preset, tmp_path, steps=2)
    run(preset, tmp_path)
    run(preset, tmp_path)  # it is over already
    assert [
        int(float(r.split(",")[0])) for r in (tmp_path / "vertebrae.csv").read_text().split()
    ] == [2, 5]
    rates = {row.split(",")[2] for row in (tmp_path / "vertebrae.csv").read_text().split()}
    assert rates == {"1e-05"}
    sigmas = json.loads((tmp_path / "vertebrae.sigmas.json").read_text())
    assert len(sigmas) == LABELS and all(0 < s < 4.0 for s in sigmas)
    trainer = PublishedTrainer(preset, PublishedRecipe("vertebrae", preset.vertebrae))
    optimizer = build_optimizer(trainer.method, 1e-5, 0.998)
    optimizer.build(trainer.trainable_variables)
    assert checkpoint.restore(trainer, optimizer, tmp_path) == 5
    np.testing.assert_allclose(np.array(trainer.sigmas), sigmas, rtol=1e-6)


def test_an_export_tells_the_height_of_each_map(tmp_path):
    preset, runs = small_preset(), tmp_path / "runs"
    run(preset, runs, steps=1, pool=tmp_path / "verse")
    for stage in ("spine", "segmentation"):
        for name in ("weights.h5", "csv", "000000.json"):
            (runs / f"{stage}.{name}").write_bytes((runs / f"vertebrae.{name}").read_bytes())
    manifest = json.loads((export(runs, tmp_path / "weights", {}) / "manifest.json").read_text())
    sigmas = json.loads((runs / "vertebrae.sigmas.json").read_text())
    assert manifest["files"]["vertebrae"]["sigmas_px"] == sigmas
    peaks = manifest["preset"]["vertebrae"]["peaks"]
    assert peaks == pytest.approx([peak_height(1000.0, sigma) for sigma in sigmas])
    assert manifest["preset"]["spine"]["peaks"] == []
    (leg,) = manifest["files"]["vertebrae"]["legs"]
    assert leg["pool"] == "verse" and str(tmp_path) not in json.dumps(manifest)
    (runs / "vertebrae.sigmas.json").unlink()
    with pytest.raises(ConfigurationError, match="learned sigmas of the vertebrae stage"):
        export(runs, tmp_path / "again", {})


def test_a_fold_is_not_continued_with_another_one(tmp_path):
    preset = small_preset()
    run(preset, tmp_path, steps=1, fold=0)
    run(preset, tmp_path, steps=1, fold=0)
    for other in (1, None):
        with pytest.raises(ConfigurationError, match="left out fold 0"):
            run(preset, tmp_path, steps=1, fold=other)


def test_ideal_maps_have_no_error():
    preset = small_preset()
    trainer = PublishedTrainer(preset, PublishedRecipe("vertebrae", preset.vertebrae))
    batch = {k: v[None] for k, v in sample_of("vertebrae", np.random.default_rng(1)).items()}
    target = trainer.targets(batch)
    assert float(trainer.error(target, batch)) == 0
    seen = batch["seen"][0] > 0
    highest = ops.convert_to_numpy(target)[0].max(axis=(0, 1, 2))
    assert (highest[seen] > 0.6 * peak_height(1000.0, 4.0)).all() and not highest[~seen].any()
