"""How long a cold process takes to its first result: ``python -m tests.bench --only start``.

``predict.py`` on a lumbar scan of 40 slices, each time in a new process, by the clock of the
system, which parent and child share. Files lie in memory after the first run, so disks do not
count.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Figures = dict[str, float]

STEPS = ("interpreter", "imports", "networks", "first result", "end")
"""What has been reached: the first line of Python; all modules are there; networks are compiled;
the report is written; the process has ended."""

_SLICES = 40


def measure_start(work: Path, repeats: int) -> Figures:
    """Median seconds from the start of a process to each of `STEPS`, and its processor time.

    Args:
        work: where scan and outputs are kept.
        repeats: processes, after one that brings files into memory.
    """
    source, output = work / "start" / "in", work / "start" / "out"
    _make(source / "lumbar.nii.gz")
    runs = []
    for _ in range(1 + repeats):
        shutil.rmtree(output, ignore_errors=True)
        runs.append(_measured(source, output))
    return {key: statistics.median(run[key] for run in runs[1:]) for key in runs[0]}


def as_text(figures: Figures) -> str:
    """A line for each step."""
    lines = ["== start, seconds since the process began, on a lumbar scan of 40 slices"]
    lines += [f"{step:<18}{figures[step]:.2f} s" for step in STEPS]
    return "\n".join([*lines, f"{'processor':<18}{figures['processor']:.2f} s"])


def _make(path: Path) -> None:
    """A scan of L1 to L5, written once."""
    if path.exists():
        return
    from tests.bench.cases import write_finer
    from vertseg.phantom import make_phantom

    phantom = make_phantom(("L1", "L5"), 2.0, 2, field_mm=(200.0, 200.0), noise_hu=0.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_finer(phantom, path, (256, 256, _SLICES))


def _measured(source: Path, output: Path) -> Figures:
    words = ["--input", str(source), "--output", str(output), "--device", "cpu"]
    begin = time.monotonic()
    command = [sys.executable, "-m", "tests.bench.start", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    end = time.monotonic()
    reached: Figures = json.loads(done.stdout.splitlines()[-1])
    seconds = {step: reached[step] - begin for step in STEPS[:-1]}
    return {**seconds, "end": end - begin, "processor": reached["processor"]}


def _run(words: list[str], reached: Figures) -> int:
    """The program, which notes on its way what it has reached."""
    from vertseg.cli import main

    def load(options: Any) -> Any:
        import vertseg.stages.openvino_backend  # noqa: F401
        from vertseg.batch.run import load_segmenter

        reached["imports"] = time.monotonic()
        segmenter = load_segmenter(options)
        reached["networks"] = time.monotonic()
        return segmenter

    code = main(words, load)
    reached["first result"] = time.monotonic()
    return code


if __name__ == "__main__":
    marks = {"interpreter": time.monotonic()}
    failed = _run(sys.argv[1:], marks)
    print(json.dumps({**marks, "processor": time.process_time()}))
    sys.exit(failed)
