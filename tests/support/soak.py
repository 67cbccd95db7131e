"""Many small scans of all formats, one in five hostile, on two runs that are killed and resumed.

``python -m tests.support.soak FOLDER --count 500 --kills 20`` prints JSON; all but the counts of
``scans``, ``kills`` and ``failed`` must be empty.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.support.fake_segmenter import POINTS, FakeSegmenter, phantom_scan, write_scan
from tests.support.itk_files import itk_image, write_itk, write_series
from tests.support.paths import ROOT
from vertseg.batch.options import Options
from vertseg.batch.run import run_batch
from vertseg.labels import is_vertebra
from vertseg.system.log import set_up_logging

SIZE = (12, 13, 20)
SPACING_MM = (8.0, 8.0, 8.0)
TOKEN = "VERTSEG_SOAK"


def _image(seed: int):
    hu = phantom_scan(SIZE) + np.int16(seed % 7)
    return itk_image(hu, np.eye(3), SPACING_MM, (0.0, 0.0, 0.0))


def _series(folder: Path, seed: int) -> Path:
    write_series(folder / "ct", _image(seed), uid=f"1.2.3.{seed + 1}")
    return folder / "ct"


GOOD: tuple[Callable[[Path, int], Path | None], ...] = (
    lambda folder, seed: write_scan(folder / "a.nii", SIZE, 8.0),
    lambda folder, seed: write_scan(folder / "b.nii.gz", SIZE, 8.0),
    lambda folder, seed: write_itk(folder / "c.mha", _image(seed)) and None,
    lambda folder, seed: write_itk(folder / "d.mhd", _image(seed), packed=False) and None,
    lambda folder, seed: write_itk(folder / "e.nrrd", _image(seed)) and None,
    _series,
)
"""Each writes one scan."""


def _truncated(folder: Path, seed: int) -> None:
    write_scan(folder / "cut.nii.gz", SIZE, 8.0)
    whole = (folder / "cut.nii.gz").read_bytes()
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) * 2 // 3])


def _elsewhere(folder: Path, seed: int) -> None:
    header = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\n"
    (folder / "passwd.mha").write_text(f"{header}ElementDataFile = /etc/passwd\n")


def _pipe_as_data(folder: Path, seed: int) -> None:
    os.mkfifo(folder / "x.raw")
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\nendian: little\n"
    (folder / "pipe.nrrd").write_text(f"{header}data file: x.raw\n")


def _pipe(folder: Path, seed: int) -> None:
    os.mkfifo(folder / "pipe.nii.gz")


def _bomb(folder: Path, seed: int) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((30000, 30000, 30000))
    (folder / "bomb.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(10_000)))


def _text(folder: Path, seed: int) -> None:
    (folder / "text.nii.gz").write_text("no scan")


def _empty_slice(folder: Path, seed: int) -> None:
    sorted(_series(folder, seed).iterdir())[-1].write_bytes(b"")


def _dead_link(folder: Path, seed: int) -> None:
    last = sorted(_series(folder, seed).iterdir())[-1]
    last.unlink()
    last.symlink_to("gone.dcm")


HOSTILE = (
    _truncated,
    _elsewhere,
    _pipe_as_data,
    _pipe,
    _bomb,
    _text,
    _empty_slice,
    _dead_link,
)


def make_inputs(root: Path, count: int) -> tuple[list[str], list[str]]:
    """Names of the folders of good scans and of bad ones; each holds one scan."""
    good, bad = [], []
    for number in range(count):
        folder = root / f"s{number:04d}"
        folder.mkdir(parents=True)
        if number % 5 == 4:
            HOSTILE[number // 5 % len(HOSTILE)](folder, number)
            bad.append(folder.name)
        else:
            GOOD[number % len(GOOD)](folder, number)
            good.append(folder.name)
    return good, bad


def digest(root: Path) -> str:
    """Of every name and content below a folder."""
    total = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        total.update(f"{path.relative_to(root)}\n".encode())
        if path.is_symlink():
            total.update(os.readlink(path).encode())
        elif path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()


def run(folder: Path) -> int:
    """One run over all scans, without networks; its log is the standard error."""
    set_up_logging(False)
    slow = FakeSegmenter(POINTS, before=lambda _: time.sleep(0.02))
    return run_batch(Options(folder / "in", folder / "out"), lambda _: slow).exit_code


def start(folder: Path, token: str) -> subprocess.Popen[str]:
    """A process that does `run`."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.soak", str(folder), "--run"],
        env=os.environ | {TOKEN: token, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def done(output: Path) -> dict[str, int]:
    """Times of change of the masks of all scans that are complete."""
    found = {}
    for path in output.rglob("*_report.json"):
        if json.loads(path.read_text(encoding="utf-8"))["status"] == "ok":
            (mask,) = path.parent.glob("*_seg.*")
            found[path.parent.name] = mask.stat().st_mtime_ns
    return found


def wait_for(output: Path, more: int) -> None:
    """Until so many more scans have a report, or for a minute."""
    last = len(list(output.rglob("*_report.json"))) + more
    for _ in range(600):
        if len(list(output.rglob("*_report.json"))) > last:
            return
        time.sleep(0.1)


def wrong_mask(output: Path, name: str) -> bool:
    """Whether a good scan's mask is absent or holds other labels than its vertebrae."""
    masks = [path for path in (output / name).rglob("*_seg.*")]
    if len(masks) != 1:
        return True
    if masks[0].suffix == ".gz":
        labels = np.asarray(nib.load(masks[0]).dataobj)
    else:
        import SimpleITK as sitk

        labels = sitk.GetArrayFromImage(sitk.ReadImage(str(masks[0])))
    return set(np.unique(labels[labels > 0])) != {label for label in POINTS if is_vertebra(label)}


def left_processes(token: str) -> list[str]:
    """Command lines of processes of the soak that still live."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = f"{TOKEN}={token}".encode() in (process / "environ").read_bytes().split(b"\0")
            zombie = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if ours and not zombie and int(process.name) != os.getpid():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def soak(folder: Path, count: int, kills: int, seed: int = 0) -> dict[str, object]:
    """The whole of it, see above."""
    good, bad = make_inputs(folder / "in", count)
    before, draw = digest(folder / "in"), random.Random(seed)
    token = f"{os.getpid()}-{time.time_ns()}"
    redone: set[str] = set()
    for _ in range((kills + 1) // 2):
        was = done(folder / "out")
        runs = [start(folder, token) for _ in range(2)]
        wait_for(folder / "out", draw.randrange(1 + count // max(kills, 1)))
        time.sleep(draw.uniform(0.0, 0.3))
        for process in runs:
            process.kill()
            process.communicate()
        now = done(folder / "out")
        redone |= {name for name, changed in was.items() if now.get(name) != changed}
    was = done(folder / "out")
    runs = [start(folder, token) for _ in range(2)]
    said = [process.communicate()[1] for process in runs]
    now = done(folder / "out")
    redone |= {name for name, changed in was.items() if now.get(name) != changed}
    again = start(folder, token)
    said.append(again.communicate()[1])
    time.sleep(1.0)
    output, page = folder / "out", (folder / "out" / "index.html").read_text(encoding="utf-8")
    return {
        **{"scans": len(good) + len(bad), "kills": kills, "failed": len(bad)},
        "exit_codes": [p.returncode for p in (*runs, again) if p.returncode != (2 if bad else 0)],
        "wrong": [name for name in good if wrong_mask(output, name)],
        "redone": sorted(redone),
        "unnamed": [name for name in bad if name not in page or name not in said[-1]],
        "invented": [name for name in bad if list((output / name).rglob("*_seg.*"))],
        "left": sorted(p.name for p in output.rglob(".*") if not p.name.startswith(".vertseg")),
        "changed_input": [] if digest(folder / "in") == before else [str(folder / "in")],
        "processes": left_processes(token),
    }


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.soak", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        return run(options.folder)
    shutil.rmtree(options.folder, ignore_errors=True)
    print(json.dumps(soak(options.folder, options.count, options.kills), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
