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
from tests.support.small_spines import LABELS, write_scan
from tests.support.tiny_preset import TINY, write_preset
from vertseg import cli
from vertseg.evaluate import evaluate
from vertseg.phantom import make_phantom
from vertseg.training.__main__ import main
from vertseg.training.factory.packed import pack_bodies
from vertseg.training.factory.phantoms import draw_phantom, load_pool
from vertseg.training.loop import checkpoint
from vertseg.training.loop.methods import build_optimizer
from vertseg.training.loop.trainer import StageTrainer
from vertseg.training.recipe import recipe_for

TRAINED_ON, UNSEEN = range(6), range(31, 33)
CURVE_STEPS = 12
STEPS = {"spine": "100", "vertebrae": "250", "segmentation": "200"}

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


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="its time is for one backend")
def test_a_trained_chain_finds_all_vertebrae_of_unseen_scans(tmp_path):
    pool, runs, weights = tmp_path / "pool", tmp_path / "runs", tmp_path / "weights"
    preset = write_preset(tmp_path / "tiny.json")
    for seed in TRAINED_ON:
        write_scan(tmp_path / "data", f"scan{seed}", seed)
    main(["prepare", "--data", str(tmp_path / "data"), "--to", str(pool), "--preset", str(preset)])
    how = options(
        preset=preset, augmentation=0.3, rate=4e-3, warmup=20, ema=0.97,
        pool=pool, runs=runs, minutes=99, validate_every=0, precision="float32",
    )  # fmt: skip
    for stage, steps in STEPS.items():
        main(["train", stage, *how, "--steps", steps])
    main(["export", "--runs", str(runs), "--to", str(weights), "--name", "tiny"])
    unseen, out = tmp_path / "unseen", tmp_path / "out"
    for seed in UNSEEN:
        write_scan(unseen, f"scan{seed}", seed)
    files = options(input=unseen, output=out, weights=weights, device="cpu")
    assert cli.main(files) == 0
    scores, absent = evaluate(unseen, out)
    annotated = [score for score in scores if score.annotated]
    assert not absent and len(annotated) == len(LABELS) * len(UNSEEN)
    assert all(score.identified for score in annotated), scores
    assert min(score.dice for score in annotated) >= 0.9, scores


def phantom_pool(folder, spacing_mm):
    """One phantom as the command ``phantoms`` writes them."""
    phantom = make_phantom(("L1", "L4"), spacing_mm, 5, field_mm=(140.0, 140.0), noise_hu=0.0)
    points = [phantom.grid.lps_to_index(c.point_lps_mm) for c in phantom.centroids]
    names = [c.label for c in phantom.centroids]
    folder.mkdir()
    np.savez(folder / "vertebrae.1000.npz", labels=phantom.labels, names=names, points=points)
    recipe = recipe_for("vertebrae", TINY.vertebrae)
    pack_bodies(
        recipe, lambda rng: draw_phantom(recipe, load_pool(recipe, folder), rng), folder, 20
    )
    return folder


def losses_of(folder):
    rows = [line.split(",") for line in (folder / "vertebrae.csv").read_text().split()]
    assert [int(row[0]) for row in rows] == [*range(1, CURVE_STEPS + 1)]
    return np.array([float(row[1]) for row in rows])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow" or importlib.util.find_spec("jax") is None,
    reason="needs both backends",
)
def test_jax_on_a_bare_machine_follows_the_same_curve(tmp_path):
    """From one checkpoint, in batches, with the samples of both made by their own graphs."""
    recipe = recipe_for("vertebrae", TINY.vertebrae)
    pool = phantom_pool(tmp_path / "pool", recipe.source_spacing_mm)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    trainer = StageTrainer(TINY, recipe)
    optimizer = build_optimizer(trainer.method, 1e-3, 0.998)
    optimizer.build(trainer.trainable_variables)
    checkpoint.save(trainer, optimizer, here, 0)
    shutil.copytree(here, there)
    how = options(
        preset=write_preset(tmp_path / "p.json"), precision="float32", steps=CURVE_STEPS, batch=2,
        rate=2e-3, warmup=5, row_every=1, validate_every=6, minutes=9999, workers=2, pool=pool,
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
    assert mine[-4:].mean() < 0.9 * mine[:4].mean()
    for folder in (here, there):
        assert len(list(folder.glob("vertebrae.0000*.png"))) == 2
