"""One run of the whole program in a process of its own, and its networks' bare time."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.untrained import flop_of
from vertseg.batch.options import Options
from vertseg.batch.run import load_segmenter, run_batch
from vertseg.stages import Stage
from vertseg.stages.at_once import CALLS_AT_ONCE
from vertseg.system.threads import mapped_ahead

Shape = tuple[int, ...]


@dataclass
class _Recorder:
    """Stands before a compiled network and notes what it is given."""

    forward: Any
    shapes: list[Shape] = field(default_factory=list)

    def __call__(self, batch: Any) -> Any:
        self.shapes.append(tuple(batch.shape))
        return self.forward(batch)


@dataclass
class Clock:
    """Wall-clock and processor seconds since it was made."""

    wall: float = field(default_factory=time.perf_counter)
    processor: float = field(default_factory=time.process_time)

    def read(self) -> dict[str, float]:
        return {
            "wall": time.perf_counter() - self.wall,
            "processor": time.process_time() - self.processor,
        }


def measure(source: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """Run the program on a folder and the networks alone on as much; see `report.py` for keys.

    Args:
        source: folder with scans.
        output: is emptied first.
        changes: options of the run.
    """
    shutil.rmtree(output, ignore_errors=True)
    options = Options(input=source, output=output, **changes)
    made: dict[str, Any] = {}
    clock = Clock()

    def load(options: Options) -> Any:
        segmenter = loaded(options)
        made.update(segmenter=segmenter, recorders=_record(segmenter), start_up=clock.read())
        return segmenter

    outcome = run_batch(options, load)
    whole = clock.read()
    segmenter, recorders, start_up = made["segmenter"], made["recorders"], made["start_up"]
    job = {kind: whole[kind] - start_up[kind] for kind in whole}
    peak = peak_bytes()
    if outcome.exit_code:
        raise SystemExit(f"{source}: exit code {outcome.exit_code}")
    seconds: dict[str, float] = {}
    for report in outcome.written:
        for stage, value in report["seconds"].items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    bare = {stage: _bare(recorder) for stage, recorder in recorders.items()}
    voxels = max(int(np.prod(report["geometry"]["size"])) for report in outcome.written)
    return {
        "scans": len(outcome.written),
        "vertebrae": sum(len(report["vertebrae"]) for report in outcome.written),
        "largest_voxels": voxels,
        "input_bytes": _bytes_in(source),
        "output_bytes": _bytes_in(output),
        "precision": segmenter.device.precision,
        "backend": segmenter.device.backend,
        "device": f"{segmenter.device.name}, {segmenter.device.precision}, "
        f"{segmenter.device.backend}",
        "start_up_s": start_up,
        "job_s": job,
        "stages_s": seconds,
        "forwards": {stage: _count(r.shapes) for stage, r in recorders.items()},
        "bare_s": bare,
        "peak_bytes": peak,
        "peak_beyond_input_bytes": peak - 2 * voxels,
        "flop": _flop(segmenter, recorders),
    }


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def peak_bytes() -> int:
    """Most memory that this process has held; the system's own figure counts its parent, too."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) << 10


def loaded(options: Options) -> Any:
    """The segmenter, each of whose networks has run once in the memory of each of its streams."""
    segmenter = load_segmenter(options)
    for network in segmenter.networks:
        config = network.config
        for _ in range(CALLS_AT_ONCE):
            network(np.zeros((1, *config.size, config.network.inputs), np.float32))
    return segmenter


def _record(segmenter: Any) -> dict[str, _Recorder]:
    recorders = {}
    for stage, network in zip(Stage, segmenter.networks, strict=True):
        recorders[stage] = network._forward = _Recorder(network._forward)
    return recorders


def _bare(recorder: _Recorder) -> dict[str, float]:
    """Seconds for the same forwards on values that are at hand, as many at once as in a run."""
    inputs = {
        shape: np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        for shape in set(recorder.shapes)
    }
    shapes, clock = list(recorder.shapes), Clock()
    forwards = mapped_ahead(lambda shape: recorder.forward(inputs[shape]), shapes, CALLS_AT_ONCE)
    for _ in forwards:
        pass
    return clock.read()


def _count(shapes: list[Shape]) -> dict[str, int]:
    return {"calls": len(shapes), "crops": sum(shape[0] for shape in shapes)}


def _flop(segmenter: Any, recorders: dict[str, _Recorder]) -> float:
    return sum(
        flop_of(segmenter.preset, stage) * sum(shape[0] for shape in recorder.shapes)
        for stage, recorder in recorders.items()
    )


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    found = measure(Path(arguments.pop("input")), Path(arguments.pop("output")), **arguments)
    print(json.dumps(found))
