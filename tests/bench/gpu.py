"""What a GPU makes of the networks and of whole jobs: ``python -m tests.bench.gpu``.

Runs on a machine with JAX and without TensorFlow, OpenVINO or readers of medical images; volumes
are made in memory. It needs h5py, numpy and scipy, and keras, nibabel and isal, which can be
carried there as wheels with what they need:

    pip download --only-binary :all: --python-version 3.12 --dest wheels keras nibabel isal

Prints milliseconds a forward of the bundled networks and its share of what matrix products reach;
then seconds a volume, the host's share in them, and memory; then forwards of the published networks
and of larger batches. Each row is printed and written to ``--json`` as soon as it is there, with
the seconds since the start; nothing is begun after ``--minutes``. What takes most of the time is
compiling; with ``JAX_COMPILATION_CACHE_DIR=FOLDER`` JAX keeps its results for the next run.
``--toy`` tries all of it on a CPU.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from models import PRESETS, NetworkConfig, Preset, StageConfig, build_network, preset_to_dict
from tests.bench.gpu_jobs import job_rows
from tests.bench.machine import matrix_rate
from vertseg.stages import Stage
from vertseg.stages.device import DeviceInfo, choose_device
from vertseg.stages.keras_backend import KerasForward
from vertseg.stages.segmenter import Segmenter
from vertseg.stages.weights import FORMAT, MANIFEST
from vertseg.system.fingerprint import sha256_of

_REPEATS = 10

_FIRST = (1, 2, 4)  # what jobs use
_PUBLISHED = (1, 4)
_LARGE = (8, 16)

_TOY = Preset(
    "toy",
    spine=StageConfig(NetworkConfig("unet", (2, 3)), (16, 16, 16), 8.0, activation="sigmoid"),
    vertebrae=StageConfig(
        NetworkConfig("scnet", (2, 3), outputs=3, combination="shared", spatial_factor=2),
        (16, 16, 16),
        4.0,
        activation="shared_softmax",
        overlap=8,
        labels=(20, 21),
    ),
    segmentation=StageConfig(
        NetworkConfig("unet", (2, 3), inputs=2), (16, 16, 16), 4.0, activation="sigmoid"
    ),
)


@dataclass(frozen=True, eq=False)
class _Network:
    """A network of one stage, and the FLOP of a crop."""

    preset: str
    stage: Stage
    config: StageConfig
    forward: Any
    flop: float


def main() -> None:
    """Print and write the figures."""
    options = _parser().parse_args()
    begin = time.monotonic()
    device = choose_device("auto" if options.toy else "gpu", backend=options.backend)
    rate = matrix_rate(device.precision, options.backend, 256 if options.toy else 8192)
    figures: dict[str, Any] = {"device": device.as_dict(), "matrix_flop_per_s": rate}
    figures |= {"forwards": [], "jobs": []}
    print(f"{device.name}, {device.precision}, {rate / 1e12:.2f} TFLOP/s in matrices", flush=True)
    for part, row in _rows(device, rate, options.toy):
        seconds = time.monotonic() - begin
        figures[part].append(row | {"after_s": seconds})
        cells = ", ".join(f"{key} {_rounded(value)}" for key, value in row.items())
        print(f"{seconds:6.1f} s: {cells}", flush=True)
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        if seconds > 60.0 * options.minutes:
            return print("The time is over.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    add = parser.add_argument
    add("--backend", choices=("jax", "tensorflow"), default="jax")
    add("--minutes", type=float, default=2.5, help="after which nothing more is begun")
    add("--json", type=Path, default=Path("gpu.json"), help="where to")
    add("--toy", action="store_true", help="small networks and volumes, on any processor")
    return parser


def _rows(device: DeviceInfo, rate: float, toy: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Part and figures of each row, what matters most first."""
    with tempfile.TemporaryDirectory() as folder:
        weights = _toy_weights(Path(folder)) if toy else None
        segmenter = Segmenter(weights, device.kind, backend=device.backend)
    own = _own_networks(segmenter)
    for row in _forwards(own, _FIRST[:2] if toy else _FIRST, rate):
        yield "forwards", row
    for row in job_rows(segmenter, toy):
        yield "jobs", row
    if toy:
        return
    for networks, batches in ((None, _PUBLISHED), (own, _LARGE), (None, _LARGE)):
        for row in _forwards(networks or _published_networks(device.policy), batches, rate):
            yield "forwards", row


def _own_networks(segmenter: Segmenter) -> list[_Network]:
    """Those of the segmenter, so that its jobs find compiled what the forwards have used."""
    preset = segmenter.preset
    return [
        _Network(
            preset.name,
            stage,
            network.config,
            network._forward,
            _flop(build_network(preset, stage)),
        )
        for stage, network in zip(Stage, segmenter.networks, strict=True)
    ]


@lru_cache(1)
def _published_networks(policy: str) -> list[_Network]:
    preset, networks = PRESETS["paper"], []
    for stage in Stage:
        config, model = getattr(preset, stage), _untrained(preset, stage, policy)
        forward = KerasForward(model, config)
        networks.append(_Network(preset.name, stage, config, forward, _flop(model)))
    return networks


def _untrained(preset: Preset, stage: str, policy: str) -> Any:
    import keras

    keras.config.set_dtype_policy(policy)
    try:
        return build_network(preset, stage)
    finally:
        keras.config.set_dtype_policy("float32")


def _forwards(
    networks: list[_Network], batches: tuple[int, ...], rate: float
) -> Iterator[dict[str, Any]]:
    """Milliseconds of the forwards of every network at each batch size."""
    for network in networks:
        for count in batches:
            row = {"preset": network.preset, "stage": str(network.stage), "batch": count}
            config = network.config
            try:
                shape = (count, *config.size, config.network.inputs)
                first, seconds = _seconds(network.forward, shape)
            except Exception as error:  # the largest batches may not fit
                yield row | {"failed": str(error).splitlines()[0][:80]}
                break
            yield row | {
                "milliseconds": 1e3 * seconds,
                "share_of_matrices": count * network.flop / seconds / rate,
                "first_s": first,
            }


def _seconds(forward: Any, shape: tuple[int, ...]) -> tuple[float, float]:
    """Seconds from host memory to host memory: of the first forward, which compiles; the median."""
    batch = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    times = []
    for _ in range(_REPEATS + 1):
        begin = time.perf_counter()
        forward(batch)
        times.append(time.perf_counter() - begin)
    return times[0], float(np.median(times[1:]))


def _flop(model: Any) -> float:
    """FLOP of one crop in the convolutions: two a multiplication and addition."""
    layers = [layer for layer in model.layers if hasattr(layer, "kernel_size")]
    return float(sum(2.0 * np.prod(x.output.shape[1:-1]) * np.prod(x.kernel.shape) for x in layers))


def _toy_weights(folder: Path) -> Path:
    files = {}
    for stage in Stage:
        path = folder / f"{stage}.weights.h5"
        build_network(_TOY, stage).save_weights(path)
        files[stage.value] = {"file": path.name, "sha256": sha256_of(path)}
    manifest = {"format": FORMAT, "preset": preset_to_dict(_TOY), "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def _rounded(value: Any) -> Any:
    return f"{value:.3f}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
