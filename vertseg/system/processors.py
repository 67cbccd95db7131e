"""Which processors this machine has, and how much of them this process may use."""

from __future__ import annotations

import ctypes
import math
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
QUOTAS = (
    # Control groups, version 2 and version 1: files whose numbers are microseconds of processor
    # time and the period in which they may be spent.
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)


def cpu_name() -> str:
    """The maker's name of the CPU; ``CPU`` where the system does not say."""
    return _cpu_field("model name") or "CPU"


def cpu_flags() -> frozenset[str]:
    """Names of the CPU's instruction sets, as Linux writes them."""
    return frozenset(_cpu_field("flags").split())


def usable_cores() -> int:
    """Cores that this process may use: of the machine, less what its container takes away."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([cores or 1, *_quotas()]))


@cache
def count_nvidia_gpus() -> int:
    """GPUs that the driver of NVIDIA offers to this process; 0 without a driver.

    The driver itself is asked, which takes milliseconds; a deep-learning library takes seconds.
    """
    count = ctypes.c_int(0)
    with suppress(OSError, AttributeError):
        driver = ctypes.CDLL("libcuda.so.1")
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def _quotas() -> list[int]:
    """Cores' worth of processor time of each control group that limits it, rounded up."""
    found = []
    for files in QUOTAS:
        words = [word for file in files for word in _text(Path(file)).split()]
        if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
            found.append(math.ceil(int(words[0]) / int(words[1])))
    return found


def _cpu_field(name: str) -> str:
    lines = _text(CPUINFO).splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
