"""How long DICOM series take to read, beside pydicom alone.

``python -m tests.bench --only reading``.

Each reader works in processes of its own, turn by turn. pydicom reads header and values of each
file; the program finds the series and reads it into a volume, the start of its second process
included, or, as in a run of many scans, with that process at hand.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless, generate_uid

from tests.support.dicom_files import slices_of, write_dicom
from tests.support.fake_segmenter import phantom_scan
from vertseg.io.dicom_read import read_series
from vertseg.io.dicom_series import find_series

Figures = dict[str, dict[str, Any]]

_SIZES = {"small": (128, 128, 231), "full": (512, 512, 600)}
_SYNTAXES = {"plain": None, "RLE": RLELossless, "JPEG-LS": JPEGLSLossless}
_PLUGINS = {"RLE": "pydicom", "JPEG-LS": "pyjpegls"}
_PRIVATE = 60
"""Further elements of a header, as scanners add them."""


def measure_reading(work: Path, quick: bool, repeats: int) -> Figures:
    """Median seconds of each reader for each series, and the ratios of the program to pydicom.

    Args:
        work: where the series are kept.
        quick: only small series.
        repeats: runs of each reader.
    """
    figures = {}
    for size in ("small",) if quick else tuple(_SIZES):
        for packing in _SYNTAXES:
            name = f"{size} {packing}"
            folder = work / "series" / name.replace(" ", "_")
            _make(folder, size, packing)
            figures[name] = _measure(folder, repeats)
    return figures


def as_text(figures: Figures) -> str:
    """A line for each series."""
    lines = [
        "== reading DICOM series, seconds: pydicom, first and later reading, ratios to pydicom"
    ]
    for name, row in figures.items():
        ratio = f"{row['first_s'] / row['pydicom_s']:.2f} {row['later_s'] / row['pydicom_s']:.2f}"
        seconds = "".join(f"{row[key]:8.2f}" for key in ("pydicom_s", "first_s", "later_s"))
        lines.append(f"{name:<16}{row['slices']} slices {seconds}   {ratio}")
    return "\n".join(lines)


def _make(folder: Path, size: str, packing: str) -> None:
    """Write a series once; noise makes it as hard to pack as a scan."""
    if (folder / ".done").exists():
        return
    columns, rows, count = _SIZES[size]
    coarse = phantom_scan((32, 32, 8))
    plane = np.kron(coarse[:, :, 4], np.ones((columns // 32, rows // 32), np.int16))
    rng = np.random.default_rng(0)
    (one,) = slices_of(plane[:, :, None])
    (folder / "s").mkdir(parents=True, exist_ok=True)
    for k in range(count):
        _change(one, k, plane + rng.normal(0, 10, plane.shape))
        if _SYNTAXES[packing] is not None:
            one.compress(_SYNTAXES[packing], encoding_plugin=_PLUGINS[packing])
        write_dicom(folder / "s" / f"IM{k:04d}.dcm", one)
    (folder / ".done").touch()


def _change(one: Dataset, k: int, hu: np.ndarray) -> None:
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPInstanceUID, one.InstanceNumber = generate_uid(), k + 1
    one.ImagePositionPatient = [1, 2, k]
    block = one.private_block(0x0019, "ACME", create=True)
    for number in range(_PRIVATE):
        block.add_new(number, "LO", f"private value {number}")
    one.PixelData = (hu.T + 1024).clip(0, None).astype("<u2").tobytes()
    one["PixelData"].VR = "OW"
    one["PixelData"].is_undefined_length = False


def _measure(folder: Path, repeats: int) -> dict[str, Any]:
    runs: dict[str, list[list[float]]] = {"pydicom": [], "program": []}
    for _ in range(repeats):
        for reader, done in runs.items():
            command = [sys.executable, "-m", "tests.bench.reading", reader, str(folder / "s")]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            done.append(json.loads(output.stdout))
    return {
        "slices": len(list((folder / "s").iterdir())),
        "pydicom_s": statistics.median(run[0] for run in runs["pydicom"]),
        "first_s": statistics.median(run[0] for run in runs["program"]),
        "later_s": statistics.median(run[1] for run in runs["program"]),
    }


def _by_pydicom(files: list[Path]) -> object:
    return [dcmread(path).pixel_array for path in files]


def _by_program(files: list[Path]) -> object:
    (series,), _ = find_series(files)
    return read_series(series, "series")


def _seconds(reader: Callable[[list[Path]], object], files: list[Path], times: int) -> list[float]:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        reader(files)
        found.append(time.perf_counter() - start)
    return found


if __name__ == "__main__":
    paths = sorted(Path(sys.argv[2]).iterdir())
    if sys.argv[1] == "pydicom":
        print(json.dumps(_seconds(_by_pydicom, paths, 1)))
    else:
        print(json.dumps(_seconds(_by_program, paths, 2)))
