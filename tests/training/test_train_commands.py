"""The commands that train: the whole chain on TensorFlow, and the same curve on JAX alone."""

import importlib.util
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.support.paths import ROOT
from vertseg import cli
from vertseg.evaluate import evaluate
from vertseg.phantom import make_phantom, write_phantom
from vertseg.training.__main__ import main
from vertseg.training.factory.packed import pack_bodies
from vertseg.training.factory.phantoms import draw_phantom, load_pool
from vertseg.training.loop import checkpoint
from vertseg.training.loop.methods import build_optimizer
from vertseg.training.loop.trainer import StageTrainer
from vertseg.training.presets import TOY
from vertseg.training.recipe import recipe_for

TRAINED_ON, UNSEEN = range(11, 17), range(31, 33)
STEPS = {"spine": "250", "vertebrae": "600", "segmentation": "700"}

_BARE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "nibabel", "SimpleITK", "matplotlib"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Missing())
from vertseg.training.__main__ import main
main(sys.argv[1:])
"""
"""Trains where there is neither TensorFlow nor a reader of medical images; also its processes."""


@pytest.fixture(autouse=True)
def same_policy():
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def options(**values):
    """Of a command line."""
    return [word for key, value in values.items() for word in
            (f"--{key.replace('_', '-')}", str(value))]  # fmt: skip


def make_data(folder, seeds):
    """Lumbar phantoms in the layout of VerSe'19."""
    for seed in seeds:
        phantom = make_phantom(("T12", "sacrum"), 2.0, seed, field_mm=(140.0, 140.0))
        write_phantom(phantom, folder / f"phantom{seed}.nii.gz")
    return folder


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="its time is for one backend")
def test_a_trained_chain_finds_all_vertebrae_of_unseen_phantoms(tmp_path):
    pool, runs, weights = tmp_path / "pool", tmp_path / "runs", tmp_path / "weights"
    data = make_data(tmp_path / "data", TRAINED_ON)
    main(["prepare", "--data", str(data), "--to", str(pool), "--preset", "toy"])
    how = options(
        preset="toy", augmentation=0.3, rate=4e-3, warmup=30, ema=0.98, workers=2,
        pool=pool, runs=runs, minutes=99, validate_every=0, precision="float32",
    )  # fmt: skip
    for stage, steps in STEPS.items():
        main(["train", stage, *how, "--steps", steps])
    main(["export", "--runs", str(runs), "--to", str(weights), "--name", "toy"])
    unseen, out = make_data(tmp_path / "unseen", UNSEEN), tmp_path / "out"
    files = options(input=unseen, output=out, weights=weights, device="cpu")
    assert cli.main(files) == 0
    scores, absent = evaluate(unseen, out)
    annotated = [score for score in scores if score.annotated]
    assert not absent and len(annotated) == 6 * len(UNSEEN)
    assert all(score.identified for score in annotated), scores
    assert np.mean([score.dice for score in annotated]) >= 0.85, scores


def phantom_pool(folder, spacing_mm):
    """One phantom as the command ``phantoms`` writes them."""
    phantom = make_phantom(("L1", "L4"), spacing_mm, 5, field_mm=(140.0, 140.0), noise_hu=0.0)
    points = [phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids]
    names = [c.label for c in phantom.centroids]
    folder.mkdir()
    np.savez(folder / "vertebrae.1000.npz", labels=phantom.labels, names=names, points=points)
    recipe = recipe_for("vertebrae", TOY.vertebrae)
    pack_bodies(
        recipe, lambda rng: draw_phantom(recipe, load_pool(recipe, folder), rng), folder, 20
    )
    return folder


def losses_of(folder):
    rows = [line.split(",") for line in (folder / "vertebrae.csv").read_text().split()]
    assert [int(row[0]) for row in rows] == [*range(1, 21)]
    return np.array([float(row[1]) for row in rows])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow" or importlib.util.find_spec("jax") is None,
    reason="needs both backends",
)
def test_jax_on_a_bare_machine_follows_the_same_curve(tmp_path):
    """From one checkpoint, in batches, with the samples of both made by their own graphs."""
    recipe = recipe_for("vertebrae", TOY.vertebrae)
    pool = phantom_pool(tmp_path / "pool", recipe.source_spacing_mm)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    trainer = StageTrainer(TOY, recipe)
    optimizer = build_optimizer(trainer.method, 1e-3, 0.998)
    optimizer.build(trainer.trainable_variables)
    checkpoint.save(trainer, optimizer, here, 0)
    shutil.copytree(here, there)
    how = options(
        preset="toy", steps=20, batch=2, row_every=1, minutes=9999, precision="float32",
        rate=2e-3, warmup=5, validate_every=10, workers=2, pool=pool,
    )  # fmt: skip
    how = ["train", "vertebrae", *how]
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count=2",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", _BARE, *how, "--runs", str(there)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    main([*how, "--runs", str(here)])
    mine, other = losses_of(here), losses_of(there)
    np.testing.assert_allclose(other[:10], mine[:10], rtol=0.002)
    np.testing.assert_allclose(other, mine, rtol=0.03)  # rounding grows from step to step
    assert mine[-5:].mean() < 0.9 * mine[:5].mean()
    for folder in (here, there):
        assert len(list(folder.glob("vertebrae.0000*.png"))) == 2
