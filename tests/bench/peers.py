"""What a crop costs each network, beside networks of others: ``python -m tests.bench.peers``.

The published networks (preset ``paper``) run by this program, with random weights: the cost does
not depend on them. With ``--spine-segment`` the PyTorch networks of that package, too, in
float32 on the same threads, each on what its authors give it; it is installed for this beside the
program (``pip install spine-segment``, tried with 0.1.6; with PyTorch, as the registry has it, it
takes 5 GB). All take turns, so that whatever else the machine does meets all of them; medians
count. The large networks have 1.5 TFLOP a crop: ``--repeats 1`` is enough for them on few cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from models import PRESETS
from tests.bench.untrained import flop_of, untrained_graph
from vertseg.stages import Stage
from vertseg.stages.device import choose_device
from vertseg.stages.openvino_backend import OpenVinoForward

Run = Callable[[], int]
"""Does some work and gives the number of crops in it."""

_SPINE_SEGMENT = {
    # Inputs, labels, levels, and a crop (x, y, z), which is the published one.
    Stage.SPINE: (1, 1, 5, (64, 64, 128)),
    Stage.VERTEBRAE: (1, 26, 4, (96, 96, 128)),
    Stage.SEGMENTATION: (2, 1, 5, (128, 128, 96)),
}


def main() -> None:
    """Print a table: seconds a crop of each network, and how many times those of ours."""
    options = _parser().parse_args()
    device = choose_device("cpu", options.precision, options.threads)
    print(f"{device.name}, {device.precision}, median of {options.repeats}")
    print(f"{'':<14}{'networks':<16}{'GFLOP':>8}{'s a crop':>10}{'ratio':>8}")
    for stage in options.stage or Stage:
        runs = {name: _ours(preset, stage, device) for name, preset in PRESETS.items()}
        flop = {name: flop_of(preset, stage) / 1e9 for name, preset in PRESETS.items()}
        if options.spine_segment:
            runs["spine-segment"] = _spine_segment(stage, options.threads)
        seconds = median_seconds(list(runs.values()), options.repeats)
        own = dict(zip(runs, seconds, strict=True))["default"]
        for name, value in zip(runs, seconds, strict=True):
            work = f"{flop[name]:8.0f}" if name in flop else " " * 8
            print(f"{stage:<14}{name:<16}{work}{value:10.3f}{value / own:8.1f}", flush=True)


def median_seconds(runs: list[Run], repeats: int) -> list[float]:
    """Median seconds a crop of several runs that take turns, after one that warms up."""
    for run in runs:
        run()
    times = np.empty((repeats, len(runs)))
    for row in times:
        for place, run in enumerate(runs):
            begin = time.perf_counter()
            crops = run()
            row[place] = (time.perf_counter() - begin) / crops
    return [float(value) for value in np.median(times, axis=0)]


def _ours(preset: Any, stage: Stage, device: Any) -> Run:
    """Two crops at once, as in a run; the first stage sees one."""
    forward = OpenVinoForward(untrained_graph(preset, stage), stage, device)
    config = getattr(preset, stage)
    count = 1 if stage == Stage.SPINE else 2
    batch = np.zeros((count, *config.size, config.network.inputs), np.float32)
    return lambda: len(forward(batch))


def _spine_segment(stage: Stage, threads: int | None) -> Run:
    import torch
    from spine_segment.pytorch_models import MdatArchitectureSpec, build_model

    if threads:
        torch.set_num_threads(threads)
    inputs, labels, levels, (x, y, z) = _SPINE_SEGMENT[stage]
    more: dict[str, Any] = {}
    if stage == Stage.VERTEBRAE:
        more = {"local_activation": "tanh", "spatial_activation": "tanh", "spatial_downsample": 4}
        more["model_kind"] = "scn"
    spec = MdatArchitectureSpec(str(stage), inputs, labels, 96, levels, "lrelu", **more)
    network = build_model(spec).eval()
    batch = torch.zeros(1, inputs, z, y, x)

    def run() -> int:
        with torch.inference_mode():
            network(batch)
        return 1

    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    add = parser.add_argument
    add("--spine-segment", action="store_true", help="with that package, which must be installed")
    add("--stage", choices=list(Stage), action="append", type=Stage, help="default: all")
    add("--precision", default="auto")
    add("--threads", type=int)
    add("--repeats", type=int, default=5)
    return parser


if __name__ == "__main__":
    main()
