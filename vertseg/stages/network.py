"""One trained network, compiled: from a batch of crops to a batch of maps."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Protocol

import numpy as np

from models import StageConfig
from vertseg.geometry.grid import Float32Array
from vertseg.stages.at_once import CALLS_AT_ONCE
from vertseg.stages.device import DeviceInfo
from vertseg.stages.weights import Weights
from vertseg.system.memory import is_out_of_memory

_LOGGER = logging.getLogger(__name__)


class Forward(Protocol):
    """A network on one of the backends: from a batch of crops to a batch of maps.

    Attributes:
        crop_bytes: memory that one crop takes at most.
    """

    crop_bytes: int

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Maps (n, x, y, z, outputs) from inputs (n, x, y, z, inputs)."""

    def on_cpu(self, batch: Float32Array) -> Float32Array:
        """The same maps (n, x, y, z, channels) on the CPU, whatever the device is."""


class StageNetwork:
    """The network of one stage with its weights.

    It may be called by several threads, which take turns, with those that call other networks of
    the same turns. Where memory runs out it takes half as many crops at once, then one call after
    another, and for one crop the CPU; it stays with what worked. `afresh` starts anew.

    Attributes:
        config: of the stage.
        crop_bytes: memory that one crop takes at most.
        shortage: what there was not enough memory for, as a sentence; else empty.

    Args:
        weights: verified weights.
        stage: ``spine``, ``vertebrae`` or ``segmentation``.
        device: where and in which precision it runs.
        turns: of all networks of the device; its own if None.

    Raises:
        ConfigurationError: the weights do not fit the preset's network.
    """

    def __init__(
        self, weights: Weights, stage: str, device: DeviceInfo, turns: Turns | None = None
    ) -> None:
        self.config: StageConfig = getattr(weights.preset, stage)
        self._forward = _forward_of(weights, stage, device)
        self.crop_bytes = self._forward.crop_bytes
        self._stage = stage
        self._has_gpu = device.kind == "gpu"
        self._turns = turns or Turns.of(device)
        self._most: int | None = None
        self._on_cpu = not self._has_gpu
        self.shortage = ""

    def afresh(self) -> StageNetwork:
        """The same network for another scan: all crops at once again, on the chosen device."""
        made = copy(self)
        made.shortage, made._most, made._on_cpu = "", None, not self._has_gpu
        made._turns.start_afresh()
        return made

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Maps (n, x, y, z, outputs) in about [0, 1] from inputs (n, x, y, z, inputs).

        Raises:
            MemoryError, or the backend's own error for it: not even one crop fits on the CPU.
        """
        done: list[Float32Array] = []
        start = 0
        while start < len(batch):
            part = batch[start : start + (self._most or len(batch))]
            alone = False
            try:
                on_cpu = self._has_gpu and self._on_cpu
                with self._turns.one() as alone:
                    done.append(self._forward.on_cpu(part) if on_cpu else self._forward(part))
            except Exception as error:
                if not (is_out_of_memory(error) and self._take_less(len(part), alone)):
                    raise
            else:
                start += len(part)
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _take_less(self, count: int, alone: bool) -> bool:
        """Use less memory than `count` crops need; False if that is not possible.

        `alone`: whether no other call was under way.
        """
        if count > 1:
            self._most = count // 2
            self.shortage = f"memory was enough for {self._most} crops at once, not for {count}"
        elif not alone:
            self._turns.most = 1
            self.shortage = "memory was enough for one crop at a time only"
        elif not self._on_cpu:
            self._on_cpu = True
            self.shortage = "the GPU ran out of memory, so the CPU was used"
        else:
            return False
        self.shortage = f"{self._stage} stage: {self.shortage}"
        _LOGGER.warning("%s", self.shortage)
        return True


class Turns:
    """Calls of several threads, of which `most` run at a time; it may be lowered meanwhile.

    Args:
        calls: `most` at first, and after `start_afresh`.
    """

    def __init__(self, calls: int) -> None:
        self._calls = self.most = calls
        self._running = 0
        self._changed = threading.Condition()

    @classmethod
    def of(cls, device: DeviceInfo) -> Turns:
        """A GPU or a single thread does one call after another, a CPU two at a time."""
        is_one = device.kind == "gpu" or device.threads == 1
        return cls(1 if is_one else CALLS_AT_ONCE)

    def start_afresh(self) -> None:
        """Try as many calls at a time as at first."""
        self.most = self._calls

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Wait for a turn and take it; returns whether no other call can be under way."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < self.most)
            self._running += 1
            alone = self.most == 1
        try:
            yield alone
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()


def _forward_of(weights: Weights, stage: str, device: DeviceInfo) -> Forward:
    if device.backend == "openvino":
        from vertseg.stages.openvino_backend import OpenVinoForward

        return OpenVinoForward.load(weights, stage, device)
    from vertseg.stages.keras_backend import KerasForward

    return KerasForward.load(weights, stage, device)
