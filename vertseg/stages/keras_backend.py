"""Trained networks on Keras: on TensorFlow or JAX, for GPUs and for training."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from models import StageConfig, activate, build_network
from vertseg.errors import ConfigurationError
from vertseg.geometry.grid import Float32Array
from vertseg.stages.at_once import activation_bytes
from vertseg.stages.weights import Weights, misfit

if TYPE_CHECKING:
    import keras

    from vertseg.stages.device import DeviceInfo, Precision

log = logging.getLogger(__name__)

_AMPERE = (8, 0)


def set_up(
    backend: Literal["tensorflow", "jax"], device: str, threads: int | None
) -> tuple[str, Precision] | None:
    """Import Keras on a backend, and give the name and native precision of the GPU that it uses.

    None if it runs on the CPU. What TensorFlow says while it loads is hidden, unless its own
    variable ``TF_CPP_MIN_LOG_LEVEL`` asks for it.

    Args:
        backend: to run on.
        device: ``auto``, ``gpu`` or ``cpu``.
        threads: CPU threads; all if None.

    Raises:
        ConfigurationError: this process has imported Keras on another backend before.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
    with without_start_messages():
        import keras
    found = keras.backend.backend()
    if found != backend:
        raise ConfigurationError(
            f"this process runs Keras on {found}",
            where=f"--backend {backend}",
            expected="one Keras backend per process",
            remedy=f"Set the environment variable KERAS_BACKEND to {backend}.",
        )
    find = {"tensorflow": _find_tensorflow, "jax": _find_jax}[backend]
    return find(device, threads)


@contextmanager
def without_start_messages() -> Iterator[None]:
    """Hides what TensorFlow's libraries write while they load, if its log level asks for it.

    They write to the file descriptor before any logging is set up, whatever the level.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        yield
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def load_network(weights: Weights, stage: str, policy: str = "float32") -> keras.Model:
    """The network of one stage with its weights, as `models.build_network` makes it.

    Args:
        weights: verified weights.
        stage: ``spine``, ``vertebrae`` or ``segmentation``.
        policy: of its arithmetic, a Keras dtype policy.

    Raises:
        ConfigurationError: the weights do not fit the preset's network.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = build_network(weights.preset, stage)
        with warnings.catch_warnings():
            # Keras only warns when a layer keeps its random weights.
            warnings.filterwarnings("error", "(?s).*freshly-initialized", UserWarning)
            model.load_weights(weights.files[stage])
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise misfit(weights, stage, error) from error
    finally:
        keras.config.set_dtype_policy(before)
    return model


class KerasForward:
    """A network of Keras, compiled: from a batch of crops to a batch of maps.

    Args:
        model: of one stage, as `models.build_network` makes it.
        config: of the stage.

    Attributes:
        crop_bytes: memory that one crop takes at most.
    """

    def __init__(self, model: keras.Model, config: StageConfig) -> None:
        self.crop_bytes = activation_bytes(model)
        self._compiled = _compiled(model, config)

    @classmethod
    def load(cls, weights: Weights, stage: str, device: DeviceInfo) -> KerasForward:
        """The network of a stage with its weights, on a device that `set_up` has found.

        Raises:
            ConfigurationError: the weights do not fit the preset's network.
        """
        return cls(load_network(weights, stage, device.policy), getattr(weights.preset, stage))

    def __call__(self, batch: Float32Array) -> Float32Array:
        """Maps (n, x, y, z, outputs) from inputs (n, x, y, z, inputs)."""
        return np.array(self._compiled(batch), np.float32)  # a copy that may be changed

    def on_cpu(self, batch: Float32Array) -> Float32Array:
        """The same maps (n, x, y, z, channels) on the CPU, whatever the device is."""
        import keras

        with keras.device("cpu:0"):
            return self(batch)


def _find_tensorflow(device: str, threads: int | None) -> tuple[str, Precision] | None:
    import tensorflow as tf

    if threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        except RuntimeError:  # the runtime is already up: a second segmenter in one process
            log.debug("threads are already fixed in this process")
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cpu" or not gpus:
        if gpus:
            tf.config.set_visible_devices([], "GPU")
        return None
    try:
        tf.config.experimental.set_memory_growth(gpus[0], True)
    except RuntimeError:
        log.debug("memory growth is already fixed in this process")
    details = tf.config.experimental.get_device_details(gpus[0])
    modern = tuple(details.get("compute_capability", _AMPERE)) >= _AMPERE
    return details.get("device_name", "GPU"), "bfloat16" if modern else "float16"


def _find_jax(device: str, threads: int | None) -> tuple[str, Precision] | None:
    import jax

    if device == "cpu":
        jax.config.update("jax_default_device", jax.devices("cpu")[0])
        return None
    gpus = [found for found in jax.devices() if found.platform in ("gpu", "cuda")]
    if not gpus:
        return None
    capability = str(getattr(gpus[0], "compute_capability", "8.0"))
    modern = tuple(int(part) for part in capability.split(".")) >= _AMPERE
    return gpus[0].device_kind, "bfloat16" if modern else "float16"


def _compiled(model: keras.Model, config: StageConfig) -> Callable[[Any], Any]:
    import keras

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
