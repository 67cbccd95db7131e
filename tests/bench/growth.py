"""How seconds and memory grow: ``python -m tests.bench.growth``.

With the vertebrae in a scan, its slices, the voxels across, and the scans in a folder; every run is
a process of its own, as in ``python -m tests.bench``. Prints a table with the exponent of each
growth (seconds as size to the power of it, from the two largest) and draws the picture. Scans are
phantoms that show the whole spine in the middle of air, repeated in voxels where size is what
counts. ``--only`` takes one series; they take an hour together on two cores.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw

from tests.bench.__main__ import run_child
from vertseg.geometry.resampling import resample_array
from vertseg.phantom import make_phantom
from vertseg.phantom.generate import Phantom

_LEVELS = {3: ("L3", "L5"), 6: ("T12", "L5"), 12: ("T6", "L5"), 24: ("C1", "L5")}
_SLICES = (100, 250, 500, 1000, 2000)
_ACROSS = (512, 768, 1024)
_SCANS = (1, 4, 16, 64)
_COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189))

Make = Callable[[Path, int], None]


def main() -> None:
    """Run the series; print the table, write figures and picture."""
    options = _parser().parse_args()
    figures: dict[str, list[dict[str, float]]] = {}
    for name, (sizes, make) in _SERIES.items():
        if options.only in (None, name):
            wanted = sizes[:2] if options.quick else sizes
            figures[name] = [_measured(options.work, name, size, make) for size in wanted]
            print(table(name, figures[name]), flush=True)
    options.work.mkdir(parents=True, exist_ok=True)
    (options.work / "growth.json").write_text(json.dumps(figures, indent=1) + "\n")
    picture(figures).save(options.work / "growth.png")
    print(f"Figures and picture: {options.work}/growth.json, growth.png")


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
    run = run_child("job", {"input": str(folder), "output": str(work / "out"), "device": "cpu"})
    shutil.rmtree(work / "out", ignore_errors=True)
    return {
        "size": size,
        "vertebrae": run["vertebrae"],
        "seconds": run["job_s"]["wall"],
        "processor_s": run["job_s"]["processor"],
        "peak_gib": run["peak_bytes"] / 2**30,
        "beyond_input_gib": run["peak_beyond_input_bytes"] / 2**30,
    }


def table(name: str, rows: list[dict[str, float]]) -> str:
    """The rows of one series as text, and how seconds grow at its end."""
    lines = [f"{name:>12}{'vertebrae':>11}{'s':>9}{'processor':>11}{'GiB':>7}{'beyond input':>14}"]
    for row in rows:
        lines.append(
            f"{row['size']:12.0f}{row['vertebrae']:11.0f}{row['seconds']:9.1f}"
            f"{row['processor_s']:11.1f}{row['peak_gib']:7.2f}{row['beyond_input_gib']:14.2f}"
        )
    return "\n".join([*lines, f"grows as size to the power of {exponent(rows):.2f}", ""])


def exponent(rows: list[dict[str, float]]) -> float:
    """p of seconds ~ size ** p between the two largest sizes; 1 is linear."""
    before, last = rows[-2:]
    return math.log(last["seconds"] / before["seconds"]) / math.log(last["size"] / before["size"])


def picture(figures: dict[str, list[dict[str, float]]], side: int = 420) -> Picture.Image:
    """Seconds (left) and GiB (right) of each series over its size, both axes logarithmic."""
    whole = Picture.new("RGB", (2 * side, side + 24 * len(figures)), "white")
    draw = ImageDraw.Draw(whole)
    for column, (key, unit) in enumerate((("seconds", "s"), ("peak_gib", "GiB"))):
        rows = [row for series in figures.values() for row in series]
        sizes, values = [r["size"] for r in rows], [r[key] for r in rows]
        box = (column * side + 60, 20, (column + 1) * side - 20, side - 30)
        draw.rectangle(box, outline="black")

        def place(size: float, value: float, box=box, sizes=sizes, values=values):
            x = _share(size, min(sizes), max(sizes))
            y = _share(value, min(values), max(values))
            return box[0] + x * (box[2] - box[0]), box[3] - y * (box[3] - box[1])

        for value in (min(values), max(values)):
            draw.text(
                (column * side + 4, place(min(sizes), value)[1] - 6), f"{value:.3g} {unit}", 0
            )
        for size in (min(sizes), max(sizes)):
            draw.text((place(size, min(values))[0] - 8, side - 24), f"{size:g}", 0)
        for colour, series in zip(_COLOURS, figures.values(), strict=False):
            points = [place(row["size"], row[key]) for row in series]
            draw.line(points, fill=colour, width=2)
            for x, y in points:
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)
    for line, (colour, name) in enumerate(zip(_COLOURS, figures, strict=False)):
        top = side + 24 * line
        draw.rectangle((60, top + 4, 76, top + 12), fill=colour)
        draw.text((84, top), name, 0)
    return whole


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high <= low else math.log(value / low) / math.log(high / low)


def _vertebrae(folder: Path, count: int) -> None:
    _write(make_phantom(_LEVELS[count], 1.0, 2, field_mm=(180.0, 180.0)), folder / "scan.nii.gz")


def _slices(folder: Path, count: int) -> None:
    """The same body in thinner and thinner slices."""
    phantom = make_phantom(("T10", "L5"), 2.0, 2, field_mm=(180.0, 180.0))
    _write(phantom, folder / "scan.nii.gz", (90, 90, count))


def _across(folder: Path, count: int) -> None:
    """The same body in smaller and smaller pixels."""
    phantom = make_phantom(("T10", "L5"), 2.0, 2, field_mm=(360.0, 360.0))
    _write(phantom, folder / "scan.nii.gz", (count, count, 150))


def _scans(folder: Path, count: int) -> None:
    phantom = make_phantom(("L1", "L5"), 1.5, 2, field_mm=(150.0, 150.0))
    _write(phantom, folder / "scan0.nii.gz")
    for number in range(1, count):
        shutil.copy(folder / "scan0.nii.gz", folder / f"scan{number}.nii.gz")


def _write(phantom: Phantom, path: Path, size: tuple[int, int, int] | None = None) -> None:
    """The image alone, in `size` voxels over the same extent if given."""
    hu, grid = phantom.hu, phantom.grid
    if size is not None:
        steps = np.array(grid.size) / size
        fine = type(grid).axis_aligned(grid.centre_lps_mm, size, tuple(steps * grid.spacing))
        hu = resample_array(hu.astype(np.float32), grid, fine, outside=-1024.0)
        hu = np.rint(hu, out=hu).astype(np.int16)
        grid = fine
    image = nib.Nifti1Image(hu, grid.affine_ras)
    image.set_sform(grid.affine_ras, code=1)
    image.set_qform(grid.affine_ras, code=1)
    nib.save(image, path)


_SERIES: dict[str, tuple[tuple[int, ...], Make]] = {
    "vertebrae": (tuple(_LEVELS), _vertebrae),
    "slices": (_SLICES, _slices),
    "pixels": (_ACROSS, _across),
    "scans": (_SCANS, _scans),
}

if __name__ == "__main__":
    main()
