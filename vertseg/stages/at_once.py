"""How many crops run at once: as many as the free memory holds."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from vertseg.system.memory import free_bytes

CALLS_AT_ONCE = 2
"""Threads that call a network. Of a CPU no core idles then while one call waits for its last thread
or makes its crops; a GPU does the calls in turn, but the next crops are made meanwhile."""

_MOST = {"cpu": CALLS_AT_ONCE, "gpu": 4}
"""Crops at once. A GPU is quick beside the host, which makes the next crops and merges the last
masks meanwhile; with larger batches a scan is one or two, and there is no meanwhile. JAX compiles
for each power of two, fills the last batch up to it, and so compiles and fills less, too."""
_SHARE = 0.5  # of the free memory


class AtOnce(NamedTuple):
    """How crops share the processor.

    Attributes:
        crops: in a batch, for one forward pass.
        threads: that make batches and call the network.
    """

    crops: int
    threads: int


ONE_BY_ONE = AtOnce(1, 1)


def crops_at_once(crop_bytes: int, kind: Literal["cpu", "gpu"], backend: str) -> AtOnce:
    """How crops are to be run.

    On a GPU in batches of as many as fit; on a CPU a batch gains nothing, so one crop per pass.

    Args:
        crop_bytes: memory that one crop takes at most.
        kind: of processor.
        backend: of Keras.
    """
    free = free_bytes() if kind == "cpu" else free_of_gpu(backend)
    fits = _MOST["cpu"] if free is None else int(_SHARE * free / max(crop_bytes, 1))
    count = max(1, min(_MOST[kind], fits))
    return AtOnce(1, count) if kind == "cpu" else AtOnce(count, CALLS_AT_ONCE)


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


def free_of_gpu(backend: str) -> int | None:
    """Free memory of the first GPU in use; None if unknown."""
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
