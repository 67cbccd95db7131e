"""Prediction with OpenVINO: the same bytes in every run, a clear failure where it cannot work."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from models.openvino_layers import openvino_network
from models.silent_openvino import ov
from tests.support.paths import ROOT
from vertseg.errors import ConfigurationError
from vertseg.stages.device import DeviceInfo
from vertseg.stages.network import StageNetwork
from vertseg.stages.openvino_backend import OpenVinoForward, memory_errors, peak_bytes
from vertseg.stages.weights import load_weights, read_variables
from vertseg.system.threads import mapped_ahead

CPU = DeviceInfo("cpu", "", "float32", 2, "openvino")


@pytest.fixture(scope="module")
def weights():
    """The bundled weights, whose networks see small grids."""
    loaded = load_weights()
    stages = {
        stage: dataclasses.replace(getattr(loaded.preset, stage), size=(32, 32, 32))
        for stage in ("spine", "vertebrae", "segmentation")
    }
    return dataclasses.replace(loaded, preset=dataclasses.replace(loaded.preset, **stages))


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 32, 2)).astype(np.float32)


@pytest.mark.parametrize("stage", ["spine", "vertebrae", "segmentation"])
def test_keras_agrees(stage, weights, batch) -> None:
    inputs = batch[..., : getattr(weights.preset, stage).network.inputs]
    here = StageNetwork(weights, stage, CPU)(inputs)
    keras = dataclasses.replace(CPU, backend="tensorflow")
    np.testing.assert_allclose(StageNetwork(weights, stage, keras)(inputs), here, atol=1e-4)
    assert here.std() > 1e-4


def test_threads_and_calls_at_once_change_no_byte(weights, batch) -> None:
    def maps(threads: int) -> bytes:
        device = dataclasses.replace(CPU, threads=threads)
        network = StageNetwork(weights, "segmentation", device)
        found = [np.concatenate(list(mapped_ahead(network, np.split(batch, 3), 2)))]
        found.append(network(batch))
        np.testing.assert_array_equal(*found)
        return found[0].tobytes()

    assert len({maps(threads) for threads in (1, 2, 3)}) == 1


def test_maps_may_be_changed_and_stay(weights, batch) -> None:
    network = StageNetwork(weights, "segmentation", CPU)
    first = network(batch[:1])
    kept = first.copy()
    network(batch[1:2])
    np.testing.assert_array_equal(first, kept)
    first += 1


def test_weights_of_another_network(weights) -> None:
    swapped = weights.files | {"spine": weights.files["segmentation"]}
    with pytest.raises(ConfigurationError, match="does not fit its network"):
        OpenVinoForward.load(dataclasses.replace(weights, files=swapped), "spine", CPU)


def test_a_precision_that_the_processor_lacks(weights) -> None:
    if "FP16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has float16")
    half = dataclasses.replace(CPU, precision="float16")
    with pytest.raises(ConfigurationError, match="no float16 on this CPU"):
        OpenVinoForward.load(weights, "segmentation", half)


@pytest.mark.parametrize(
    "text",
    [
        "Exception from src/plugin.cpp:54:\nstd::bad_alloc\n",
        "Check 'ptr' failed at cpu_memory.cpp:257:\nFailed to allocate 157286400 bytes of memory\n",
    ],
)
def test_what_openvino_says_without_memory(text) -> None:
    with pytest.raises(MemoryError, match="alloc"), memory_errors():
        raise RuntimeError(text)


def test_other_errors_stay() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors():
        raise RuntimeError("wrong shape")


def test_too_little_memory_is_a_clear_failure() -> None:
    code = (
        "import resource\n"
        "from vertseg.stages.openvino_backend import OpenVinoForward\n"
        "from vertseg.stages.device import DeviceInfo\n"
        "from vertseg.stages.weights import load_weights\n"
        "size = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + (400 << 20),) * 2)\n"
        "device = DeviceInfo('cpu', '', 'float32', 2)\n"
        "OpenVinoForward.load(load_weights(), 'segmentation', device)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "there is not enough memory for the networks" in done.stderr.splitlines()[-1]
    assert "more memory" in done.stderr


def test_memory_is_that_of_the_widest_place(weights) -> None:
    """The finest skip, what comes from below, and both side by side."""
    preset = weights.preset
    graph = openvino_network(preset, "spine", read_variables(weights.files["spine"]))
    fine, coarse = preset.spine.network.filters[:2]
    least = 2 * (fine + coarse) * 32**3 * 4
    assert least <= peak_bytes(graph, 4) < 2 * least
    assert 2 * peak_bytes(graph, 2) == peak_bytes(graph, 4)


def test_a_segmenter_needs_no_keras_says_and_reports_nothing(tmp_path) -> None:
    code = (
        "import sys, vertseg\n"
        "segmenter = vertseg.Segmenter(device='cpu')\n"
        "import numpy as np\n"
        "config = segmenter.preset.spine\n"
        "segmenter._spine(np.zeros((1, *config.size, config.network.inputs), np.float32))\n"
        "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
        "print(segmenter.device.backend)\n"
    )
    command, home = [sys.executable, "-c", code], os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=home, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("openvino\n", "")
    assert not any(tmp_path.iterdir())  # OpenVINO's telemetry would leave its files here


def test_openvino_is_imported_in_one_place() -> None:
    """Elsewhere it could come before its telemetry is left out."""
    files = [f for top in ("models", "vertseg", "tests") for f in (ROOT / top).rglob("*.py")]
    pattern = re.compile(r"^ *(import|from) openvino\b", re.MULTILINE)
    found = [file.name for file in files if pattern.search(file.read_text(encoding="utf-8"))]
    assert found == ["silent_openvino.py"]
