"""The number of crops follows from the free memory."""

import subprocess

import pytest

from models import PRESETS, build_network
from vertseg.stages import at_once as crop_batch
from vertseg.stages.at_once import activation_bytes, crops_at_once

MIB = 1 << 20


@pytest.mark.parametrize(
    ("free_mib", "kind", "expected"),
    [
        (100, "cpu", (1, 1)),
        (4000, "cpu", (1, 2)),
        (3000, "gpu", (3, 2)),
        (100, "gpu", (1, 2)),
        (90000, "gpu", (4, 2)),
    ],
)
def test_half_of_the_free_memory_is_used(free_mib, kind, expected, monkeypatch) -> None:
    monkeypatch.setattr(crop_batch, "free_bytes", lambda: free_mib * MIB)
    monkeypatch.setattr(crop_batch, "free_of_gpu", lambda backend: free_mib * MIB)
    assert crops_at_once(500 * MIB, kind, "tensorflow") == expected


def test_a_machine_that_says_nothing_gets_a_small_batch(monkeypatch) -> None:
    monkeypatch.setattr(crop_batch, "free_of_gpu", lambda backend: None)
    assert crops_at_once(500 * MIB, "gpu", "tensorflow").crops == 2


def test_what_nvidia_smi_says_is_read(monkeypatch) -> None:
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "8100\n8200\n", "")

    monkeypatch.setattr(crop_batch.subprocess, "run", run)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    assert crop_batch.free_of_gpu("tensorflow") == 8100 * MIB
    assert "--id=3" in asked[0]
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "/nowhere")
    assert crop_batch.free_of_gpu("tensorflow") is None


def test_every_map_counts() -> None:
    network = build_network(PRESETS["default"], "segmentation", (16, 16, 16))
    finest = 16**3 * 16 * 4  # one map of the finest level, float32
    assert 8 * finest < activation_bytes(network) < 40 * finest
