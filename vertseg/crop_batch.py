"""How many crops run at once: as many as the free memory holds."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import Any, Literal

from vertseg.memory import free_bytes

_MOST = {"cpu": 2, "gpu": 16}
"""On a CPU two crops take a tenth less time than one and one, four no less than two."""
_SHARE = 0.5  # of the free memory


def crops_at_once(crop_bytes: int, kind: Literal["cpu", "gpu"], backend: str) -> int:
    """The number of crops for one forward pass, at least 1.

    Args:
        crop_bytes: memory that one crop takes at most.
        kind: of processor.
        backend: of Keras.
    """
    free = free_bytes() if kind == "cpu" else _free_of_gpu(backend)
    fits = _MOST["cpu"] if free is None else int(_SHARE * free / max(crop_bytes, 1))
    return max(1, min(_MOST[kind], fits))


def activation_bytes(model: Any) -> int:
    """Memory of all maps of a Keras model for one crop, as if none were freed before the end."""
    total = 0
    for layer in model.layers:
        shape = layer.output.shape[1:]
        count = 1
        for size in shape:
            count *= size or 1
        total += count * (2 if layer.compute_dtype in ("bfloat16", "float16") else 4)
    return total


def _free_of_gpu(backend: str) -> int | None:
    """Free memory of the first GPU in use; None if nobody says."""
    if backend == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}
        if "bytes_limit" in stats:
            return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
        return None
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    command += [f"--id={first}"] if first else []
    with suppress(OSError, subprocess.SubprocessError, ValueError, IndexError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return int(done.stdout.split()[0]) << 20
    return None
