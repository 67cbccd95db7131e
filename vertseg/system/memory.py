"""Memory: whether enough of it is free, and recognising that it has run out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vertseg.errors import InputError

MACHINE = Path("/proc/meminfo")
CONTAINERS = (
    # Control groups, version 2 and version 1: limit, in use, and the entry for files kept in
    # memory that can be dropped.
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        *("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
        "total_inactive_file",
    ),
)
_WORDS = (
    *("resource_exhausted", "out of memory", "out-of-memory", "failed to allocate"),
    *("dst tensor is not initialized", "alloc_failed"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, numpy, TensorFlow or JAX means that memory has run out."""
    if isinstance(error, MemoryError):
        return True
    kind = type(error)
    if "ResourceExhausted" in kind.__name__:
        return True
    if not kind.__module__.startswith(("tensorflow", "jax", "keras")):
        return False
    text = str(error).lower()
    return any(word in text for word in _WORDS)


class MemoryShortage(InputError):
    """A scan is too large for the memory that is free now."""


def check_memory(wanted_bytes: int, where: str) -> None:
    """Raise MemoryShortage if that much memory is not free.

    A system that runs out of memory ends the whole run, not only the scan that was too large.

    Args:
        wanted_bytes: what a scan takes at the very least.
        where: file name for the message.
    """
    free = free_bytes()
    if free is not None and wanted_bytes > free:
        what = (
            f"needs more than {wanted_bytes / 2**30:.1f} GiB of memory, {free / 2**30:.1f} are free"
        )
        remedy = "Run on a machine or in a container with more memory, or crop the scan."
        raise MemoryShortage(what, where, remedy=remedy)


def free_bytes() -> int | None:
    """Memory that can still be had, within the container's limit; None if nobody knows."""
    return min([*_free_of_machine(), *_free_of_container()], default=None)


def _free_of_machine() -> Iterator[int]:
    for line in _lines(MACHINE):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) << 10


def _free_of_container() -> Iterator[int]:
    for folder, limit, used, droppable in CONTAINERS:
        numbers = [*_lines(Path(folder, limit)), *_lines(Path(folder, used))]
        if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
            kept = [
                line for line in _lines(Path(folder, "memory.stat")) if droppable in line.split()
            ]
            dropped = sum(int(line.split()[1]) for line in kept)
            yield max(int(numbers[0]) - int(numbers[1]) + dropped, 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
