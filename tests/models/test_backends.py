"""TensorFlow and JAX compute the same from the same weights, and read each other's files."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from models import PRESETS, NetworkConfig, Preset, build_network, preset_to_dict, stage_names
from tests.support.forward_pass import output
from tests.support.paths import ROOT

OTHER = "tensorflow" if keras.backend.backend() == "jax" else "jax"
TOLERANCE = 1e-4
CASES = [(name, stage) for name in PRESETS for stage in stage_names()]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(OTHER) is None, reason=f"{OTHER} is not installed"
)


def small(config: NetworkConfig) -> NetworkConfig:
    """The same kind of network with few filters and a head that says something."""
    return dataclasses.replace(
        config, filters=(8, 8, 8), spatial_filters=8, spatial_kernel=5, head_sigma=0.2
    )


def small_preset(name: str) -> Preset:
    stages = {}
    for stage in stage_names():
        config = getattr(PRESETS[name], stage)
        stages[stage] = dataclasses.replace(config, network=small(config.network), size=(8, 16, 24))
    return Preset(name=name, **stages)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """What this backend computed for each case; in the folder, what the other one did."""
    folder = tmp_path_factory.mktemp("backends")
    rng = np.random.default_rng(3)
    mine = {}
    for name, stage in CASES:
        preset, file = small_preset(name), f"{name}-{stage}"
        config = getattr(preset, stage)
        description = {"preset": preset_to_dict(preset), "stage": stage}
        (folder / f"{file}.json").write_text(json.dumps(description))
        image = rng.normal(size=(2, *config.size, config.network.inputs)).astype(np.float32)
        np.save(folder / f"{file}.npy", image)
        network = build_network(preset, stage)
        network.save_weights(folder / f"{file}.weights.h5")
        mine[name, stage] = config, image, network
    run_other_backend(folder, [f"{name}-{stage}" for name, stage in CASES])
    return folder, mine


def run_other_backend(folder: Path, names: list[str]) -> None:
    environment = os.environ | {
        "KERAS_BACKEND": OTHER,
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Quick to compile; the numbers are the same.
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, str(ROOT / "tests/support/forward_pass.py"), str(folder), *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == OTHER


@pytest.mark.parametrize(("name", "stage"), CASES)
def test_backends_agree_and_read_each_others_weights(name, stage, exchange):
    folder, mine = exchange
    config, image, network = mine[name, stage]
    here = output(network, image, config)
    assert np.abs(here).max() > 100 * TOLERANCE
    there = np.load(folder / f"{name}-{stage}.here.npy")
    np.testing.assert_allclose(there, here, atol=TOLERANCE)
    network.load_weights(folder / f"{name}-{stage}.new.weights.h5")
    back = output(network, image, config)
    assert np.abs(back - here).max() > 100 * TOLERANCE
    np.testing.assert_allclose(np.load(folder / f"{name}-{stage}.new.npy"), back, atol=TOLERANCE)
