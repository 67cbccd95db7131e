"""The script for a GPU runs at toy size with JAX on a CPU, without what is not there."""

import json
import os
import subprocess
import sys

from tests.support.paths import ROOT

NOT_THERE = ("openvino", "tensorflow", "SimpleITK", "pydicom", "highdicom", "tqdm", "PIL")

FLAGS = "--xla_backend_optimization_level=0"  # quick to compile

BLOCKED = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {NOT_THERE}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import runpy
runpy.run_module("tests.bench.gpu", run_name="__main__", alter_sys=True)
"""


def test_rehearsal_with_jax(tmp_path) -> None:
    figures = tmp_path / "gpu.json"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax", "XLA_FLAGS": FLAGS}
    command = [sys.executable, "-c", BLOCKED, "--toy", "--json", str(figures)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(figures.read_text())
    assert found["device"]["backend"] == "jax" and found["matrix_flop_per_s"] > 0
    assert len(found["forwards"]) == 3
    assert all(row["milliseconds"] > 0 for row in found["forwards"])
    first, given = found["jobs"]
    assert first["spine_network_s"] > 0 and first["seconds"] >= first["spine_s"]
    assert given["vertebrae"] == 3 and given["segmentation_network_s"] > 0
