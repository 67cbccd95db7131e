"""How near the whole job comes to its networks alone: ``python -m tests.bench``.

Each case runs in processes of its own, so that its peak memory is its own; of several runs the one
with the median ratio by the wall clock is told, and the ratios of all. The program's start-up is
timed for itself: networks are loaded and run once while, as always, the first scan is read. What
follows is the job. By the wall clock only runs on an otherwise idle machine can be compared;
processor time bears some company.

A virtual machine may not have the memory that it shows until somebody touches it, which can take
seconds for a GiB, once: so before each process `tests.bench.warmth` touches and frees some.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.cases import make_cases
from tests.bench.reading import as_text as reading_as_text
from tests.bench.reading import measure_reading
from tests.bench.start import as_text as start_as_text
from tests.bench.start import measure_start
from tests.bench.text import as_text, ratios
from tests.bench.warmth import warm_memory
from vertseg.system.memory import use_few_arenas, use_small_pages


def main() -> None:
    """Run the benchmark; print its figures and write them."""
    options = _parser().parse_args()
    cases = make_cases(options.work, options.quick)
    changes = json.loads(options.options)
    done = {}
    for name, source in cases.items():
        if options.only in (None, name):
            output = options.work / "out" / name
            words = {"input": str(source), "output": str(output), **changes}
            done[name] = _middle([run_child("job", words) for _ in range(options.repeats)])
    figures = _with_theory(done) if done else {"cases": {}}
    if options.only in (None, "reading"):
        figures["reading"] = measure_reading(options.work, options.quick, options.repeats)
    if options.only in (None, "start"):
        figures["start"] = measure_start(options.work, options.repeats)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    before = json.loads(options.compare.read_text("utf-8")) if options.compare else None
    if done:
        print(as_text(figures, before))
    if "reading" in figures:
        print(reading_as_text(figures["reading"]))
    if "start" in figures:
        print(start_as_text(figures["start"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    add = parser.add_argument
    add("--work", type=Path, default=Path("build/bench"), help="scans and outputs are kept here")
    add("--quick", action="store_true", help="few and coarse scans: tries the benchmark itself")
    add(
        "--only",
        choices=("lumbar", "whole spine", "mixed folder", "reading", "start"),
        help="one case alone",
    )
    add("--repeats", type=int, default=3, help="runs of each case, of which the middle one counts")
    add("--options", default="{}", help='of the run as JSON, such as \'{"precision": "float32"}\'')
    add("--json", type=Path, default=Path("build/bench/figures.json"), help="where to")
    add("--compare", type=Path, help="figures of an earlier run")
    return parser


def _middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run with the median ratio by the wall clock; the ratios of all are put beside."""
    runs = sorted(runs, key=lambda run: ratios(run)["wall"])
    return runs[len(runs) // 2] | {"ratios": [ratios(run) for run in runs]}


def _with_theory(cases: dict[str, Any]) -> dict[str, Any]:
    first = next(iter(cases.values()))
    rate = run_child("machine", [first["precision"], first["backend"]])
    for case in cases.values():
        case["theory_s"] = case["flop"] / rate
        case["ratio"] = ratios(case)
    return {"device": first["device"], "matrix_flop_per_s": rate, "cases": cases}


def run_child(module: str, argument: Any) -> Any:
    """What a module of this package prints, run in a process of its own."""
    text = argument if isinstance(argument, str) else json.dumps(argument)
    command = [sys.executable, "-m", f"tests.bench.{module}", text]
    warm_memory()
    use_small_pages()  # as the program does, before it imports numpy
    use_few_arenas()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
