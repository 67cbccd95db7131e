"""What a GPU makes of the networks and of whole jobs: ``python -m tests.bench.gpu``.

Runs below ten minutes on a machine with JAX and without TensorFlow, OpenVINO or readers of medical
images; volumes are made in memory. It needs h5py, numpy and scipy, and keras, nibabel and isal,
which can be carried there as wheels with what they need:

    pip download --only-binary :all: --python-version 3.12 --dest wheels keras nibabel isal

Prints, for the bundled and the published networks, milliseconds a forward at several batch sizes
and its share of what matrix products reach; then seconds a volume, the host's share in them, and
memory. What is done so far is printed at once and written to ``--json``; nothing is begun after
``--minutes``. ``--toy`` tries all of it on a CPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models import PRESETS, NetworkConfig, Preset, StageConfig, build_network, preset_to_dict
from tests.bench.machine import matrix_rate
from vertseg.io.image import Image
from vertseg.phantom import make_phantom
from vertseg.stages import Stage
from vertseg.stages.device import DeviceInfo, choose_device
from vertseg.stages.keras_backend import KerasForward
from vertseg.stages.segmenter import Segmenter
from vertseg.stages.weights import FORMAT, MANIFEST
from vertseg.system.fingerprint import sha256_of

_BATCHES = (1, 2, 4, 8, 16)
_REPEATS = 10

# First and last level, voxel size in mm, field of view across in mm.
_CASES = {
    "lumbar": (("T9", "L5"), 0.9, 180.0),
    "whole spine": (("C1", "L5"), 0.9, 360.0),
    "thin slices": (("T4", "L5"), (0.8, 0.8, 0.6), 300.0),
}
_TOY_CASES = {"lumbar": (("L2", "L4"), 4.0, 120.0)}

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


def main() -> None:
    """Print and write the figures."""
    options = _parser().parse_args()
    end = time.monotonic() + 60.0 * options.minutes
    device = choose_device("auto" if options.toy else "gpu", backend=options.backend)
    rate = matrix_rate(device.precision, options.backend, 256 if options.toy else 8192)
    figures: dict[str, Any] = {"device": device.as_dict(), "matrix_flop_per_s": rate}
    print(f"{device.name}, {device.precision}, {rate / 1e12:.2f} TFLOP/s in matrices", flush=True)
    parts = {"jobs": _jobs(device, options.toy), "forwards": _forwards(device, rate, options.toy)}
    for name, part in parts.items():
        figures[name] = []
        for row in part:
            figures[name].append(row)
            print(", ".join(f"{key} {_rounded(value)}" for key, value in row.items()), flush=True)
            options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
            if time.monotonic() > end:
                return print("The time is over.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    add = parser.add_argument
    add("--backend", choices=("jax", "tensorflow"), default="jax")
    add("--minutes", type=float, default=8.0, help="after which nothing more is begun")
    add("--json", type=Path, default=Path("gpu.json"), help="where to")
    add("--toy", action="store_true", help="small networks and volumes, on any processor")
    return parser


def _forwards(device: DeviceInfo, rate: float, toy: bool) -> Iterator[dict[str, Any]]:
    """Milliseconds of the forwards of every network at each batch size."""
    for preset in [_TOY] if toy else reversed(PRESETS.values()):
        for stage in Stage:
            config = getattr(preset, stage)
            model = _untrained(preset, stage, device.policy)
            forward, flop = KerasForward(model, config), _flop(model)
            for count in _BATCHES[1:2] if toy else _BATCHES:
                row = {"preset": preset.name, "stage": str(stage), "batch": count}
                try:
                    seconds = _seconds(forward, (count, *config.size, config.network.inputs))
                except Exception as error:  # the largest batches may not fit
                    yield row | {"failed": str(error).splitlines()[0][:80]}
                    break
                yield row | {
                    "milliseconds": 1e3 * seconds,
                    "share_of_matrices": count * flop / seconds / rate,
                }


def _untrained(preset: Preset, stage: str, policy: str) -> Any:
    import keras

    keras.config.set_dtype_policy(policy)
    try:
        return build_network(preset, stage)
    finally:
        keras.config.set_dtype_policy("float32")


def _seconds(forward: KerasForward, shape: tuple[int, ...]) -> float:
    """Median seconds of a forward from host memory to host memory, after one that compiles."""
    batch = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    forward(batch)
    times = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        forward(batch)
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def _flop(model: Any) -> float:
    """FLOP of one crop in the convolutions: two a multiplication and addition."""
    layers = [layer for layer in model.layers if hasattr(layer, "kernel_size")]
    return float(sum(2.0 * np.prod(x.output.shape[1:-1]) * np.prod(x.kernel.shape) for x in layers))


class _Timed:
    """A network whose seconds are added up."""

    def __init__(self, forward: Any) -> None:
        self.forward, self.seconds = forward, 0.0

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        begin = time.perf_counter()
        try:
            return self.forward(batch)
        finally:
            self.seconds += time.perf_counter() - begin


def _jobs(device: DeviceInfo, toy: bool) -> Iterator[dict[str, Any]]:
    """Seconds of whole jobs on volumes in memory: the second run of each, which compiles nothing.

    The host's share is what is left of a stage's seconds without those of its network; calls do
    not overlap on a GPU.
    """
    with tempfile.TemporaryDirectory() as folder:
        weights = _toy_weights(Path(folder)) if toy else None
        segmenter = Segmenter(weights, device.kind, backend=device.backend)
        timers = {}
        for stage, network in zip(Stage, segmenter.networks, strict=True):
            timers[stage] = network._forward = _Timed(network._forward)
        for name, (levels, spacing, field) in (_TOY_CASES if toy else _CASES).items():
            phantom = make_phantom(levels, spacing, 2, field_mm=(field, field))
            image = Image.from_array(phantom.hu, phantom.grid.affine_ras)
            for run in (segmenter, lambda image, p=phantom: segmenter.segment(image, p.centroids)):
                run(image)
                for timer in timers.values():
                    timer.seconds = 0.0
                begin = time.perf_counter()
                result = run(image)
                yield {
                    "case": name if run is segmenter else f"{name}, centroids given",
                    "size": "x".join(map(str, image.grid.size)),
                    "vertebrae": len(result.vertebrae),
                    "seconds": time.perf_counter() - begin,
                    **{f"{stage}_network_s": timer.seconds for stage, timer in timers.items()},
                    **{f"{stage}_s": seconds for stage, seconds in result.seconds.items()},
                    **_memory(),
                }


def _toy_weights(folder: Path) -> Path:
    files = {}
    for stage in Stage:
        path = folder / f"{stage}.weights.h5"
        build_network(_TOY, stage).save_weights(path)
        files[stage.value] = {"file": path.name, "sha256": sha256_of(path)}
    manifest = {"format": FORMAT, "preset": preset_to_dict(_TOY), "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def _memory() -> dict[str, float]:
    """Peaks in GiB: of this process, and of the GPU where JAX says."""
    found = {"host_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}
    import keras

    if keras.backend.backend() == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in stats:
            found["gpu_gib"] = stats["peak_bytes_in_use"] / 2**30
    return found


def _rounded(value: Any) -> Any:
    return f"{value:.3f}" if isinstance(value, float) else value


if __name__ == "__main__":
    main()
