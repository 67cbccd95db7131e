"""What a million scans take on processors, from measured figures: ``python -m tests.bench.scale``.

Each case of ``python -m tests.bench`` stands for all scans being like it. Only the price of a
core-hour is assumed. Start-up is left out: a process does thousands of scans.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

_SCANS = 1e6
_DAY_S, _HOUR_S = 86400.0, 3600.0


def main() -> None:
    """Print the plan for each case."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    add = parser.add_argument
    add("--figures", type=Path, default=Path("build/bench/figures.json"), help="of tests.bench")
    add("--price", type=float, default=0.04, help="of a core-hour, assumed (default: 0.04)")
    add("--cores", type=int, default=64, help="of a node (default: 64)")
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text("utf-8"))
    print(figures["device"])
    print(as_text(figures["cases"], options.price, options.cores))


def as_text(cases: dict[str, Any], price: float, cores: int) -> str:
    """A column for each case."""
    plans = [plan(case, price, cores) for case in cases.values()]
    head = f"{'':<38}" + "".join(f"{name:>14}" for name in cases)
    lines = [f"{key:<38}" + "".join(f"{_short(row[key]):>14}" for row in plans) for key in plans[0]]
    return "\n".join([head, *lines])


def plan(case: dict[str, Any], price: float, cores: int) -> dict[str, float]:
    """What a million scans like those of a case take.

    Args:
        case: figures of `tests.bench.job.measure`.
        price: of a core-hour.
        cores: of a node.
    """
    seconds = case["job_s"]["processor"] / case["scans"]
    hours = _SCANS * seconds / _HOUR_S
    read, written = (case[key] / case["scans"] for key in ("input_bytes", "output_bytes"))
    return {
        "vertebrae a scan": case["vertebrae"] / case["scans"],
        "processor seconds a scan": seconds,
        "scans a core and day": _DAY_S / seconds,
        "core-hours a million": hours,
        f"days a million, a node of {cores} cores": hours / cores / 24,
        "price of 1,000 scans": 1000 * price * seconds / _HOUR_S,
        "MB read a scan": read / 1e6,
        f"MB/s read by {cores} cores": cores * read / seconds / 1e6,
        "KB written a scan": written / 1e3,
        "TB written a million": _SCANS * written / 1e12,
        "GB of memory a process": case["peak_bytes"] / 1e9,
    }


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


if __name__ == "__main__":
    main()
