"""How seconds and memory grow: ``python -m tests.bench.growth``.

With the vertebrae in a scan, its slices, the voxels across, and the scans in a folder. Every run is
a process of its own; its start-up is left out and its reading is not. Prints a table with the
exponent of each growth (processor seconds as size to the power of it, from the two largest) and
draws the picture. Scans are phantoms in the middle of air, made in large voxels and cut into small
ones with the noise of a scanner. ``--only`` takes one series; together they take some six minutes
on two cores, half of them to make the scans, which are kept.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from tests.bench.__main__ import run_child
from tests.bench.cases import write_finer
from tests.bench.growth_picture import picture
from vertseg.phantom import make_phantom
from vertseg.phantom.generate import Phantom

_LEVELS = {3: ("L3", "L5"), 6: ("T12", "L5"), 12: ("T6", "L5"), 24: ("C1", "L5")}
_SLICES = (100, 250, 500, 1000, 2000)
_ACROSS = (512, 768, 1024)
_SCANS = (1, 4, 16, 64)

Make = Callable[[Path, int], None]
Rows = list[dict[str, float]]


def main() -> None:
    """Run the series; print the table, write figures and picture."""
    options = _parser().parse_args()
    begin = time.monotonic()
    figures: dict[str, Rows] = {}
    for name, (sizes, make) in _SERIES.items():
        if options.only in (None, name):
            wanted = sizes[:2] if options.quick else sizes
            figures[name] = [_measured(options.work, name, size, make) for size in wanted]
            print(table(name, figures[name]), flush=True)
    (options.work / "growth.json").write_text(json.dumps(figures, indent=1) + "\n")
    picture(figures).save(options.work / "growth.png")
    print(f"Figures and picture: {options.work}/growth.json, growth.png")
    print(f"All of it took {time.monotonic() - begin:.0f} s.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/growth"), help="where to")
    parser.add_argument("--quick", action="store_true", help="the two smallest of each series")
    parser.add_argument("--only", choices=_SERIES, help="one series alone")
    return parser


def _measured(work: Path, name: str, size: int, make: Make) -> dict[str, float]:
    folder = work / name / str(size)
    if not (folder / ".done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        make(folder, size)
        (folder / ".done").touch()
    run = run_child("whole", {"input": str(folder), "output": str(work / "out")})
    return {"size": size, **run}


def table(name: str, rows: Rows) -> str:
    """The rows of one series as text, and how processor seconds grow at its end."""
    columns = ("vertebrae", "Mvoxels", "s", "processor", "GiB", "beyond input")
    lines = [f"{name:>12}" + "".join(f"{column:>13}" for column in columns)]
    for row in rows:
        lines.append(
            f"{row['size']:12.0f}{row['vertebrae']:13.0f}{row['megavoxels']:13.1f}"
            f"{row['seconds']:13.1f}{row['processor_s']:13.1f}"
            f"{row['peak_gib']:13.2f}{row['beyond_input_gib']:13.2f}"
        )
    power, voxels = exponent(rows, "size"), exponent(rows, "megavoxels")
    end = f"processor time grows as {name} to the power of {power:.2f}, as voxels to {voxels:.2f}"
    return "\n".join([*lines, end, ""])


def exponent(rows: Rows, key: str) -> float:
    """p of processor seconds ~ key ** p between the two largest sizes; 1 is linear."""
    before, last = rows[-2:]
    return math.log(last["processor_s"] / before["processor_s"]) / math.log(last[key] / before[key])


@lru_cache(maxsize=1)
def _body(levels: tuple[str, str], across_mm: float) -> Phantom:
    return make_phantom(levels, 2.0, 2, field_mm=(across_mm, across_mm), noise_hu=0.0)


def _vertebrae(folder: Path, count: int) -> None:
    """More and more of one spine."""
    phantom = _body(_LEVELS[count], 180.0)
    write_finer(phantom, folder / "scan.nii.gz", [2 * n for n in phantom.grid.size])


def _slices(folder: Path, count: int) -> None:
    """The same body in thinner and thinner slices."""
    phantom = _body(("T10", "L5"), 180.0)
    write_finer(phantom, folder / "scan.nii.gz", (256, 256, count))


def _across(folder: Path, count: int) -> None:
    """The same body in smaller and smaller pixels."""
    phantom = _body(("T10", "L5"), 360.0)
    write_finer(phantom, folder / "scan.nii.gz", (count, count, 150))


def _scans(folder: Path, count: int) -> None:
    """The same scan again and again."""
    phantom = _body(("L3", "L5"), 150.0)
    write_finer(phantom, folder / "scan0.nii.gz", phantom.grid.size)
    for number in range(1, count):
        shutil.copy(folder / "scan0.nii.gz", folder / f"scan{number}.nii.gz")


_SERIES: dict[str, tuple[tuple[int, ...], Make]] = {
    "vertebrae": (tuple(_LEVELS), _vertebrae),
    "slices": (_SLICES, _slices),
    "pixels": (_ACROSS, _across),
    "scans": (_SCANS, _scans),
}

if __name__ == "__main__":
    main()
