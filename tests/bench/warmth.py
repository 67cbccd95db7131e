"""Memory that a virtual machine has at hand before something is measured in it."""

from __future__ import annotations

import mmap

from vertseg.system.memory import free_bytes

_ENOUGH_BYTES = 2 << 30
"""More than any case of the benchmark holds."""


def warm_memory(most: int = _ENOUGH_BYTES) -> int:
    """Touch so many bytes and free them, at most half of what is free.

    A hypervisor hands out memory when it is touched first, which has taken up to 10 s for a GiB,
    and takes it back some time after it was freed. Otherwise the first run after a pause would show
    the hypervisor, not the program. What the system itself does for a new page is measured.

    Returns:
        How many bytes were touched.
    """
    free = free_bytes()
    count = most if free is None else min(most, free // 2)
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, max(count, mmap.PAGESIZE), flags=private) as memory:
        for place in range(0, count, mmap.PAGESIZE):
            memory[place] = 1
    return count
