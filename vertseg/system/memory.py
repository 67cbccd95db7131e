"""Memory: whether enough of it is free, and recognising that it has run out."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from vertseg.errors import InputError

PROC = Path("/proc")
GROUP_FILES = {
    # Limit, in use, and the entry for files kept in memory that can be dropped.
    "cgroup2": ("memory.max", "memory.current", "inactive_file"),
    "cgroup": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
_ARENAS_VARIABLE, _ARENAS = "MALLOC_ARENA_MAX", "2"
_M_ARENA_MAX = -8  # of glibc's malloc.h
_WORDS = (
    *("resource_exhausted", "out of memory", "out-of-memory", "failed to allocate"),
    *("dst tensor is not initialized", "alloc_failed"),
)
_NO_THREAD = "can't start new thread"  # says Python, which has no room for its stack


def use_small_pages() -> None:
    """Have numpy, if it is not imported yet, ask the system for no huge pages.

    Of a mask, and of the maps of a network, small regions are written. In huge pages they become
    resident almost whole, and in a virtual machine such pages are the dearest to get: a whole-body
    scan took 15 % longer and 12 % more memory with them. Who sets numpy's own variable is heard.
    """
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")


def use_few_arenas() -> None:
    """Have the C library keep freed memory in two places, in this process and those it starts.

    By itself it keeps some for each thread, eight for a core, of which none helps another: a folder
    of eight scans took a quarter more memory. Who sets the library's own variable is heard.
    """
    if os.environ.setdefault(_ARENAS_VARIABLE, _ARENAS) == _ARENAS:
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, int(_ARENAS))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, numpy, TensorFlow or JAX means that memory has run out."""
    if isinstance(error, MemoryError) or str(error) == _NO_THREAD:
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
    """Memory that can still be had, within the limits of all control groups of this process.

    Returns:
        Bytes; None if unknown.
    """
    free = [*_free_of_machine(), *(n for group in _groups() for n in _free_of_group(*group))]
    return min(free, default=None)


def _free_of_machine() -> Iterator[int]:
    for line in _lines(PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) << 10


def _groups() -> Iterator[tuple[Path, str]]:
    """Folder and kind of each control group for memory that this process is in.

    A group lies within others, whose limits hold as well. Without a namespace of its own a process
    sees the whole tree, in which its group is said in ``/proc/self/cgroup``.
    """
    own = dict(_own_paths())
    for kind, root, mounted in _mounts():
        if kind not in own:
            continue
        path = own[kind]
        inside = path.relative_to(root) if path.is_relative_to(root) else PurePosixPath()
        folder = Path(mounted, inside)
        yield from ((parent, kind) for parent in (folder, *folder.parents)[: len(inside.parts) + 1])


def _own_paths() -> Iterator[tuple[str, PurePosixPath]]:
    """Kind of control group, and the path of this process in its tree."""
    for line in _lines(PROC / "self" / "cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            yield "cgroup2", PurePosixPath(path)
        elif "memory" in controllers.split(","):
            yield "cgroup", PurePosixPath(path)


def _mounts() -> Iterator[tuple[str, PurePosixPath, str]]:
    """Kind of control group, the part of its tree that is mounted, and where."""
    for line in _lines(PROC / "self" / "mountinfo"):
        mount, _, system = line.partition(" - ")
        fields, (kind, *_, options) = mount.split(), system.split() or ("", "")
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(",")):
            yield kind, PurePosixPath(fields[3]), fields[4]


def _free_of_group(folder: Path, kind: str) -> Iterator[int]:
    limit, used, droppable = GROUP_FILES[kind]
    numbers = [*_lines(folder / limit), *_lines(folder / used)]
    if len(numbers) == 2 and all(number.isdecimal() for number in numbers):
        kept = [line for line in _lines(folder / "memory.stat") if droppable in line.split()]
        dropped = sum(int(line.split()[1]) for line in kept)
        yield max(int(numbers[0]) - int(numbers[1]) + dropped, 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, ValueError):
        return []
