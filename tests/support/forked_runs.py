"""Runs in processes of their own, for tests of kills, of two runs at once and of memory.

Usage: forked_runs.py kills|together|memory FOLDER COUNT SEED, prints JSON. A process is started
once, without TensorFlow, and forks, so that one more run costs little.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image as Pillow

from tests.support.fake_segmenter import MANIFEST, POINTS, FakeSegmenter, Points, write_scan
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch

VOLUME = (40, 40, 64)
ENDINGS = ("seg.nii.gz", "ctd.json", "preview.png", "report.json")
OTHER_POINTS = {label + 1: point for label, point in POINTS.items()}


def forked(work: Callable[[], int]) -> int:
    """Process number of a child that does `work` and ends with its number."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return child


def one_run(folder: Path, points: Points = POINTS, weights: str = "1", slow: float = 0.0) -> int:
    """Calls of the segmenter in a whole run; 90 and more if it did not end well."""
    manifest = json.loads(json.dumps(MANIFEST))
    manifest["files"]["spine"]["sha256"] = weights * 64
    segmenter = FakeSegmenter(points, manifest, lambda _: time.sleep(slow))
    outcome = run_batch(Options(folder / "in", folder / "out"), lambda _: segmenter)
    return 90 + outcome.exit_code if outcome.exit_code else segmenter.calls


def ended(child: int) -> tuple[int, int]:
    """Exit code and signal."""
    status = os.waitpid(child, 0)[1]
    return (0, os.WTERMSIG(status)) if os.WIFSIGNALED(status) else (os.WEXITSTATUS(status), 0)


def check_whole(output: Path) -> int:
    """Read every file to its end; how many there are. Raises whatever is wrong with one."""
    files = [path for path in output.rglob("[!.]*") if path.is_file()]
    for path in files:
        if path.name.endswith(".nii.gz"):
            np.asarray(nib.load(path).dataobj)
        elif path.suffix == ".png":
            Pillow.open(path).load()
        elif path.suffix == ".json":
            json.loads(path.read_text())
        else:
            text = path.read_text()
            assert text.endswith("</html>\n" if path.suffix == ".html" else "\n"), path
    return len(files)


def complete(output: Path) -> dict[str, int]:
    """Times of change of all files of the cases that have a report."""
    stems = [path.name.removesuffix("_report.json") for path in output.glob("*_report.json")]
    names = [f"{stem}_{ending}" for stem in stems for ending in ENDINGS]
    return {name: (output / name).stat().st_mtime_ns for name in names}


def kills(folder: Path, count: int, seed: int) -> dict[str, object]:
    """Sudden ends at random moments of one job, each time followed by a look at what is there.

    The moments are drawn in processor time, so that a busy machine changes nothing; the signal's
    default is to end the process at once, as SIGKILL does.
    """
    output, draw = folder / "out", random.Random(seed)
    names = "abcd"
    for name in names:
        write_scan(folder / "in" / f"{name}.nii.gz")
    for _ in range(2):  # warm, then as a measure of time
        for path in output.glob("*"):
            path.unlink()
        start = time.process_time()
        one_run(folder)
        whole = time.process_time() - start
    killed, looked_at, redone, partials = 0, 0, 0, 0
    while killed < count:
        for path in output.iterdir():
            path.unlink()
        for _ in range(3):  # kills of one job, one after another
            before = complete(output)

            def work(after: float = draw.uniform(0.0, 0.6 * whole)) -> int:
                signal.setitimer(signal.ITIMER_PROF, max(after, 1e-3))
                return one_run(folder)

            _, number = ended(forked(work))
            killed += number == signal.SIGPROF
            looked_at += check_whole(output)
            partials += len(list(output.glob(".*.part")))
            after = complete(output)
            redone += sum(after.get(name) != changed for name, changed in before.items())
        done = len(complete(output)) // len(ENDINGS)
        code, _ = ended(forked(lambda: one_run(folder)))
        # Less than one call each where a killed run had only to put its outputs in place.
        redone += max(0, code - (len(names) - done))
        assert check_whole(output) == len(names) * len(ENDINGS) + 2
    left = [path.name for path in output.iterdir() if path.name.startswith(".")]
    return {
        **{"kills": killed, "looked_at": looked_at, "redone": redone},
        **{"partials": partials, "left": left},
    }


def together(folder: Path, count: int, seed: int) -> dict[str, object]:
    """Two runs with the same weights, then two with different ones that both want to write."""
    names = [f"{number}" for number in range(count)]
    for name in names:
        write_scan(folder / "in" / f"{name}.nii.gz")
    same = [forked(lambda: one_run(folder, slow=0.05)) for _ in range(2)]
    calls = [ended(child)[0] for child in same]
    files = check_whole(folder / "out")
    different = [
        forked(lambda: one_run(folder, POINTS, "7", 0.02)),
        forked(lambda: one_run(folder, OTHER_POINTS, "8", 0.03)),
    ]
    ends = [ended(child)[0] for child in different]
    mixed = [name for name in names if _is_mixed(folder / "out", name)]
    left = [path.name for path in (folder / "out").iterdir() if path.name.startswith(".")]
    return {"calls": calls, "files": files, "ends": ends, "mixed": mixed, "left": left}


def _is_mixed(output: Path, name: str) -> bool:
    """Whether the files of a case come from two runs."""
    report = json.loads((output / f"{name}_report.json").read_text())
    expected = POINTS if report["weights"]["sha256"]["spine"][0] == "7" else OTHER_POINTS
    listed = json.loads((output / f"{name}_ctd.json").read_text())[1:]
    labels = set(np.unique(np.asarray(nib.load(output / f"{name}_seg.nii.gz").dataobj))) - {0}
    return not labels == set(expected) == {entry["label"] for entry in listed}


def memory(folder: Path, count: int, seed: int) -> dict[str, object]:
    """Bytes that Python and numpy hold before each case of one run over many volumes.

    Counted as they are allocated: the system's count of resident memory moves with the machine.
    """
    for number in range(count):
        write_scan(folder / "in" / f"{number:03}.nii.gz", VOLUME, 8.0)
    held: list[int] = []

    def note(_) -> None:
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    options = Options(folder / "in", folder / "out")
    outcome = run_batch(options, lambda _: FakeSegmenter(POINTS, before=note))
    return {"exit_code": outcome.exit_code, "held": held, "volume": int(np.prod(VOLUME)) * 2}


if __name__ == "__main__":
    job = {"kills": kills, "together": together, "memory": memory}[sys.argv[1]]
    print(json.dumps(job(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
