"""Parts of scans as scans of their own: with few vertebrae in view, what names them?

A network may name the vertebrae of a whole scan rightly from one end of it alone. Cut in pieces,
the same scan shows whether ribs, skull or sacrum are used wherever they are seen.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from vertseg.io.annotations import CaseFiles, find_case_files
from vertseg.io.centroids import read_centroids
from vertseg.io.read import read_image
from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL, name_of
from vertseg.training.validate.cases import scan_path, write_case

_STEP = 2


def write_parts(
    scans: Path, folder: Path, length: int = 6, only: Collection[str] | None = None
) -> None:
    """Writes windows of `length` vertebrae of every scan to `folder` (BIDS), every second one.

    They are cut along the scan's own axis that runs most nearly along the body, in the middle
    between two vertebrae; where the vertebrae with points end, the scan stays as long as it is.

    Args:
        scans: scans with centroids, found as by `vertseg.evaluate`; shorter ones are left out.
        folder: where to; parts that are there stay.
        length: vertebrae in a part.
        only: names of scans, without ``sub-``; None for all.
    """
    for name, files in sorted(find_case_files(scans).items()):
        wanted = only is None or name.removeprefix("sub-") in only
        if wanted and files.scan is not None and files.centroids is not None:
            _write_parts_of(name, files, folder, length)


def _write_parts_of(name: str, files: CaseFiles, folder: Path, length: int) -> None:
    assert files.scan is not None and files.centroids is not None
    image = read_image(files.scan)
    points = sorted(
        read_centroids(files.centroids, image.grid)[0],
        key=lambda point: ORDER_CRANIAL_TO_CAUDAL.index(point.label),
    )
    if len(points) <= length:
        return
    along = int(np.abs(image.grid.affine_ras[2, :3] / image.grid.spacing).argmax())
    places = np.array([image.grid.lps_to_index(point.point_lps_mm)[along] for point in points])
    between = 0.5 * (places[1:] + places[:-1])
    for first in range(0, len(points) - length + 1, _STEP):
        part = points[first : first + length]
        ends = [0.0, float(image.grid.size[along])]
        down = places[-1] < places[0]
        if first > 0:
            ends[int(down)] = between[first - 1]
        if first + length < len(points):
            ends[int(not down)] = between[first + length - 1]
        box = [slice(0, n) for n in image.grid.size]
        box[along] = slice(*(int(round(end)) for end in ends))
        subject = f"{name}x{name_of(part[0].label)}"
        if not scan_path(folder, subject).exists():
            grid = image.grid.crop((box[0], box[1], box[2]))
            write_case(folder, subject, image.array[tuple(box)], grid, part)
