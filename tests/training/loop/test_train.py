"""The loop around the step: order of samples, stopping, validation, curves, several devices."""

import _thread
import dataclasses
import json
import shutil
import signal
import sys

import keras
import numpy as np
import pytest

from vertseg.errors import ConfigurationError, InputError
from vertseg.phantom import make_phantom
from vertseg.stages import Stage
from vertseg.stages.keras_backend import load_network
from vertseg.stages.weights import load_weights
from vertseg.system.signals import Stopped
from vertseg.training.factory.phantoms import draw_phantom
from vertseg.training.loop import steps
from vertseg.training.loop.checkpoint import complete, start_from
from vertseg.training.loop.curve import Curve, tail
from vertseg.training.loop.export import export
from vertseg.training.loop.prefetch import Reuse, prefetch, stacked
from vertseg.training.loop.train import TrainConfig, train
from vertseg.training.loop.trainer import StageTrainer
from vertseg.training.presets import TOY, find_preset
from vertseg.training.recipe import recipe_for
from vertseg.training.sample.appearance import NoiseBank, NoiseOnDevice
from vertseg.training.sample.draws import draw_sample
from vertseg.training.volumes import RealVolume

SMALL = dataclasses.replace(
    TOY,
    spine=dataclasses.replace(
        TOY.spine,
        network=dataclasses.replace(TOY.spine.network, filters=(8, 8)),
        size=(8, 8, 12),
    ),
)
SHORT = TrainConfig(minutes=99, steps=4, row_every=2, warmup=1, rate=1e-3, seed=3)
RECIPE = dataclasses.replace(recipe_for("spine", SMALL.spine), source_size=(16, 16, 24))


def drawing(noise):
    phantom = make_phantom(("L1", "L3"), 7.5, 3, field_mm=(120.0, 120.0), noise_hu=0.0)
    points = {c.label: phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids}
    volume = RealVolume("phantom", phantom.labels, points)
    bank = noise(RECIPE.source_size)
    return lambda rng: draw_sample(RECIPE, draw_phantom(RECIPE, [volume], rng), bank, rng)


@pytest.fixture(scope="module")
def draw():
    return drawing(NoiseBank)


def test_noise_that_the_trainer_holds_is_the_noise_that_was_drawn(draw):
    trainer = StageTrainer(SMALL, RECIPE)
    here, there = (
        trainer.samples(stacked([make(np.random.default_rng(seed)) for seed in (1, 2)]))
        for make in (draw, drawing(NoiseOnDevice))
    )
    for name, image in here.items():
        np.testing.assert_array_equal(image, there[name])


@pytest.mark.parametrize("workers", [1, 3])
def test_samples_come_in_the_order_of_their_numbers(workers):
    def number(rng):
        return {"first": rng.integers(10**9, size=2)}

    batches = prefetch(number, seed=5, first=7, batch=2, workers=workers)
    found = np.concatenate([np.asarray(next(batches).arrays["first"]) for _ in range(4)])
    batches.close()
    expected = [np.random.default_rng((5, 7 + k)).integers(10**9, size=2) for k in range(8)]
    np.testing.assert_array_equal(found, expected)


def test_an_error_of_a_thread_is_raised():
    def fail(rng):
        raise ValueError("no body")

    with pytest.raises(ValueError, match="no body"):
        next(prefetch(fail, seed=0, first=0, batch=2, workers=2))


def test_sources_are_reused():
    class Counted:
        made = 0

        def source(self, rng):
            self.made += 1
            return self.made

        def sample(self, source, rng):
            return {"source": np.array(source)}

    counted = Counted()
    reuse = Reuse(counted, times=5, keep=3)
    used = [int(reuse.draw(np.random.default_rng(k))["source"]) for k in range(200)]
    assert 25 < counted.made < 70 and set(used) == set(range(1, counted.made + 1))


def test_a_signal_ends_the_leg_with_a_checkpoint(draw, tmp_path):
    def interrupted(rng):
        made.append(1)
        if len(made) == 12:
            _thread.interrupt_main(signal.SIGTERM)  # as if the signal had arrived
        return draw(rng)

    made = []
    with pytest.raises(Stopped) as stopped:
        train(SMALL, RECIPE, interrupted, tmp_path, TrainConfig(minutes=99))
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    with np.load(tmp_path / "spine.checkpoint.npz") as data:
        step = int(data["step"])
    assert 0 < step < 20 and (tmp_path / "spine.weights.h5").exists()
    config = TrainConfig(minutes=99, steps=4, batch=2, row_every=2, validate_every=4)
    train(SMALL, RECIPE, draw, tmp_path, dataclasses.replace(config, validation_samples=2))
    rows = [line.split(",") for line in (tmp_path / "spine.csv").read_text().split()]
    assert int(rows[-1][0]) in (step + 3, step + 4) and len(rows[-1]) == 5
    check = [line.split(",") for line in (tmp_path / "spine.validation.csv").read_text().split()]
    assert len(check) == 1 and 0 < float(check[0][1]) < 100
    picture = next(tmp_path.glob("spine.*.png"))
    assert picture.stat().st_size > 1000
    text = tail(tmp_path, "spine", 1)
    assert text.split()[:5] == ["step", "loss", "rate", "samples_per_s", "waited"]
    assert rows[-1][1] in text and check[-1][1] in text
    with pytest.raises(InputError):
        tail(tmp_path, "vertebrae")


