"""The benchmark runs through on one small scan, and its figures add up."""

import json
import subprocess
import sys

from tests.support.paths import ROOT
from vertseg.phantom import make_phantom, write_phantom


def test_a_job_is_measured_against_its_bare_networks(tmp_path) -> None:
    phantom = make_phantom(("L2", "L4"), 2.5, 2, field_mm=(160.0, 160.0))
    mask, centroids = write_phantom(phantom, tmp_path / "in" / "a.nii.gz")[1:]
    for truth in (mask, centroids):
        truth.unlink()
    options = {"input": str(tmp_path / "in"), "output": str(tmp_path / "out"), "device": "cpu"}
    command = [sys.executable, "-m", "tests.bench.job", json.dumps(options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["scans"] == 1 and found["vertebrae"] >= 1
    assert found["forwards"]["segmentation"]["crops"] == found["vertebrae"]
    assert found["forwards"]["vertebrae"]["crops"] == 6  # a tile and its mirror image, in 3 sizes
    for stage, bare in found["bare_s"].items():
        assert bare["processor"] > 0 and found["stages_s"][stage] > 0
    assert found["flop"] > 1e9 and found["peak_beyond_input_bytes"] > 0
