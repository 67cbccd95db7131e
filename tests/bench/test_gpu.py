"""The script for a GPU runs at toy size with JAX on a CPU, without what is not there."""

import json
import os
import subprocess
import sys

import numpy as np

from tests.bench.gpu_jobs import TOY_BODY_MM, TOY_CASES, make_body, volume_of
from tests.support.paths import ROOT
from vertseg.labels import label_of
from vertseg.stages import Stage

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
    forwards = found["forwards"]
    assert [(row["stage"], row["batch"]) for row in forwards] == [
        (stage, batch) for stage in Stage for batch in (1, 2)
    ]
    assert all(row["milliseconds"] > 0 for row in forwards)
    first, given = found["jobs"]
    assert 0 < forwards[0]["after_s"] < forwards[-1]["after_s"] < first["after_s"]
    assert first["spine_network_s"] > 0 and first["seconds"] >= first["spine_s"]
    assert given["vertebrae"] == 3 and given["segmentation_network_s"] > 0


def test_volumes_are_cut_from_one_body() -> None:
    case = TOY_CASES["lumbar"]
    image, centroids = volume_of(case, make_body(TOY_CASES, TOY_BODY_MM))
    assert image.grid.spacing == case.spacing_mm
    assert [c.label for c in centroids] == [label_of(name) for name in ("L2", "L3", "L4")]
    for centroid in centroids:
        i, j, k = np.rint(image.grid.lps_to_index(centroid.point_lps_mm)).astype(int)
        assert image.array[i - 1 : i + 2, j - 1 : j + 2, k - 1 : k + 2].mean() > 130  # bone