@pytest.fixture(scope="module")
def exported(draw, tmp_path_factory):
    """Weights of the spine stage after four steps; the other stages are never asked for."""
    runs, folder = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("weights")
    train(SMALL, RECIPE, draw, runs, SHORT)
    for stage in ("vertebrae", "segmentation"):
        for name in ("weights.h5", "csv", "000000.json"):
            shutil.copyfile(runs / f"spine.{name}", runs / f"{stage}.{name}")
    return load_weights(export(runs, folder, {"name": "four steps"}))


def test_a_run_starts_from_exported_weights_and_keeps_their_history(draw, exported, tmp_path):
    trainer = StageTrainer(SMALL, RECIPE)
    assert start_from(exported, trainer, tmp_path) == 4
    given = load_network(exported, "spine").get_weights()
    for mine, theirs in zip(trainer.network.get_weights(), given, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    small_steps = dataclasses.replace(SHORT, rate=1e-12, seed=4)
    for rows in (4, 6):  # the second leg goes on from the checkpoint of the first
        train(SMALL, RECIPE, draw, tmp_path, small_steps, weights=exported)
        steps_of = [row.split(",")[0] for row in (tmp_path / "spine.csv").read_text().split()]
        assert steps_of == [str(2 * k + 2) for k in range(rows)]
    legs = [json.loads(p.read_text()) for p in sorted(tmp_path.glob("spine.[0-9]*.json"))]
    assert [(leg["from_step"], leg["config"]["seed"]) for leg in legs] == [(0, 3), (4, 4), (8, 4)]
    assert legs[0]["preset"]["spine"] == legs[1]["preset"]["spine"]
    network = StageTrainer(SMALL, RECIPE).network
    network.load_weights(tmp_path / "spine.weights.h5")
    for mine, theirs in zip(network.get_weights(), given, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)


def test_an_export_takes_the_other_stages_from_exported_weights(draw, exported, tmp_path):
    runs, filled, folder = tmp_path / "runs", tmp_path / "filled", tmp_path / "weights"
    train(SMALL, RECIPE, draw, runs, SHORT, weights=exported)
    before = sorted(runs.iterdir())
    filled.mkdir()
    more = {"vertebrae": {"mean_of_steps": [2, 4], "iterations": 2}}
    export(complete(runs, exported, filled), folder, {"name": "eight steps"}, more)
    made = load_weights(folder)
    assert made.manifest["files"]["vertebrae"]["mean_of_steps"] == [2, 4]
    files, known = made.manifest["files"], exported.manifest["files"]
    assert [files[stage]["iterations"] for stage in Stage] == [8, 4, 4]
    assert files["spine"]["sha256"] != known["spine"]["sha256"]
    assert [leg["from_step"] for leg in files["spine"]["legs"]] == [0, 4]
    assert files["vertebrae"]["legs"] == known["vertebrae"]["legs"]
    assert made.preset == exported.preset and sorted(runs.iterdir()) == before
    for mine, theirs in zip(
        *(load_network(w, "spine").get_weights() for w in (made, exported)), strict=True
    ):
        assert np.abs(mine - theirs).max() > 0


def test_the_rate_rises_again_with_a_fresh_optimiser(draw, exported, tmp_path):
    config = dataclasses.replace(SHORT, warmup=1000, row_every=1, final_rate=1.0)
    train(SMALL, RECIPE, draw, tmp_path, config, weights=exported)
    rates = [float(row.split(",")[2]) for row in (tmp_path / "spine.csv").read_text().split()[2:]]
    np.testing.assert_allclose(rates, config.rate * np.arange(1, 5) / 1000, rtol=1e-4)


def test_weights_of_another_network_are_refused(draw, exported, tmp_path):
    other = dataclasses.replace(SMALL.spine, network=TOY.spine.network)
    with pytest.raises(ConfigurationError, match="spine network is a different one"):
        train(dataclasses.replace(SMALL, spine=other), dataclasses.replace(RECIPE, config=other),
              draw, tmp_path, SHORT, weights=exported)  # fmt: skip


def test_a_batch_is_the_mean_of_its_samples(draw):
    trainer = StageTrainer(SMALL, RECIPE)
    draws = [draw(np.random.default_rng(seed)) for seed in range(3)]
    losses = [float(trainer(stacked([d]))) for d in draws]
    assert np.ptp(losses) > 1e-3 * np.mean(losses)
    assert float(trainer(stacked(draws))) == pytest.approx(np.mean(losses), rel=1e-4)


def test_tensorboard_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(ConfigurationError, match="pip install tensorboard"):
        Curve(tmp_path, "spine", tensorboard=True)


def test_presets_are_found_by_name_or_file(tmp_path):
    assert find_preset("toy") is TOY
    with pytest.raises(ConfigurationError, match="paper, default, toy"):
        find_preset(str(tmp_path / "none.json"))


def test_an_uneven_batch_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0", "gpu:1"])
    with pytest.raises(ConfigurationError, match="batch of 3"):
        steps.use_all_devices(3)
