"""Reading the scan of a case."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vertseg.errors import InputError
from vertseg.io.case import Case
from vertseg.io.dicom_read import check_series, read_series
from vertseg.io.image import Image
from vertseg.io.read import read_image
from vertseg.system.fingerprint import Fingerprint

if TYPE_CHECKING:
    from vertseg.stages.found import Found


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan that was read.

    Attributes:
        image: what was in it.
        fingerprint: of its files.
        seconds: that it took.
        found: its vertebrae, if they have been looked for ahead.
    """

    image: Image
    fingerprint: Fingerprint
    seconds: float
    found: Found | None = None


def read_scan(case: Case, force: bool = False) -> Scan:
    """Read the scan of a case.

    Args:
        case: which.
        force: take values that do not look like HU, too.

    Raises:
        InputError: the scan cannot be used.
    """
    if case.series is not None:  # before its files are read, of which some may be missing
        check_series(case.series, str(case.where))
    start = time.perf_counter()
    with ThreadPoolExecutor(1, "fingerprint") as pool:
        taken = pool.submit(Fingerprint.of, *case.files)
        try:
            image = _read(case, force)
        finally:  # what the fingerprint finds wrong, such as a file without an end, comes first
            fingerprint = taken.result()
    if not fingerprint.still_fits(*case.files):
        remedy = "Run again when the file is complete."
        raise InputError("changed while it was read", str(case.where), remedy=remedy)
    return Scan(image, fingerprint, time.perf_counter() - start)


def _read(case: Case, force: bool) -> Image:
    where = str(case.where)
    image = read_series(case.series, where) if case.series else read_image(case.path)
    if image.intensities == "unknown" and not force:
        remedy = "Store the scan in HU, or take it as it is with --force."
        raise InputError(image.doubt, where, "CT in Hounsfield units", remedy)
    return image
