"""One trained network, compiled: from a batch of crops to a batch of maps."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from models import StageConfig, activate, build_network
from vertseg.errors import ConfigurationError
from vertseg.geometry.grid import Float32Array
from vertseg.stages.at_once import CALLS_AT_ONCE, activation_bytes
from vertseg.stages.device import DeviceInfo
from vertseg.stages.weights import Weights
from vertseg.system.memory import is_out_of_memory

_LOGGER = logging.getLogger(__name__)


def load_network(weights: Weights, stage: str, policy: str = "float32") -> keras.Model:
    """The network of one stage with its weights, as `models.build_network` makes it.

    Args:
        weights: verified weights.
        stage: ``spine``, ``vertebrae`` or ``segmentation``.
        policy: of its arithmetic, a Keras dtype policy.

    Raises:
        ConfigurationError: the weights do not fit the preset's network.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = build_network(weights.preset, stage)
        with warnings.catch_warnings():
            # Keras only warns when a layer keeps its random weights.
            warnings.filterwarnings("error", "(?s).*freshly-initialized", UserWarning)
            model.load_weights(weights.files[stage])
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise ConfigurationError(
            f"weights cannot be used: the file of the {stage} stage does not fit its network",
            where=f"{weights.files[stage]}: {error}",
            expected=f"weights of the preset {weights.preset.name}",
            remedy="Use the preset and the weights of one training.",
        ) from error
    finally:
        keras.config.set_dtype_policy(before)
    return model


class StageNetwork:
    """The network of one stage with its weights.

    It may be called by several threads: a GPU or a single thread does one call after another, a
    CPU two at a time. Where memory runs out it takes half as many crops at once, then one call
    after another, and for one crop the CPU; it stays with what worked until `start_afresh`.

    Attributes:
        config: of the stage.
        crop_bytes: memory that one crop takes at most.
        shortage: what memory did not suffice for, as a sentence; empty if it did.

    Args:
        weights: verified weights.
        stage: ``spine``, ``vertebrae`` or ``segmentation``.
        device: where and in which precision it runs.

    Raises:
        ConfigurationError: the weights do not fit the preset's network.
    """

    def __init__(self, weights: Weights, stage: str, device: DeviceInfo) -> None:
        self.config: StageConfig = getattr(weights.preset, stage)
        model = load_network(weights, stage, device.policy)
        self.crop_bytes = activation_bytes(model)
        self._forward = _compiled(model, self.config)
        self._stage = stage
        self._has_gpu = device.kind == "gpu"
        self._calls = 1 if self._has_gpu or device.threads == 1 else CALLS_AT_ONCE
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget shortages of memory: try all crops at once again, on the chosen device."""
        self.shortage = ""
        self._most: int | None = None
        self._on_cpu = not self._has_gpu
        self._turns = _Turns(self._calls)

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
                with self._turns.one() as alone:
                    done.append(self._run(part))
            except Exception as error:
                if not (is_out_of_memory(error) and self._take_less(len(part), alone)):
                    raise
            else:
                start += len(part)
        return done[0] if len(done) == 1 else np.concatenate(done)

    def _run(self, batch: Float32Array) -> Float32Array:
        if self._has_gpu and self._on_cpu:
            with keras.device("cpu:0"):
                maps = self._forward(batch)
        else:
            maps = self._forward(batch)
        return np.asarray(keras.ops.convert_to_numpy(maps), np.float32)

    def _take_less(self, count: int, alone: bool) -> bool:
        """Ask less of the memory than for `count` crops; False if that is not possible.

        `alone`: whether no other call was under way.
        """
        if count > 1:
            self._most = count // 2
            self.shortage = f"memory sufficed for {self._most} crops at once, not for {count}"
        elif not alone:
            self._turns.most = 1
            self.shortage = "memory sufficed for one crop at a time"
        elif not self._on_cpu:
            self._on_cpu = True
            self.shortage = "the memory of the GPU did not suffice, so the CPU was used"
        else:
            return False
        self.shortage = f"{self._stage} stage: {self.shortage}"
        _LOGGER.warning("%s", self.shortage)
        return True


class _Turns:
    """Calls of several threads, of which `most` run at a time; it may be lowered meanwhile."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._running = 0
        self._changed = threading.Condition()

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Wait for a turn and take it; gives whether no other call can be under way."""
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


def _compiled(model: keras.Model, config: StageConfig) -> Callable[[Any], Any]:
    if keras.backend.backend() == "jax":
        import jax

        state = [[v.value for v in group] for group in _variables(model)]

        @jax.jit
        def forward(trainable: Any, fixed: Any, batch: Any) -> Any:
            outputs, _ = model.stateless_call(trainable, fixed, batch, training=False)
            return activate(outputs, config)

        return lambda batch: forward(*state, _rounded_up(batch))[: len(batch)]
    import tensorflow as tf

    # Traced once for any number of crops; tracing takes as long as several of them.
    shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    function = tf.function(
        lambda batch: activate(model(batch, training=False), config), input_signature=[shape]
    )
    tracing = threading.Lock()

    def call(batch: Any) -> Any:
        with tracing:  # by the first call; the others get what it has made
            traced = function.get_concrete_function()
        return traced(tf.convert_to_tensor(batch))

    return call


def _rounded_up(batch: Float32Array) -> Float32Array:
    """With zeros up to a power of two, since JAX compiles anew for every number of crops."""
    missing = (1 << (len(batch) - 1).bit_length()) - len(batch)
    return np.pad(batch, [(0, missing), *[(0, 0)] * (batch.ndim - 1)])


def _variables(model: keras.Model) -> tuple[list[Any], list[Any]]:
    return model.trainable_variables, model.non_trainable_variables
