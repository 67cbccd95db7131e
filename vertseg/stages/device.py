"""Which processor the networks run on, with which library, and in which precision."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, get_args

from vertseg.errors import ConfigurationError
from vertseg.system.processors import count_nvidia_gpus, cpu_flags, cpu_name

log = logging.getLogger(__name__)

Kind = Literal["gpu", "cpu"]
Precision = Literal["float32", "bfloat16", "float16"]
Backend = Literal["openvino", "tensorflow", "jax"]

BACKENDS: dict[Backend, str] = {
    "openvino": "OpenVINO",
    "tensorflow": "TensorFlow",
    "jax": "JAX",
}
"""Libraries that the networks can run on, and how their makers write them."""

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class DeviceInfo:
    """The processor in use.

    Attributes:
        kind: ``gpu`` or ``cpu``.
        name: the maker's name.
        precision: of the networks' arithmetic; their outputs are always float32.
        threads: of the CPU that may be used; all if None.
        backend: the library that the networks run on.
    """

    kind: Kind
    name: str
    precision: Precision
    threads: int | None = None
    backend: Backend = "openvino"

    @property
    def policy(self) -> str:
        """Keras's dtype policy for `precision`."""
        return self.precision if self.precision == "float32" else f"mixed_{self.precision}"

    def as_dict(self) -> dict[str, str]:
        """As a report records it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "precision": self.precision,
            "backend": self.backend,
        }


def choose_device(
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    backend: str = "auto",
) -> DeviceInfo:
    """Choose the processor and the library, and set the library up.

    Args:
        device: ``auto`` uses a GPU if there is one; ``gpu`` requires one; ``cpu`` ignores GPUs.
        precision: ``auto`` uses bfloat16 where the processor has it (GPUs of compute capability
            8.0, CPUs with AVX-512-BF16 or AMX), float16 on older GPUs, float32 elsewhere.
        threads: CPU threads; all of them if None.
        backend: ``auto`` uses OpenVINO on a CPU, and on a GPU what Keras runs on: TensorFlow, or
            JAX where ``KERAS_BACKEND`` says so or TensorFlow is not installed.

    Raises:
        ConfigurationError: an unknown value, a library that is not installed, or ``gpu`` without
            a usable GPU.
    """
    _check(device, ("auto", "gpu", "cpu"), "device")
    _check(precision, ("auto", *get_args(Precision)), "precision")
    _check(backend, ("auto", *BACKENDS), "backend")
    threads = _sensible(threads)
    chosen = _choose_backend(backend, device)
    if find_spec(chosen) is None:
        raise ConfigurationError(
            f"{BACKENDS[chosen]} is not installed",
            where=f"--backend {chosen}" if backend != "auto" else f"--device {device}",
            expected="a library that the networks can run on",
            remedy=f"Install {chosen}, use the image for GPUs, or use --backend auto on the CPU.",
        )
    gpu = None
    if chosen != "openvino":
        from vertseg.stages.keras_backend import set_up

        gpu = set_up(chosen, device, threads)
    if gpu is None and device == "gpu":
        raise ConfigurationError(
            "no GPU is usable",
            where="--device gpu",
            expected="an NVIDIA GPU that TensorFlow or JAX can see",
            remedy="Start the container with --gpus all, check nvidia-smi, or use --device auto.",
        )
    kind: Kind = "cpu" if gpu is None else "gpu"
    name, native = gpu if gpu is not None else (cpu_name(), _cpu_precision())
    used: Precision = native if precision == "auto" else precision  # type: ignore[assignment]
    return DeviceInfo(kind, name, used, threads, chosen)


def _sensible(threads: int | None) -> int | None:
    """No more threads than there are processors: a library would make each, and fail."""
    most = os.cpu_count() or 1
    if threads is None or threads <= most:
        return threads
    log.warning("--threads %d: there are %d processors, so %d are used.", threads, most, most)
    return most


def _choose_backend(backend: str, device: str) -> Backend:
    """OpenVINO on a CPU where it is installed; what Keras runs on elsewhere."""
    if backend != "auto":
        return backend  # type: ignore[return-value]
    keras = _keras_backend()
    if device == "gpu" or (device == "auto" and count_nvidia_gpus()):
        if device == "gpu" or find_spec(keras) is not None:
            return keras
        log.warning("There is a GPU, but neither TensorFlow nor JAX to use it: the CPU is used.")
    return "openvino" if find_spec("openvino") is not None else keras


def _keras_backend() -> Backend:
    """What Keras runs on, or would: TensorFlow, or JAX where it is asked for or stands alone."""
    if "keras" in sys.modules:
        import keras

        wanted = keras.backend.backend()
    else:
        wanted = os.environ.get("KERAS_BACKEND", "")
    if wanted in ("tensorflow", "jax"):
        return wanted
    alone = find_spec("tensorflow") is None and find_spec("jax") is not None
    return "jax" if alone else "tensorflow"


def _check(value: str, allowed: tuple[str, ...], name: str) -> None:
    if value not in allowed:
        raise ConfigurationError(
            f"{name} {value!r} is not known",
            where=f"--{name}",
            expected=", ".join(allowed),
            remedy=f"Choose one of them for --{name}.",
        )


def _cpu_precision() -> Precision:
    return "bfloat16" if _BFLOAT16_FLAGS & cpu_flags() else "float32"
