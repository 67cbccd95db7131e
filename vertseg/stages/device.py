"""Which processor the networks run on, and in which precision."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vertseg.errors import ConfigurationError

log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16", "float16"]
_AMPERE = (8, 0)
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class DeviceInfo:
    """The processor in use.

    Attributes:
        kind: ``gpu`` or ``cpu``.
        name: the maker's name.
        precision: of the networks' arithmetic; their outputs are always float32.
        threads: of the CPU that may be used; all if None.
    """

    kind: Literal["gpu", "cpu"]
    name: str
    precision: Precision
    threads: int | None = None

    @property
    def backend(self) -> str:
        """Of Keras: ``tensorflow`` or ``jax``."""
        return os.environ.get("KERAS_BACKEND", "tensorflow")

    @property
    def policy(self) -> str:
        """Keras's dtype policy for `precision`."""
        return self.precision if self.precision == "float32" else f"mixed_{self.precision}"


def choose_device(
    device: str = "auto", precision: str = "auto", threads: int | None = None
) -> DeviceInfo:
    """Sets up the Keras backend and says what it runs on.

    Args:
        device: ``auto`` takes a GPU when there is one; ``gpu`` insists; ``cpu`` ignores GPUs.
        precision: ``auto`` takes bfloat16 where the processor has it (GPUs of compute capability
            8.0, CPUs with AVX-512-BF16 or AMX), float16 on older GPUs, float32 elsewhere.
        threads: CPU threads; all of them if None.

    Raises:
        ConfigurationError: an unknown value, or ``gpu`` without a usable GPU.
    """
    _check(device, ("auto", "gpu", "cpu"), "device")
    _check(precision, ("auto", "float32", "bfloat16", "float16"), "precision")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with without_start_messages():
        import keras

    find = {"tensorflow": _find_tensorflow, "jax": _find_jax}.get(keras.backend.backend())
    if find is None:
        raise ConfigurationError(
            f"the Keras backend {keras.backend.backend()} is not supported",
            where="environment variable KERAS_BACKEND",
            expected="tensorflow or jax",
            remedy="Unset KERAS_BACKEND.",
        )
    gpu = find(device, threads)
    if gpu is None and device == "gpu":
        raise ConfigurationError(
            "no GPU is usable",
            where="--device gpu",
            expected="an NVIDIA GPU that the backend can see",
            remedy="Start the container with --gpus all, check nvidia-smi, or use --device auto.",
        )
    kind: Literal["gpu", "cpu"] = "cpu" if gpu is None else "gpu"
    name, native = gpu if gpu is not None else (_cpu_name(), _cpu_precision())
    chosen: Any = native if precision == "auto" else precision
    return DeviceInfo(kind, name, chosen, threads)


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


def _check(value: str, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        raise ConfigurationError(
            f"{name} {value!r} is not known",
            where=f"--{name}",
            expected=", ".join(allowed),
            remedy=f"Choose one of them for --{name}.",
        )


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


def _cpu_fields(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def _cpu_name() -> str:
    return _cpu_fields("model name") or "CPU"


def _cpu_precision() -> Precision:
    return "bfloat16" if _BFLOAT16_FLAGS & set(_cpu_fields("flags").split()) else "float32"
