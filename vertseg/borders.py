"""Vertebrae that the border of a scan, or of what was scanned within it, cuts.

VerSe annotates only what is fully seen, and sizes and density of a part mean nothing, so such
vertebrae are found, because they help to count, but not reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vertseg.image import Image
from vertseg.labels import name_of
from vertseg.sequence import FoundVertebra, Rival, SequenceResult, describe_rival

HALF_BODY = 0.46
"""Half the height of a vertebral body, and a little of the disc, over the distance of centres."""

PADDING_HU = -900
"""Scans are padded with the value of air or somewhat more, which never lies within a spine."""
_CROSS_MM = 6.0 * np.array([(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)])


def is_seen(image: Image, point_lps_mm: npt.ArrayLike) -> bool:
    """Whether a point (3,) lies in the scan, and not where it is padded."""
    if not image.grid.contains(point_lps_mm):
        return False
    around = np.asarray(point_lps_mm, float) + _CROSS_MM
    index = np.rint(image.grid.lps_to_index(around)).astype(int)
    index = np.clip(index, 0, np.array(image.grid.size) - 1)
    return bool((image.array[tuple(index.T)] > PADDING_HU).any())


def without_cut(chain: SequenceResult, image: Image) -> SequenceResult:
    """`chain` without the first or last vertebra where its body was not scanned wholly.

    The body reaches as far beyond its centre as the neighbour's direction and the distance of the
    nearest neighbours say; a vertebra alone in the scan is kept.
    """
    found = list(chain.vertebrae)
    cut = []
    for end, outwards in ((0, slice(2, None, -1)), (-1, slice(-3, None))):
        if len(found) < 2:
            break
        points = np.array([v.point_lps_mm for v in found])[outwards]
        if not is_seen(image, _end_of_last_body(points)):
            cut.append(found.pop(end))
    if not cut:
        return chain
    names = " and ".join(name_of(v.label) for v in cut)
    sentence = f"{names} left out: the border of the scan cuts {'it' if len(cut) == 1 else 'them'}"
    return replace(
        chain,
        vertebrae=tuple(found),
        rival=_rival_of(found, chain.rival),
        warnings=(*chain.warnings, sentence),
        left_out=tuple(v.label for v in cut),
    )


def _end_of_last_body(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(3,) where the body at the last of two or three successive centres (n, 3) ends.

    A cut body's centre is found too far inwards, so the distance before counts as much as its own.
    """
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    return np.asarray(points[-1] + HALF_BODY * lengths.mean() / lengths[-1] * steps[-1])


def _rival_of(kept: Sequence[FoundVertebra], rival: Rival | None) -> Rival | None:
    """The rival in words of the vertebrae that are reported, if it labels one of them otherwise."""
    words = describe_rival(kept, rival.labels) if rival else ""
    return replace(rival, description=words) if rival and words else rival
