"""The figures of a run of the benchmark as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Figures = dict[str, Any]


def as_text(figures: Figures, before: Figures | None = None) -> str:
    """All cases, one block each.

    Args:
        figures: of this run.
        before: of an earlier run, to compare with.
    """
    earlier = (before or {}).get("cases", {})
    blocks = [_block(name, case, earlier.get(name)) for name, case in figures["cases"].items()]
    head = f"{figures['device']}, {figures['matrix_flop_per_s'] / 1e12:.2f} TFLOP/s in matrices"
    return "\n\n".join([head, *blocks])


def ratios(case: Figures) -> dict[str, float]:
    """Whole job over bare networks, by the wall clock and by processor time."""
    return {
        clock: case["job_s"][clock] / sum(bare[clock] for bare in case["bare_s"].values())
        for clock in ("wall", "processor")
    }


def _block(name: str, case: Figures, before: Figures | None) -> str:
    rows = [
        ("scans, vertebrae", f"{case['scans']}, {case['vertebrae']}"),
        ("whole job", _clocks(case["job_s"])),
        ("bare networks", _clocks(_sum(case["bare_s"].values()))),
        ("theory", f"{case['theory_s']:.2f} s for {case['flop'] / 1e12:.3f} TFLOP"),
        ("ratio", _ratio_words(case, before)),
        ("start-up", _clocks(case["start_up_s"])),
        ("peak memory", _memory(case)),
    ]
    rows += [(f"  {stage}", _stage(case, stage)) for stage in case["stages_s"]]
    return "\n".join([f"== {name}", *(f"{key:<18}{value}" for key, value in rows)])


def _sum(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    parts = list(parts)
    return {clock: sum(part[clock] for part in parts) for clock in ("wall", "processor")}


def _clocks(seconds: dict[str, float]) -> str:
    return f"{seconds['wall']:.2f} s, processor {seconds['processor']:.2f} s"


def _ratio_words(case: Figures, before: Figures | None) -> str:
    now, then = ratios(case), ratios(before) if before else {}
    parts = []
    for name, value in now.items():
        runs = [run[name] for run in case["ratios"]]
        spread = f" ({min(runs):.2f} to {max(runs):.2f})" if len(runs) > 1 else ""
        parts.append(f"{name} {value:.2f}{spread}" + (f", before {then[name]:.2f}" if then else ""))
    return ", ".join(parts)


def _memory(case: Figures) -> str:
    peak, beyond = (case[key] / 2**30 for key in ("peak_bytes", "peak_beyond_input_bytes"))
    return f"{peak:.2f} GiB, {beyond:.2f} GiB beyond the input"


def _stage(case: Figures, stage: str) -> str:
    text = f"{case['stages_s'][stage]:.2f} s"
    if stage in case["forwards"]:
        count, bare = case["forwards"][stage], case["bare_s"][stage]["wall"]
        text += f", {count['crops']} crops in {count['calls']} forwards, bare {bare:.2f} s"
    return text
