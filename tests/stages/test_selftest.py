"""The self-test: one line for each check, and an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models import NetworkConfig, Preset, StageConfig, build_network, preset_to_dict
from vertseg.cli import main
from vertseg.stages import Stage
from vertseg.stages.weights import FORMAT, MANIFEST
from vertseg.system.fingerprint import sha256_of

SIZE = (16, 16, 16)
PRESET = Preset(
    "tiny",
    spine=StageConfig(NetworkConfig("unet", (2, 3)), SIZE, 8.0, activation="sigmoid"),
    vertebrae=StageConfig(
        NetworkConfig(
            "scnet", (2, 3, 4), outputs=3, combination="shared", spatial_filters=2, spatial_kernel=3
        ),
        SIZE,
        4.0,
        activation="shared_softmax",
        labels=(20, 21),
    ),
    segmentation=StageConfig(NetworkConfig("unet", (2, 3), inputs=2), SIZE, 1.0),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder of untrained tiny weights."""
    folder = tmp_path_factory.mktemp("weights")
    files = {}
    for stage in Stage:
        path = folder / f"{stage}.weights.h5"
        build_network(PRESET, stage).save_weights(path)
        files[stage] = {"file": path.name, "sha256": sha256_of(path)}
    manifest = {"format": FORMAT, "preset": preset_to_dict(PRESET), "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def weights(made, tmp_path) -> Path:
    """A copy that a test may spoil."""
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def selftest(folder: Path, capsys) -> tuple[int, dict[str, str]]:
    options = ["--selftest", "--weights", str(folder), "--device", "cpu", "--precision", "float32"]
    code = main(options)
    lines = capsys.readouterr().out.splitlines()
    return code, {line.split()[0]: line for line in lines}


def change_manifest(folder: Path, change) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_all_is_well(weights, capsys) -> None:
    code, lines = selftest(weights, capsys)
    assert code == 0
    assert list(lines) == ["weights", "device", *Stage]
    assert all(line.split()[1] == "ok" for line in lines.values())
    assert "preset tiny" in lines["weights"] and "CPU" in lines["device"]
    assert "forward pass on 8x8x8 voxels" in lines["spine"]


def test_changed_weights(weights, capsys) -> None:
    path = weights / "vertebrae.weights.h5"
    path.write_bytes(path.read_bytes() + b"x")
    code, lines = selftest(weights, capsys)
    assert code == 1
    assert "FAILED" in lines["weights"] and "vertebrae stage has changed" in lines["weights"]
    assert list(lines) == ["weights", "device"]


def test_weights_that_do_not_fit_their_network(weights, capsys) -> None:
    def widen(manifest) -> None:
        manifest["preset"]["spine"]["network"]["filters"] = [4, 5]

    change_manifest(weights, widen)
    code, lines = selftest(weights, capsys)
    assert code == 1
    assert "FAILED" in lines["spine"] and "does not fit" in lines["spine"]
    assert "ok" in lines["segmentation"]


def test_weights_that_are_not_finite(weights, capsys) -> None:
    network = build_network(PRESET, "spine")
    network.set_weights([np.full_like(w, np.nan) for w in network.get_weights()])
    network.save_weights(weights / "spine.weights.h5")
    hashed = sha256_of(weights / "spine.weights.h5")
    change_manifest(weights, lambda m: m["files"]["spine"].update(sha256=hashed))
    code, lines = selftest(weights, capsys)
    assert code == 1 and "not finite" in lines["spine"]


def test_a_device_that_is_not_there(weights, capsys, monkeypatch) -> None:
    monkeypatch.setattr("vertseg.stages.keras_backend.set_up", lambda *_: None)
    assert main(["--selftest", "--weights", str(weights), "--device", "gpu"]) == 1
    line = capsys.readouterr().out.splitlines()[1]
    assert line.startswith("device") and "FAILED" in line and "--gpus all" in line
