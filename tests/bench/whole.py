"""One run of the program in a process of its own, reading included, start-up left out."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.job import Clock, loaded, peak_bytes
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch


def measure(source: Path, output: Path) -> dict[str, Any]:
    """Seconds and peak memory of a run whose networks were loaded and have run before.

    Args:
        source: folder with scans.
        output: is emptied before and after.
    """
    options = Options(input=source, output=output, device="cpu")
    segmenter = loaded(options)
    shutil.rmtree(output, ignore_errors=True)
    clock = Clock()
    outcome = run_batch(options, lambda options: segmenter)
    seconds = clock.read()
    shutil.rmtree(output, ignore_errors=True)
    if outcome.exit_code:
        raise SystemExit(f"{source}: exit code {outcome.exit_code}")
    peak = peak_bytes()
    voxels = [int(np.prod(report["geometry"]["size"])) for report in outcome.written]
    return {
        "vertebrae": sum(len(report["vertebrae"]) for report in outcome.written),
        "megavoxels": sum(voxels) / 1e6,
        "seconds": seconds["wall"],
        "processor_s": seconds["processor"],
        "peak_gib": peak / 2**30,
        "beyond_input_gib": (peak - 2 * max(voxels)) / 2**30,
    }


if __name__ == "__main__":
    where = json.loads(sys.argv[1])
    print(json.dumps(measure(Path(where["input"]), Path(where["output"]))))
