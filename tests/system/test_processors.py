"""What the machine and the container say about processors."""

from __future__ import annotations

import os

import pytest

from vertseg.system import processors
from vertseg.system.processors import count_nvidia_gpus, cpu_flags, cpu_name, usable_cores


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("1600000 100000", 8), ("", 8)],
)
def test_a_container_may_use_less_than_the_machine_has(quota, cores, tmp_path, monkeypatch) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(processors, "QUOTAS", ((str(tmp_path / "cpu.max"),),))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores() == cores


def test_the_older_control_groups(tmp_path, monkeypatch) -> None:
    files = tuple(str(tmp_path / name) for name in ("quota", "period"))
    monkeypatch.setattr(processors, "QUOTAS", (files,))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for quota, cores in (("-1", 8), ("200000", 2)):
        (tmp_path / "quota").write_text(quota)
        (tmp_path / "period").write_text("100000")
        assert usable_cores() == cores


def test_name_and_flags(tmp_path, monkeypatch) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(processors, "CPUINFO", info)
    assert (cpu_name(), cpu_flags()) == ("CPU", frozenset())
    info.write_text("processor\t: 0\nmodel name\t: Chip 9\nflags\t\t: avx2 amx_bf16\n")
    assert (cpu_name(), cpu_flags()) == ("Chip 9", {"avx2", "amx_bf16"})


def test_no_driver_no_gpu(monkeypatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    count_nvidia_gpus.cache_clear()
    monkeypatch.setattr(processors.ctypes, "CDLL", missing)
    assert count_nvidia_gpus() == 0
    count_nvidia_gpus.cache_clear()
