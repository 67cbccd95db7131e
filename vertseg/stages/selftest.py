"""Whether this installation works: weights, processor, and a small forward pass of each network."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vertseg.errors import VertsegError
from vertseg.geometry.grid import Float32Array
from vertseg.stages import Stage
from vertseg.stages.device import BACKENDS, DeviceInfo, choose_device
from vertseg.stages.weights import Weights, load_weights

if TYPE_CHECKING:
    from models import StageConfig

_ALLOWANCE = 0.01  # how far rounding may take a probability out of [0, 1]


@dataclasses.dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: what was checked.
        passed: whether the check passed.
        text: what it found, or what is wrong and what to do.
    """

    name: str
    passed: bool
    text: str

    def __str__(self) -> str:
        return f"{self.name:<12}  {'ok' if self.passed else 'FAILED':<6}  {self.text}"


def run_checks(
    weights: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
) -> Iterator[Check]:
    """Check the files of the weights, the device, and each network, one after another.

    The networks run with their own weights on the smallest grid that they can take, so that this
    is quick and needs little memory beside a run.

    Args:
        weights: folder; the bundled weights if None.
        device: ``auto``, ``gpu`` or ``cpu``.
        precision: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        threads: CPU threads; all if None.
        backend: ``auto``, ``openvino``, ``tensorflow`` or ``jax``.
    """
    loaded, used = None, None
    try:
        loaded = load_weights(weights)
        text = f"{len(loaded.files)} files as in the manifest, preset {loaded.preset.name}"
        yield Check("weights", True, f"{text}, in {loaded.folder}")
    except VertsegError as error:
        yield Check("weights", False, str(error))
    try:
        used = choose_device(device, precision, threads, backend)
        text = f"{used.kind.upper()}, {used.name}, {used.precision}, {BACKENDS[used.backend]}"
        yield Check("device", True, text)
    except VertsegError as error:
        yield Check("device", False, str(error))
    if loaded is None or used is None:
        return
    for stage in Stage:
        yield _forward(loaded, stage, used)


def _forward(weights: Weights, stage: str, device: DeviceInfo) -> Check:
    from vertseg.stages.network import StageNetwork

    start = time.perf_counter()
    small = _smallest(getattr(weights.preset, stage))
    changes: dict[str, Any] = {stage: small}
    preset = dataclasses.replace(weights.preset, **changes)
    try:
        network = StageNetwork(dataclasses.replace(weights, preset=preset), stage, device)
        shape = (1, *small.size, small.network.inputs)
        values = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        maps = network(values)
    except VertsegError as error:
        return Check(stage, False, str(error))
    except Exception as error:  # of a library: its words are all there is to go by
        return Check(stage, False, f"{type(error).__name__}: {error}".splitlines()[0])
    wrong = _what_is_wrong(maps, small)
    took = f"forward pass on {'x'.join(map(str, small.size))} voxels, "
    took += f"{time.perf_counter() - start:.1f} s"
    return Check(stage, not wrong, f"{took}: {wrong}" if wrong else took)


def _smallest(config: StageConfig) -> StageConfig:
    """The stage on the smallest grid whose halves meet at every level of the network."""
    step = max(2 ** (len(config.network.filters) - 1), config.network.spatial_factor)
    side = 2 * step
    return dataclasses.replace(config, size=(side, side, side))


def _what_is_wrong(maps: Float32Array, config: StageConfig) -> str:
    if maps.shape[:4] != (1, *config.size):
        return f"the maps have the shape {maps.shape}"
    if not np.isfinite(maps).all():
        return "the maps are not finite. Try --precision float32"
    low, high = float(maps.min()), float(maps.max())
    if config.activation != "linear" and (low < -_ALLOWANCE or high > 1 + _ALLOWANCE):
        return f"the maps reach from {low:g} to {high:g}, expected 0 to 1"
    if low == high:
        return f"the maps are {low:g} everywhere, whatever the input"
    return ""
