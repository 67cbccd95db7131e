"""What a GPU makes of whole jobs, as an estimate: ``python -m tests.bench.gpu_estimate``.

``python -m tests.bench.gpu`` measures it on a card. The FLOP of each case and the processor time
beside the networks come from the figures of ``python -m tests.bench``, reading and writing
included; the share of a card's data-sheet rate that the networks reach is that of an NVIDIA H200.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

CARDS = {"T4": 65e12, "A100": 312e12, "H100, H200": 989e12}
"""FLOP/s of dense products in 16 bits, from the data sheets of NVIDIA."""

SHARES = (0.005, 0.01)
"""Of that rate. An H200 has reached 0.006 with 9 vertebrae and 0.010 with 24, transfers included:
networks of 16 to 96 filters are limited by memory and by starting their kernels, not by products.
Slower cards reach a larger share, so that for them even the better end is cautious."""


def main() -> None:
    """Print the estimate for each case and card."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu_estimate", description=__doc__)
    add = parser.add_argument
    add("--figures", type=Path, default=Path("build/bench/figures.json"), help="of tests.bench")
    add("--host-threads", type=int, default=2, help="that share the work beside the networks")
    options = parser.parse_args()
    figures = json.loads(options.figures.read_text("utf-8"))
    print(as_text(figures["cases"], options.host_threads))


def as_text(cases: dict[str, Any], threads: int) -> str:
    """A row for each case: work per scan, and seconds per scan on each card."""
    head = f"{'':<14}{'TFLOP':>7}{'host s':>8}" + "".join(f"{card:>14}" for card in CARDS)
    low, high = (f"{share:.1%}" for share in SHARES)
    lines = [
        f"ESTIMATE: seconds a scan, networks at {high} to {low} of a card's rate, as on an H200,",
        f"work beside the networks as measured here, on {threads} threads, nothing overlapping",
        head,
    ]
    for name, case in cases.items():
        seconds = [estimate(case, rate, threads) for rate in CARDS.values()]
        cells = "".join(f"{f'{best:.2f} to {worst:.2f}':>14}" for worst, best in seconds)
        flop = case["flop"] / case["scans"] / 1e12
        lines.append(f"{name:<14}{flop:7.2f}{_host_seconds(case):8.2f}{cells}")
    return "\n".join(lines)


def estimate(case: dict[str, Any], rate: float, threads: int) -> tuple[float, float]:
    """Seconds per scan at the smallest and the largest of `SHARES`.

    Args:
        case: figures of `tests.bench.job.measure`.
        rate: FLOP/s of the card.
        threads: of the host.
    """
    host = _host_seconds(case) / threads
    worst, best = (case["flop"] / case["scans"] / (share * rate) + host for share in SHARES)
    return worst, best


def _host_seconds(case: dict[str, Any]) -> float:
    """Processor time per scan beside the networks."""
    networks = sum(bare["processor"] for bare in case["bare_s"].values())
    return float((case["job_s"]["processor"] - networks) / case["scans"])


if __name__ == "__main__":
    main()
